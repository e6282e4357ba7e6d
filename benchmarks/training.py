"""The same network trained as it is and with gates: accuracy, sections, wall time.

    python benchmarks/training.py --dataset mnist --epochs 8
    python benchmarks/training.py --network lenet --dataset mnist
    python benchmarks/training.py --also "from scratch" "stochastic depth"

Dense and with gates, it starts with the same weights and sees the same data, with the
same optimizer and schedule; the settings of the package are its defaults, unless others
are given. The test set is read once per network, after its training. Wall time is that
of `fit`, with everything in it: tracing, validation, rebuilding. MACs spent are those
of all forward passes of the training. With `--workers` seeds are trained at once, each
on cores of its own.

What is left, trained from scratch for as many epochs, is the limit: nobody can know
before the training which sections to leave out. Stochastic depth draws the same
network's sections with probabilities that fall from 1 to 0.5 with depth, and keeps all.
With all gates open, a chain shows what its new shortcuts do by themselves. Under the
prior on weights, which is an L2 penalty, dense and from scratch show what it does by
itself.
"""

import argparse

import choices
import results
import side_by_side

import networks  # isort: skip
import recipe  # isort: skip
import keras
import numpy as np

import keras_layer_prune as klp


def main():
    arguments = parse_arguments()
    rows = []
    calls = [(seed, arguments) for seed in range(arguments.seeds)]
    for runs in side_by_side.results_of(run_all, calls, arguments.workers):
        print_rows(runs)
        rows += runs
        # A run of hours may fail in its last seed.
        results.save(result_name(arguments), vars(arguments), rows)
    print_summary(rows)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=networks.BUILDERS, default="residual")
    parser.add_argument(
        "--size", type=size, nargs="*", default=[], help="as width=8 sections=12"
    )
    parser.add_argument("--also", nargs="*", choices=FURTHER, default=[])
    parser.add_argument("--epochs", type=int, default=10)
    choices.add_to(parser)
    return parser.parse_args()


def size(text):
    name, value = text.split("=")
    return name, int(value)


def result_name(arguments):
    """Each network and size, too, keeps a file of its own."""
    network = [] if arguments.network == "residual" else [arguments.network]
    sizes = [f"{name}_{value}" for name, value in arguments.size]
    return choices.result_name("training", *network, *sizes, arguments=arguments)


def run_all(seed, arguments):
    """One row for each kind of training, all from one seed."""
    data = choices.load(arguments)
    rows = [run_dense(data, seed, arguments)]
    pruned, slim = run_pruned(data, seed, arguments)
    rows.append(pruned)
    for kind in arguments.also:
        rows.append(FURTHER[kind](data, seed, arguments, slim))
    for row in rows:
        is_small = row["kind"].startswith("from scratch")
        which = "sections" if is_small else "sections at the start"
        row.setdefault("sections", pruned[which])
        row.setdefault("macs spent", row["macs"] * passes(data, arguments))
        row["time ratio"] = row["seconds"] / rows[0]["seconds"]
    return rows


def run_dense(data, seed, arguments):
    network = make_network(data, seed, arguments, gated=False)
    history, seconds = fit(network, data, seed, arguments)
    return result_row("dense", seed, network, data, history, seconds)


def run_pruned(data, seed, arguments):
    """The row, and the network that is left."""
    model = klp.GatedModel(make_network(data, seed, arguments, gated=True))
    sections = model.sections
    macs = recipe.costs(model.network)["macs"]
    callbacks = [choices.prune(arguments)]
    history, seconds = fit(model, data, seed, arguments, callbacks=callbacks)
    slim = klp.strip_gates(model.network)
    return {
        **result_row("pruned", seed, slim, data, history, seconds),
        "sections": model.sections,
        "sections at the start": sections,
        "sections by epoch": history["sections"],
        "removed in the first half": removed_by(model, arguments.epochs / 2),
        "macs spent": macs_spent(macs, model, passes(data, arguments), arguments),
        "log": [dict(entry) for entry in model.pruning_log],
    }, slim


def run_from_scratch(data, seed, arguments, slim):
    network = untrained(slim, seed)
    history, seconds = fit(network, data, seed, arguments)
    return result_row("from scratch", seed, network, data, history, seconds)


