"""One projected step of every gate."""

from typing import Any, NamedTuple

import tensorflow as tf

from keras_layer_prune.variational.projection import projected_step

# A benefit is a running mean over about this many steps.
_AVERAGED_STEPS = 100


class GateStep(NamedTuple):
    """How far gates move.

    Attributes:
        size: float32 scalar tensor, probability per nat per example.
        longest: Float, the furthest that one minibatch may move a gate.
    """

    size: Any
    longest: float = 1.0


def move_gates(gates, differences, prices, step, is_usable):
    """Move the gates' probabilities, and remember what each section earned.

    Args:
        gates: List of `BernoulliGate`.
        differences: List of float32 scalar tensors, estimates of what opening each
            gate changes in the loss, in nats per example.
        prices: List of scalars, what opening each gate costs, in nats per example.
        step: `GateStep`.
        is_usable: Boolean scalar tensor. If false nothing moves.
    """
    for gate, difference, price in zip(gates, differences, prices, strict=True):
        theta, benefit = gate.probability.value, gate.benefit.value
        moved = projected_step(theta, difference + price, step.size, step.longest)
        averaged = benefit - (benefit + difference) / _AVERAGED_STEPS
        gate.probability.assign(tf.where(is_usable, moved, theta))
        gate.benefit.assign(tf.where(is_usable, averaged, benefit))


def all_finite(tensors):
    """Whether no tensor of a list holds a NaN or an infinity; boolean scalar."""
    checks = [tf.reduce_all(tf.math.is_finite(tensor)) for tensor in tensors]
    return tf.reduce_all(tf.stack(checks))
