"""How long `fit` takes to its first step: with gates against without.

    python benchmarks/first_step.py

Each time a new model trains on one batch: nearly all of it is tracing, and with
`jit_compile` compiling. Models with and without gates are taken in turn.
"""

import argparse
import statistics

import overhead
import results
import timing

import keras_layer_prune as klp


def main():
    arguments = parse_arguments()
    modes = (False, True) if arguments.jit_compile else (False,)
    rows = [measure(jit, arguments) for jit in modes]
    results.save("first_step", vars(arguments), rows)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=overhead.SHAPES, default="cifar10")
    parser.add_argument("--sections", type=int, default=12)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--jit-compile", action="store_true", help="with XLA, too")
    return parser.parse_args()


def measure(jit, arguments):
    runs = [first_steps(gated, jit, arguments) for gated in (True, False)]
    pairs = timing.in_turn(runs, arguments.pairs, warm_up=1)
    row = {
        "jit_compile": jit,
        "seconds": [statistics.median(pair[i] for pair in pairs) for i in (0, 1)],
        "ratio": results.spread([gated / plain for gated, plain in pairs]),
    }
    print(row, flush=True)
    return row


def first_steps(gated, jit, arguments):
    """A function that trains a new model for one step, each time it is called."""
    models = iter(
        [make_model(gated, jit, arguments) for _ in range(arguments.pairs + 1)]
    )
    x, y = overhead.make_batch(arguments)
    return lambda: next(models).fit(x, y, arguments.batch_size, verbose=0)


def make_model(gated, jit, arguments):
    network = overhead.make_network(arguments, arguments.sections, gated=gated)
    model = klp.GatedModel(network) if gated else network
    options = {"gate_step_size": 0.01} if gated else {}
    overhead.compile_model(model, jit, metrics=["accuracy"], **options)
    return model


if __name__ == "__main__":
    main()
