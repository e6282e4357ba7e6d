"""How often chance decides a gate, and not what its section is worth.

    python benchmarks/chance.py

Gates run through their clock, and are decided at its end as `PruneSections` does it.
There is no network: what each minibatch says of a gate is what its section is worth,
known from the start, plus normal noise of a known size.

To compare, gates also run with steps that take no notice of the noise, and are decided
by the side of 0.5 on which they stand.
"""

import argparse
import itertools
from unittest import mock

import results  # isort: skip
import numpy as np
import tensorflow as tf

import keras_layer_prune as klp
from keras_layer_prune.graph.gates import theta_of
from keras_layer_prune.training.step import gate_update
from keras_layer_prune.training.step.gate_clock import LONGEST_STEP, GateClock
from keras_layer_prune.training.step.gate_update import (
    GateStep,
    heading,
    move_gates,
    scales,
)

# What sections are worth, in prices.
WORTH = (0.0, 0.5, 0.8, 1.25, 1.5, 3.0)


def main():
    arguments = parse_arguments()
    settings = itertools.product(arguments.steps, arguments.noises, (True, False))
    rows = []
    for steps, noise, as_it_is in settings:
        rows += run(steps, noise, as_it_is, arguments.gates)
        print_rows(rows[-len(WORTH) :])
    results.save("chance", vars(arguments), rows)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gates", type=int, default=50, help="of each worth")
    parser.add_argument("--steps", type=int, nargs="+", default=[800, 2400])
    parser.add_argument(
        "--noises",
        type=float,
        nargs="+",
        default=[1.0, 3.0, 10.0, 30.0],
        help="in prices",
    )
    return parser.parse_args()


def run(steps, noise, as_it_is, count) -> list[dict]:
    """One row for each worth: the share of its gates that are closed at the end."""
    price = 0.01
    worth = np.repeat(WORTH, count).astype("float32") * price
    gates = [klp.BernoulliGate() for _ in worth]
    with mock.patch.object(gate_update, "_CAUTION", gate_update._CAUTION * as_it_is):
        move_to_the_end(gates, worth, price, noise * price, steps)
        ends = [heading(g, price) if as_it_is else theta_of(g) for g in gates]
    closed = (np.array(ends) < 0.5).reshape(len(WORTH), count)
    setting = {"steps": steps, "noise": noise, "as it is": as_it_is, "gates": count}
    return [
        {**setting, "worth": worth, "closed": float(share)}
        for worth, share in zip(WORTH, closed.mean(axis=1), strict=True)
    ]


def move_to_the_end(gates, worth, price, noise, steps):
    """Run the clock; first gates hold, while they learn what the noise is."""
    hold = steps // 4
    clock = GateClock()
    clock.start(now=0, first_step=hold, last_step=hold + steps)
    generator = tf.random.Generator.from_seed(0)

    @tf.function
    def step():
        now = clock.tick()
        differences = generator.normal([len(gates)], stddev=noise) - worth
        size = clock.reach(now) / scales(gates, [price] * len(gates))
        due = price * clock.pressure(now)
        move_gates(
            gates, differences, due, GateStep(size, LONGEST_STEP), tf.constant(True)
        )

    for _ in range(hold + steps):
        step()


def print_rows(rows):
    first = rows[0]
    how = "as it is" if first["as it is"] else "without regard to noise"
    closed = ", ".join(f"{r['closed']:.1%} of {r['worth']}" for r in rows)
    print(
        f"{first['steps']} steps, noise {first['noise']} prices, {how}: closed "
        f"{closed} prices",
        flush=True,
    )


if __name__ == "__main__":
    main()
