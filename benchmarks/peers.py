"""Other ways to drop sections, from the same start, for as many epochs in all.

    python benchmarks/peers.py --dataset mnist --epochs 8

Ours is trained first. The others train the whole network for half of the epochs, rank
its sections by one measure each, drop the lowest until they have no more MACs than ours
has, and train what is left for the other half, with a schedule of its own. The test set
is read once per network, at the end.

Torch-Pruning and OTO take channels out instead, in PyTorch, from the same weights;
Torch-Pruning between two halves as above, OTO in one training. Each runs in a process
that has an environment of its own (Python 3.11 has wheels for both):

    python -m venv .venv-torch
    .venv-torch/bin/python -m pip install -r benchmarks/torch_peers/torch_pruning.txt
    python benchmarks/peers.py --torch-python .venv-torch/bin/python

and likewise `.venv-oto`, `oto.txt` and `--oto-python`.
"""

import argparse
import shlex
import sys
import time

import choices
import keras
import ranking
import results
import side_by_side
import torch_process
from torch_peers.handed import Handed

import networks  # isort: skip
import recipe  # isort: skip

import keras_layer_prune as klp


def main():
    arguments = parse_arguments()
    arguments.others = others(arguments)
    rows = []
    calls = [(seed, arguments) for seed in range(arguments.seeds)]
    for runs in side_by_side.results_of(run_seed, calls, arguments.workers):
        rows += runs
        # A run of hours may fail in its last seed.
        results.save(
            result_name(arguments),
            settings(arguments),
            rows,
            command(arguments),
        )


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8, help="an even number")
    parser.add_argument("--sections", type=int, default=12)
    parser.add_argument("--width", type=int, default=16)
    choices.add_to(parser)
    parser.add_argument(
        "--under-prior",
        action="store_true",
        help="train the Keras peers, too, under the prior on weights that ours has",
    )
    parser.add_argument("--torch-python", help="a python that has Torch-Pruning")
    parser.add_argument("--oto-python", help="a python that has OTO")
    return parser.parse_args()


def result_name(arguments):
    """Peers that train in another way keep a file of their own."""
    name = choices.result_name("peers", arguments=arguments)
    return f"{name}_under_prior" if arguments.under_prior else name


def others(arguments):
    """The interpreters of other frameworks, by the name of what they run."""
    pythons = {"Torch-Pruning": arguments.torch_python, "OTO": arguments.oto_python}
    for kind, python in pythons.items():
        if python is None:
            print(f"{kind} is left out, as no python was given that has it.")
        else:
            print(f"{kind} runs with {torch_process.versions(kind, python)}")
    return {kind: python for kind, python in pythons.items() if python is not None}


def settings(arguments):
    """Settings without the paths of the machine."""
    paths = ("others", "torch_python", "oto_python")
    return {key: value for key, value in vars(arguments).items() if key not in paths}


def command(arguments):
    """The command as it was run, but with pythons where the docstring puts them."""
    line = shlex.join(["python", *sys.argv])
    for kind, python in arguments.others.items():
        line = line.replace(python, torch_process.ENVIRONMENTS[kind][0])
    return line


def run_seed(seed, arguments):
    """One row for each way, all from one seed."""
    rows = []
    for row in rows_of_seed(seed, arguments):
        rows.append(row)
        print_row(row)
    return rows


def rows_of_seed(seed, arguments):
    data = choices.load(arguments)
    whole = make_network(data, seed, arguments)
    ours, seconds = train_ours(whole, data, seed, arguments)
    budget = macs(ours)
    yield result_row("ours", seed, ours, whole, data, seconds)

    given = hand_over(whole, data, seed, budget, arguments)
    for name, python in arguments.others.items():
        row = torch_process.run(name, python, given)
        yield {"kind": name, "seed": seed, **row}

    keras.utils.set_random_seed(seed)
    whole, first_half = train(whole, data, seed, arguments)
    for name, rank in ranking.RANKINGS.items():
        small, ranked = drop_lowest(whole, rank, data, seed, budget)
        # Crops and flips of its own: the first halves have the seeds below.
        other_seed = seed + arguments.seeds
        small, second_half = train(small, data, other_seed, arguments)
        seconds = first_half + ranked + second_half
        yield result_row(name, seed, small, whole, data, seconds)