def run_dense_under_prior(data, seed, arguments, _):
    network = make_network(data, seed, arguments, gated=False)
    return run_under_prior("dense, under the prior", network, data, seed, arguments)


def run_from_scratch_under_prior(data, seed, arguments, slim):
    kind, network = "from scratch, under the prior", untrained(slim, seed)
    return run_under_prior(kind, network, data, seed, arguments)


def untrained(network, seed):
    """The same network with weights of its own, as it would begin."""
    keras.utils.set_random_seed(seed)
    return keras.models.clone_model(network)


def run_under_prior(kind, network, data, seed, arguments):
    epochs = arguments.epochs
    trained = choices.fit_under_prior(network, data, seed, epochs, arguments)
    network, history, seconds = trained
    return result_row(kind, seed, network, data, history, seconds)


def run_stochastic_depth(data, seed, arguments, _):
    return run_at_rest("stochastic depth", 0.5, data, seed, arguments)


def run_open(data, seed, arguments, _):
    return run_at_rest("all gates open", 1.0, data, seed, arguments)


def run_at_rest(kind, last, data, seed, arguments):
    """Trained by Keras itself, gates draw and stay as they are: from 1 to the last."""
    network = make_network(data, seed, arguments, gated=True)
    gates = klp.GatedModel(network).gates
    for gate, theta in zip(gates, np.linspace(1.0, last, len(gates)), strict=True):
        gate.probability.assign(theta)
    history, seconds = fit(network, data, seed, arguments)
    return result_row(kind, seed, network, data, history, seconds)


FURTHER = {
    "from scratch": run_from_scratch,
    "dense, under the prior": run_dense_under_prior,
    "from scratch, under the prior": run_from_scratch_under_prior,
    "stochastic depth": run_stochastic_depth,
    "all gates open": run_open,
}


def make_network(data, seed, arguments, gated):
    sizes = dict(arguments.size)
    network = networks.build(arguments.network, data, False, seed, **sizes)
    if not gated:
        return network
    prior = recipe.prior(arguments.price, data)
    if klp.find_sections(network):
        return klp.gate_sections(network, prior=prior, seed=seed)
    # A chain, which gets its residual connections together with its gates.
    return networks.build(arguments.network, data, True, seed, prior=prior, **sizes)


def fit(model, data, seed, arguments, **further):
    return choices.fit(model, data, seed, arguments.epochs, arguments, **further)


def result_row(kind, seed, network, data, history, seconds):
    """What is reported of one network; the test set is read here, and only here."""
    return {
        "kind": kind,
        "seed": seed,
        "seconds": seconds,
        "validation": history["val_accuracy"][-1],
        "test": recipe.accuracy(network, data.test),
        **recipe.costs(network),
    }


def removed_by(model, epochs):
    """Sections that were gone after so many epochs; entries count epochs from 0."""
    removed = [e for e in model.pruning_log if e["action"] == "removed"]
    return sum(entry["epoch"] < epochs for entry in removed)


def passes(data, arguments):
    """How many examples a training sees, each as often as it comes."""
    return len(data.train.x) * arguments.epochs


def macs_spent(macs, model, examples, arguments):
    """Those of a network that loses sections on the way."""
    return macs * examples - sum(
        entry["macs"] * (examples - entry["step"] * arguments.batch_size)
        for entry in model.pruning_log
        if entry["action"] == "removed"
    )


def print_rows(rows):
    for row in rows:
        print(
            f"seed {row['seed']} {row['kind']:<16} test {row['test']:.4f} "
            f"validation {row['validation']:.4f} sections {row['sections']} "
            f"MACs {row['macs']:,} parameters {row['parameters']:,} "
            f"fit {row['seconds']:.0f} s",
            flush=True,
        )


def print_summary(rows):
    for kind in dict.fromkeys(row["kind"] for row in rows):
        group = [row for row in rows if row["kind"] == kind]
        for name in ("test", "seconds", "macs", "sections", "time ratio"):
            s = results.spread([row[name] for row in group])
            ends = f"{s['min']:.4f}..{s['max']:.4f}"
            print(f"{kind:<16} {name:<10} {s['mean']:.4f} ({ends})")
    halves = [row["removed in the first half"] for row in rows if "log" in row]
    print(f"sections removed in the first half of the run: {halves}")


if __name__ == "__main__":
    main()
