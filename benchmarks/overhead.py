"""What a training step costs: with gates against without, pruned against by hand.

    python benchmarks/overhead.py

Steps of two models are taken in turn on the same batch, so that both see the same
machine; what counts is the ratio of each pair.
"""

import argparse
import statistics

import results
import timing

import networks  # isort: skip
import keras
import numpy as np
import tensorflow as tf

import keras_layer_prune as klp

SHAPES = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3)}


def main():
    arguments = parse_arguments()
    rows = []
    for jit in (False, True):
        for estimator in arguments.estimators:
            rows.append(measure_gates(estimator, jit, arguments))
            print_row(rows[-1])
    for jit in (False, True):
        rows.append(measure_pruned(jit, arguments))
        print_row(rows[-1])
    results.save("overhead", vars(arguments), rows)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="mnist")
    parser.add_argument("--sections", type=int, default=12)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=240)
    parser.add_argument("--estimators", nargs="+", default=["first_order"])
    return parser.parse_args()


def measure_gates(estimator, jit, arguments):
    """All gates open and learning, against the plain Keras step."""
    draws = "batch" if estimator in ("flip", "antithetic") else "row"
    gated = klp.GatedModel(
        make_network(
            arguments, arguments.sections, initial_probability=1.0, draws=draws
        )
    )
    compile_model(gated, jit, train_size=60_000, gate_gradient=estimator)
    plain = make_network(arguments, arguments.sections, gated=False)
    compile_model(plain, jit)
    return compare(
        f"gates open, {estimator}, over plain Keras", jit, gated, plain, arguments
    )


def measure_pruned(jit, arguments):
    """After the last pruning, against the same small network built by hand."""
    pruned = klp.GatedModel(make_network(arguments, arguments.sections))
    compile_model(pruned, jit, train_size=60_000)
    batch = make_batch(arguments)
    pruned.train_on_batch(*batch)
    half = pruned.gates[::2]
    pruned.decide(closed=half, opened=[g for g in pruned.gates if g not in half])
    kept = [arguments.sections // 6] * 3
    by_hand = make_network(arguments, kept, gated=False)
    compile_model(by_hand, jit)
    row = compare("pruned, over built by hand", jit, pruned, by_hand, arguments)
    row["model variables"] = [len(m.variables) for m in (pruned.network, by_hand)]
    row["optimizer variables"] = [len(m.optimizer.variables) for m in (pruned, by_hand)]
    return row


def make_network(arguments, sections, **options):
    shape = SHAPES[arguments.shape]
    return networks.residual_network(
        shape, 10, sections=sections, width=arguments.width, **options
    )


def compile_model(model, jit, **options):
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit,
        **options,
    )


def make_batch(arguments):
    generator = np.random.default_rng(0)
    shape = (arguments.batch_size, *SHAPES[arguments.shape])
    x = generator.uniform(0, 255, shape).astype("float32")
    return x, generator.integers(0, 10, arguments.batch_size)


def compare(name, jit, first, second, arguments):
    batch = make_batch(arguments)
    steps = [make_step(model, batch) for model in (first, second)]
    pairs = timing.in_turn(steps, arguments.pairs, warm_up=5)
    ratios = sorted(a / b for a, b in pairs)
    return {
        "what": name,
        "jit_compile": jit,
        "milliseconds": [statistics.median(p[i] for p in pairs) * 1e3 for i in (0, 1)],
        "median ratio": statistics.median(ratios),
        "quartiles": [ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]],
        "pairs": len(pairs),
    }


def make_step(model, batch):
    """One step of the function that `fit` runs, on the same batch again and again."""
    model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())

    def step():
        keras.tree.map_structure(
            keras.ops.convert_to_numpy, model.train_function(batches)
        )

    return step


def print_row(row):
    first, second = row["milliseconds"]
    low, high = row["quartiles"]
    counts = {k: row[k] for k in ("model variables", "optimizer variables") if k in row}
    print(
        f"jit={row['jit_compile']!s:<5} {row['what']}: {first:.1f} / {second:.1f} ms, "
        f"ratio {row['median ratio']:.3f} (quartiles {low:.3f}..{high:.3f}) "
        f"{counts or ''}",
        flush=True,
    )


if __name__ == "__main__":
    main()
