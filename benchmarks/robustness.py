"""From how many sections and which probabilities one starts: does it matter?

    python benchmarks/robustness.py

Trains on digits with the defaults from every starting depth and initial probability,
several seeds each: how many sections stay, and the accuracy on the validation examples.
"""

import argparse
import concurrent.futures
import itertools
import multiprocessing

import results

import datasets  # isort: skip
import networks  # isort: skip
import recipe  # isort: skip

import keras_layer_prune as klp


def main():
    arguments = parse_arguments()
    runs = itertools.product(
        arguments.depths, arguments.probabilities, range(arguments.seeds)
    )
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        arguments.workers, spawn, max_tasks_per_child=1
    ) as pool:
        futures = [pool.submit(run, *which, arguments) for which in runs]
        rows = [report(future.result()) for future in futures]
    print_summary(rows)
    results.save("robustness", vars(arguments), rows)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", type=int, nargs="+", default=[6, 12, 24])
    parser.add_argument(
        "--probabilities", type=float, nargs="+", default=[0.5, 0.7, 0.9]
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def run(depth, probability, seed, arguments):
    data = datasets.load("digits")
    network = networks.residual_network(
        data.image_shape,
        data.classes,
        sections=depth,
        seed=seed,
        initial_probability=probability,
    )
    model = klp.GatedModel(network)
    history, _ = recipe.fit(
        model,
        data,
        arguments.epochs,
        batch_size=64,
        learning_rate=2e-3,
        callbacks=[klp.PruneSections(verbose=0)],
        verbose=0,
    )
    return {
        "depth": depth,
        "initial probability": probability,
        "seed": seed,
        "kept": [e["section"] for e in model.pruning_log if e["action"] == "kept"],
        "validation": history["val_accuracy"][-1],
    }


def report(row):
    print(
        f"from {row['depth']:>2} sections at {row['initial probability']}, seed "
        f"{row['seed']}: {len(row['kept'])} stay, validation {row['validation']:.4f}",
        flush=True,
    )
    return row


def print_summary(rows):
    def key(row):
        return row["depth"], row["initial probability"]

    for start, group in itertools.groupby(rows, key):
        group = list(group)
        kept = results.spread([len(row["kept"]) for row in group])
        accuracy = results.spread([row["validation"] for row in group])
        print(
            f"| {start[0]} | {start[1]} | {kept['mean']:.2f} "
            f"({kept['min']}-{kept['max']}) "
            f"| {accuracy['mean']:.4f} ({accuracy['min']:.4f}-{accuracy['max']:.4f}) |"
        )


if __name__ == "__main__":
    main()
