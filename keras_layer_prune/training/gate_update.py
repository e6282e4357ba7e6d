"""One projected step of every gate."""

from typing import Any, NamedTuple

import tensorflow as tf

from keras_layer_prune.variational.projection import projected_step

# A benefit is a running mean over about this many steps.
AVERAGED_STEPS = 100


class GateStep(NamedTuple):
    """How far gates move.

    Attributes:
        size: float32 tensor, probability per nat per example: one for all gates, or
            one for each.
        longest: Float, the furthest that one minibatch may move a gate.
    """

    size: Any
    longest: float = 1.0


def move_gates(gates, differences, prices, step, is_usable):
    """Move the gates' probabilities, and remember what each section earned.

    Args:
        gates: List of `BernoulliGate`.
        differences: float32 tensor of shape `(gates,)`, estimates of what opening each
            gate changes in the loss, in nats per example.
        prices: float32 tensor of shape `(gates,)`, what opening each gate costs, in
            nats per example.
        step: `GateStep`.
        is_usable: Boolean scalar tensor. If false nothing moves.
    """
    # Once for all of them: each operation of a step costs time to trace and to run.
    theta = tf.stack([gate.probability.value for gate in gates])
    benefit = tf.stack([gate.benefit.value for gate in gates])
    moved = projected_step(theta, differences + prices, step.size, step.longest)
    averaged = benefit - (benefit + differences) / AVERAGED_STEPS
    moved = tf.unstack(tf.where(is_usable, moved, theta))
    averaged = tf.unstack(tf.where(is_usable, averaged, benefit))
    for gate, new_theta, new_benefit in zip(gates, moved, averaged, strict=True):
        gate.probability.assign(new_theta)
        gate.benefit.assign(new_benefit)


def all_finite(tensors):
    """Whether no tensor of a list holds a NaN or an infinity; boolean scalar."""
    checks = [tf.reduce_all(tf.math.is_finite(tensor)) for tensor in tensors]
    return tf.reduce_all(tf.stack(checks))
