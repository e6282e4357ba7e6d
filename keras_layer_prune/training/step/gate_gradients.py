"""Estimates of what each gate changes in the loss, from a second forward pass.

First-order estimates need no such pass: they are what the tape returns.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from keras_layer_prune.layers._draws import Draws
from keras_layer_prune.variational.estimators import (
    antithetic_difference,
    chance_of_difference,
    flip_difference,
)


class Estimate(NamedTuple):
    """What a step says of the gates.

    Attributes:
        differences: Tensor of shape `(gates,)`, in the units of the loss: estimates of
            what opening each gate changes in it.
        charged: Tensor of shape `(gates,)`, how many times its price each gate is
            charged; 1 in the mean. One of which the step says nothing is charged
            nothing: as no step goes far, many prices alone would outweigh the few
            large estimates.
    """

    differences: Any
    charged: Any


def flip(evaluate, gates, loss, draws, seed) -> Estimate:
    """The estimate from one gate flipped at random, the others held.

    Args:
        evaluate: Function from a `Draws` to the loss with these draws.
        gates: List of gates.
        loss: float32 scalar tensor, the loss with `draws`.
        draws: `Draws` of the first evaluation.
        seed: `keras.random.SeedGenerator`.
    """
    count = len(gates)
    chosen = tf.random.stateless_uniform(
        [], tf.cast(seed.next(), tf.int32), 0, count, dtype=tf.int32
    )
    was_flipped = tf.one_hot(chosen, count)
    sample = _stack(draws.samples, gates)
    flipped = sample + was_flipped * (1.0 - 2.0 * sample)
    flipped_loss = evaluate(_replaced(draws, gates, flipped))
    differences = flip_difference(loss, flipped_loss, sample, was_flipped, count)
    return Estimate(differences, count * was_flipped)


def antithetic(evaluate, gates, loss, draws, seed) -> Estimate:
    """The estimate from a second evaluation with the uniforms mirrored.

    Takes what `flip` does.
    """
    del seed
    theta = tf.stack([gate.probability.value for gate in gates])
    chance = draws.chance(theta)
    sample = _stack(draws.samples, gates)
    mirrored = tf.cast(1.0 - _stack(draws.uniforms, gates) < chance, tf.float32)
    mirrored_loss = evaluate(_replaced(draws, gates, mirrored))
    differences = antithetic_difference(loss, mirrored_loss, sample, mirrored, chance)
    differs = tf.abs(sample - mirrored)
    return Estimate(differences, differs / chance_of_difference(chance))


PAIRED_ESTIMATORS = {"flip": flip, "antithetic": antithetic}

# How gates draw for each estimate. Both first-order estimates are what the tape
# returns for theta; only the balanced one can use draws from another distribution. A
# pair of draws never differs at a gate that draws one thing only.
DRAWS_OF: dict[str, dict] = {
    "first_order": {"exploration": 0.02},
    "straight_through": {"balanced": False},
    "flip": {},
    "antithetic": {"exploration": 0.02},
}
GATE_GRADIENTS = tuple(DRAWS_OF)


def check_draws(gate_gradient, gates):
    """Raise if an estimator needs one draw per minibatch and a gate does otherwise."""
    if gate_gradient not in PAIRED_ESTIMATORS:
        return
    by_row = [gate.name for gate in gates if gate.draws != "batch"]
    if by_row:
        raise ValueError(
            f'`gate_gradient="{gate_gradient}"` compares whole minibatches, so every '
            f"gate that moves must draw once per minibatch. These draw per example: "
            f'{by_row}. Use `BernoulliGate(draws="batch")`, or '
            '`gate_gradient="first_order"`.'
        )


def _stack(values, gates):
    return tf.stack([tf.reshape(values[gate], []) for gate in gates])


def _replaced(draws, gates, vector):
    """The same draws, but for `gates` the values of a vector."""
    new = [value[tf.newaxis] for value in tf.unstack(vector)]
    return Draws({**draws.samples, **dict(zip(gates, new, strict=True))})
