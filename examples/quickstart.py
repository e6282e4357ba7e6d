"""Train a residual network that shrinks while it trains, and serve what is left.

    python examples/quickstart.py                      # digits, no download, 2 minutes
    python examples/quickstart.py --dataset mnist --epochs 12

The same network is first trained as it is, for comparison. Everything is written to a
new folder: a report of the run, a plot of the gates, the SavedModel, the table as JSON.
"""

import argparse
import itertools
import json
from pathlib import Path

import datasets
import networks
import numpy as np
import recipe
import tensorflow as tf

import keras_layer_prune as klp

LEARNING_RATE = 2e-3


def main():
    arguments = parse_arguments()
    folder = free_folder(arguments.output)
    data = datasets.load(arguments.dataset)
    folder.mkdir(parents=True)
    dense, dense_seconds = train_dense(data, arguments)
    model, prune, history, seconds = train_and_prune(data, arguments)
    slim = klp.strip_gates(model.network)

    rows = [report(dense, dense_seconds, arguments.sections, data)]
    rows.append(report(slim, seconds, arguments.sections - removed(model), data))
    add_latency(rows, [dense, slim])
    settled_at = max(points[-1][0] for points in prune.trajectories.values())
    klp.plot_gates(prune.trajectories, folder / "gates.png", settled_at)
    klp.write_report(model, folder / "report.html", history, prune.trajectories)
    difference = export_and_compare(model, slim, folder / "served", data)

    (folder / "result.json").write_text(json.dumps(rows, indent=2))
    print_table(rows)
    print(f"SavedModel, loaded again: outputs differ by at most {difference:.1e}")
    print(f"Written to {folder}: report.html, gates.png, served/, result.json")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", choices=datasets.NAMES, default="digits")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--sections", type=int, default=12)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="a folder that does not exist yet")
    return parser.parse_args()


def free_folder(chosen):
    """A folder that does not exist yet: the chosen one, or the next free number."""
    if chosen is None:
        names = (Path(f"quickstart_output_{n}") for n in itertools.count(1))
        chosen = next(name for name in names if not name.exists())
    if chosen.exists():
        raise SystemExit(
            f"{chosen} exists, and nothing is overwritten. Choose another --output, or "
            "remove the folder."
        )
    return chosen


def train_dense(data, arguments):
    print("The network as it is:")
    network = make_network(data, arguments, gated=False)
    _, seconds = fit(network, data, arguments, callbacks=[])
    return network, seconds


def train_and_prune(data, arguments):
    print("\nThe same network with gates:")
    model = klp.GatedModel(make_network(data, arguments, gated=True))
    prune = klp.PruneSections()
    return model, prune, *fit(model, data, arguments, callbacks=[prune])


def make_network(data, arguments, gated):
    return networks.build(
        "residual",
        data,
        gated,
        arguments.seed,
        sections=arguments.sections,
        width=arguments.width,
    )


def fit(model, data, arguments, callbacks):
    """Train; return the history and the seconds that it took."""
    return recipe.fit(
        model,
        data,
        arguments.epochs,
        arguments.batch_size,
        LEARNING_RATE,
        callbacks=callbacks,
    )


def removed(model):
    return sum(entry["action"] == "removed" for entry in model.pruning_log)


def report(network, seconds, sections, data):
    """What the table says of one network; the test set is read here, and only here."""
    costs = klp.summarize(network, latency=False)
    return {
        "test accuracy": recipe.accuracy(network, data.test),
        "sections": sections,
        "parameters": costs.parameters,
        "MACs": costs.macs,
        "training s": seconds,
    }


def add_latency(rows, models):
    """Measured in turn, so that both see the same machine."""
    for row, seconds in zip(rows, klp.paired_latencies(models), strict=True):
        row["latency ms"] = seconds * 1e3


def export_and_compare(model, slim, path, data):
    """Export, load again with TensorFlow alone, and compare the outputs."""
    model.export(str(path), verbose=False)
    served = tf.saved_model.load(str(path))
    images = tf.constant(data.test.x[:64].astype("float32"))
    return float(np.abs(served.serve(images) - slim(images, training=False)).max())


def print_table(rows):
    formats = {
        "test accuracy": "{:.2%}",
        "sections": "{}",
        "parameters": "{:,}",
        "MACs": "{:,}",
        "latency ms": "{:.2f}",
        "training s": "{:.0f}",
    }
    print(f"\n{'':<16}{'before':>14}{'after':>14}{'ratio':>8}")
    for name, form in formats.items():
        before, after = (row[name] for row in rows)
        print(
            f"{name:<16}{form.format(before):>14}{form.format(after):>14}"
            f"{after / before:>8.2f}"
        )


if __name__ == "__main__":
    main()
