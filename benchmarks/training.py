"""The same network trained as it is and with gates: accuracy, sections, wall time.

    python benchmarks/training.py --dataset mnist --seeds 3

Both see the same data, in the same order of epochs, with the same optimizer and
schedule; the default settings of the package are used. The test set is read once per
network, after its training. Wall time is that of `fit`, with everything in it: tracing,
validation, rebuilding.
"""

import argparse
import time

import results

import datasets  # isort: skip
import networks  # isort: skip
import keras
import numpy as np

import keras_layer_prune as klp


def main():
    arguments = parse_arguments()
    data = datasets.load(arguments.dataset)
    rows = []
    for seed in range(arguments.seeds):
        dense = run_dense(data, seed, arguments)
        pruned = run_pruned(data, seed, arguments)
        pruned["time ratio"] = pruned["seconds"] / dense["seconds"]
        rows += [dense, pruned]
        print_rows(rows[-2:])
    print_summary(rows)
    results.save(f"training_{arguments.dataset}", vars(arguments), rows)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", choices=datasets.NAMES, default="mnist")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--sections", type=int, default=12)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    return parser.parse_args()


def run_dense(data, seed, arguments):
    network = make_network(data, seed, arguments, gated=False)
    history, seconds = fit(network, data, arguments, [])
    return {
        "kind": "dense",
        "seed": seed,
        "seconds": seconds,
        "validation": history["val_accuracy"][-1],
        "test": test_accuracy(network, data),
        "sections": arguments.sections,
        **costs(network),
    }


def run_pruned(data, seed, arguments):
    model = klp.GatedModel(make_network(data, seed, arguments, gated=True))
    history, seconds = fit(model, data, arguments, [klp.PruneSections(verbose=0)])
    slim = klp.strip_gates(model.network)
    return {
        "kind": "pruned",
        "seed": seed,
        "seconds": seconds,
        "validation": history["val_accuracy"][-1],
        "test": test_accuracy(slim, data),
        "sections": int(history["sections"][-1]),
        **costs(slim),
        "sections by epoch": history["sections"],
        "removed in the first half": removed_by(model, arguments.epochs / 2),
        "log": [dict(entry) for entry in model.pruning_log],
    }


def make_network(data, seed, arguments, gated):
    return networks.residual_network(
        data.image_shape,
        data.classes,
        sections=arguments.sections,
        width=arguments.width,
        gated=gated,
        seed=seed,
    )


def fit(model, data, arguments, callbacks):
    steps = -(-len(data.train.x) // arguments.batch_size) * arguments.epochs
    schedule = keras.optimizers.schedules.CosineDecay(arguments.learning_rate, steps)
    model.compile(
        keras.optimizers.Adam(schedule),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    start = time.perf_counter()
    history = model.fit(
        data.train.x,
        data.train.y,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        validation_data=data.validation,
        callbacks=callbacks,
        verbose=0,
    )
    return history.history, time.perf_counter() - start


def test_accuracy(network, data):
    logits = network.predict(data.test.x, batch_size=256, verbose=0)
    return float(np.mean(logits.argmax(axis=-1) == data.test.y))


def costs(network):
    summary = klp.summarize(network, latency=False)
    return {"parameters": summary.parameters, "macs": summary.macs}


def removed_by(model, epochs):
    """Sections that were gone after so many epochs; entries count epochs from 0."""
    removed = [e for e in model.pruning_log if e["action"] == "removed"]
    return sum(entry["epoch"] < epochs for entry in removed)


def print_rows(rows):
    for row in rows:
        print(
            f"seed {row['seed']} {row['kind']:<7} test {row['test']:.4f} "
            f"validation {row['validation']:.4f} sections {row['sections']} "
            f"MACs {row['macs']:,} parameters {row['parameters']:,} "
            f"fit {row['seconds']:.0f} s",
            flush=True,
        )


def print_summary(rows):
    dense = [row for row in rows if row["kind"] == "dense"]
    pruned = [row for row in rows if row["kind"] == "pruned"]
    for name in ("test", "seconds", "macs", "sections"):
        for kind, group in (("dense", dense), ("pruned", pruned)):
            s = results.spread([row[name] for row in group])
            print(
                f"{name:<9} {kind:<7} {s['mean']:.4f} ({s['min']:.4f}..{s['max']:.4f})"
            )
    ratio = results.spread([row["time ratio"] for row in pruned])
    print(f"wall time pruned / dense: {ratio['mean']:.2f}")
    halves = [row["removed in the first half"] for row in pruned]
    print(f"sections removed in the first half of the run: {halves}")


if __name__ == "__main__":
    main()