def train_ours(whole, data, seed, arguments):
    prior = recipe.prior(arguments.price, data)
    gated = klp.gate_sections(whole, prior=prior, seed=seed)
    return prune(gated, data, seed, arguments, choices.prune(arguments))


def prune(gated, data, seed, arguments, callback):
    """What the gates of a network leave of it, and the seconds that it took."""
    model = klp.GatedModel(gated)
    _, seconds = choices.fit(
        model, data, seed, arguments.epochs, arguments, callbacks=[callback]
    )
    return klp.strip_gates(model.network), seconds


def train(network, data, seed, arguments):
    """Half of a peer's training: what was trained, and the seconds that it took."""
    half = arguments.epochs // 2
    if arguments.under_prior:
        trained = choices.fit_under_prior(network, data, seed, half, arguments)
        network, _, seconds = trained
    else:
        _, seconds = choices.fit(network, data, seed, half, arguments)
    return network, seconds


def make_network(data, seed, arguments):
    sizes = {"sections": arguments.sections, "width": arguments.width}
    return networks.build("residual", data, gated=False, seed=seed, **sizes)


def hand_over(whole, data, seed, budget, arguments):
    """What another framework needs to start from the same network."""
    names = ("sections", "width", "epochs", "batch_size", "learning_rate", "augment")
    network = {"shape": data.image_shape, "classes": data.classes}
    training = {name: getattr(arguments, name) for name in names}
    limits = {"seed": seed, "budget": budget, **recipe.costs(whole)}
    logits = whole.predict(data.train.x[:32], verbose=0)
    splits = data._asdict()
    return Handed(network | training | limits, whole.get_weights(), splits, logits)


def drop_lowest(network, rank, data, seed, budget):
    """What a ranking leaves of a network, and the seconds that it took."""
    start = time.perf_counter()
    sections = klp.find_sections(network)
    scores = rank(network, sections, data.train, seed)
    small = drop(network, sections, scores, budget)
    return small, time.perf_counter() - start


def drop(network, sections, scores, budget):
    """The network without its lowest sections, at no more MACs than the budget."""
    left, dropped = macs(network), []
    by_score = sorted(zip(scores, sections, strict=True), key=lambda pair: pair[0])
    for _, section in by_score:
        if left <= budget:
            break
        left -= section.macs
        dropped.append(f"{section.name}_gate")
    gated = klp.gate_sections(network, initial_probability=1.0)
    for gate in klp.GatedModel(gated).gates:
        gate.probability.assign(float(gate.name not in dropped))
    return klp.strip_gates(gated)


def macs(network):
    return recipe.costs(network)["macs"]


def result_row(kind, seed, network, whole, data, seconds):
    pairs = {n: klp.paired_latencies([network, whole], n) for n in (1, 32)}
    left = {section.name for section in klp.find_sections(network)}
    places = enumerate(klp.find_sections(whole))
    return {
        "kind": kind,
        "seed": seed,
        "stay": [place for place, section in places if section.name in left],
        "seconds": seconds,
        "validation": recipe.accuracy(network, data.validation),
        "test": recipe.accuracy(network, data.test),
        **recipe.costs(network),
        "latency ms": {n: 1e3 * pair[0] for n, pair in pairs.items()},
        "whole latency ms": {n: 1e3 * pair[1] for n, pair in pairs.items()},
    }


def print_row(row):
    print(
        f"seed {row['seed']} {row['kind']:<24} test {row['test']:.4f} validation "
        f"{row['validation']:.4f} MACs {row['macs']:,} parameters "
        f"{row['parameters']:,} {row['seconds']:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
