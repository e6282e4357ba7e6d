"""From how many sections and which probabilities one starts: does it matter?

    python benchmarks/robustness.py
    python benchmarks/robustness.py --depths 12 --probabilities 0.7 \\
        --prices 0.001 0.01 0.03 0.1 0.3 1

Trains on digits with the defaults from every starting depth and initial probability,
several seeds each: how many sections stay, and the accuracy on the validation examples.
With `--prices` (nats per example, `log_gamma` over the size of the training set) the
same for every price: the curve of accuracy against MACs that this one knob traces.
"""

import argparse
import itertools

import results
import side_by_side

import datasets  # isort: skip
import networks  # isort: skip
import recipe  # isort: skip

import keras_layer_prune as klp


def main():
    arguments = parse_arguments()
    runs = itertools.product(
        arguments.depths,
        arguments.probabilities,
        arguments.prices or [None],
        range(arguments.seeds),
    )
    calls = [(*which, arguments) for which in runs]
    done = side_by_side.results_of(run, calls, arguments.workers)
    rows = [report(row) for row in done]
    print_summary(rows)
    name = "robustness_prices" if arguments.prices else "robustness"
    results.save(name, vars(arguments), rows)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", type=int, nargs="+", default=[6, 12, 24])
    parser.add_argument(
        "--probabilities", type=float, nargs="+", default=[0.5, 0.7, 0.9]
    )
    parser.add_argument("--prices", type=float, nargs="+", help="default: ours")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--workers", type=int, default=1, help="runs at once")
    return parser.parse_args()


def run(depth, probability, price, seed, arguments):
    data = datasets.load("digits")
    network = networks.residual_network(
        data.image_shape,
        data.classes,
        sections=depth,
        seed=seed,
        initial_probability=probability,
        prior=recipe.prior(price, data),
    )
    macs = recipe.costs(network)["macs"]
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
        "price": price,
        "seed": seed,
        "kept": [e["section"] for e in model.pruning_log if e["action"] == "kept"],
        "validation": history["val_accuracy"][-1],
        "macs of dense": recipe.costs(klp.strip_gates(model.network))["macs"] / macs,
    }


def report(row):
    print(
        f"from {row['depth']:>2} sections at {row['initial probability']}, price "
        f"{row['price'] or 'ours'}, seed {row['seed']}: {len(row['kept'])} stay, "
        f"MACs {row['macs of dense']:.2f}, validation {row['validation']:.4f}",
        flush=True,
    )
    return row


def print_summary(rows):
    def key(row):
        return row["depth"], row["initial probability"], row["price"]

    for start, group in itertools.groupby(rows, key):
        group = list(group)
        kept = results.spread([len(row["kept"]) for row in group])
        accuracy = results.spread([row["validation"] for row in group])
        print(
            f"| {' | '.join(map(str, start))} | {kept['mean']:.2f} "
            f"({kept['min']}-{kept['max']}) "
            f"| {accuracy['mean']:.4f} ({accuracy['min']:.4f}-{accuracy['max']:.4f}) |"
        )


if __name__ == "__main__":
    main()
