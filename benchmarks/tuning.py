"""Settings compared on examples that are held out of the training set.

    python benchmarks/tuning.py --dataset cifar10 --size width=8 --settle-bys 0.15 0.25

Trains on four fifths of what there is beside the test set and judges on the last fifth,
every combination of the settings that are given, several seeds each. The test set is
not looked at: what is chosen here may be measured there by `training.py`.
"""

import argparse
import itertools

import choices
import results
import side_by_side
import training

import datasets  # isort: skip
import networks  # isort: skip
import numpy as np

# What can be compared, and the option that lists it.
SETTINGS = {
    "price": "prices",
    "settle_by": "settle_bys",
    "hold": "holds",
    "max_macs": "budgets",
    "precision": "precisions",
}
WITHOUT_GATES = {
    "dense": training.run_dense,
    "dense, under the prior": training.run_dense_under_prior,
}


def main():
    arguments = parse_arguments()
    calls = list(itertools.product(combinations(arguments), range(arguments.seeds)))
    rows = []
    for row in side_by_side.results_of(run, calls, arguments.workers):
        rows.append(row)
        print_row(row)
        # A run of hours may fail in its last training.
        results.save(result_name(arguments), vars(arguments), rows)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=networks.BUILDERS, default="residual")
    parser.add_argument("--size", type=training.size, nargs="*", default=[])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--prices", type=float, nargs="+", default=[None])
    parser.add_argument("--settle-bys", type=float, nargs="+", default=[None])
    parser.add_argument("--holds", type=float, nargs="+", default=[None])
    parser.add_argument("--budgets", type=float, nargs="+", default=[None])
    parser.add_argument("--precisions", type=float, nargs="+", default=[None])
    parser.add_argument("--also", nargs="*", choices=WITHOUT_GATES, default=[])
    choices.add_training_to(parser)
    return parser.parse_args()


def combinations(arguments):
    """One namespace for each training of a seed: its kind and its settings."""
    lists = [getattr(arguments, option) for option in SETTINGS.values()]
    given = vars(arguments)
    for values in itertools.product(*lists):
        chosen = dict(zip(SETTINGS, values, strict=True))
        yield argparse.Namespace(**given, **chosen, kind=choices.in_words(chosen))
    for kind in arguments.also:
        yield argparse.Namespace(**given, **dict.fromkeys(SETTINGS), kind=kind)


def result_name(arguments):
    """Each list of settings, too, keeps a file of its own."""
    unset = argparse.Namespace(**vars(arguments), **dict.fromkeys(SETTINGS))
    parts = ["tuning" + training.result_name(unset).removeprefix("training")]
    for option in SETTINGS.values():
        values = getattr(arguments, option)
        if values != [None]:
            parts += [option, *map(str, values)]
    return "_".join(parts)


def run(arguments, seed):
    """One row; what it calls the test is the held out part."""
    data = held_out(choices.load(arguments))
    if arguments.kind in WITHOUT_GATES:
        row = WITHOUT_GATES[arguments.kind](data, seed, arguments, None)
    else:
        row, _ = training.run_pruned(data, seed, arguments)
    del row["test"]
    return {**row, "kind": arguments.kind}


def held_out(data):
    """The data without its test set: the last fifth of the rest takes its place."""
    x, y = (np.concatenate(parts) for parts in zip(*data[:2], strict=True))
    kept = len(x) - len(x) // 5
    judged = datasets.Split(x[kept:], y[kept:])
    return datasets.Data(datasets.Split(x[:kept], y[:kept]), judged, judged)


def print_row(row):
    print(
        f"{row['kind']}, seed {row['seed']}: held out {row['validation']:.4f}, MACs "
        f"{row['macs']:,}, sections {row.get('sections', 'all')}, fit "
        f"{row['seconds']:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
