"""One projected step of every gate."""

from typing import Any, NamedTuple

import tensorflow as tf

from keras_layer_prune.graph.gates import theta_of
from keras_layer_prune.variational.projection import projected_step

# What a section has to take off the training loss, in nats per example, where its
# gate has no prior of its own: what the loss would rise by if the section were cut out
# and the rest had no time to make up for it.
DEFAULT_PRICE = 0.1

# Means of what minibatches say are over about this many.
AVERAGED_STEPS = 100

# Minibatches that say more than twice the price of a gate, one way or the other, move
# it less far: else chance would decide before their mean can.
_CAUTION = 0.5


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
    moment = tf.stack([gate.second_moment.value for gate in gates])
    moved = projected_step(theta, differences + prices, step.size, step.longest)
    mean = benefit - (benefit + differences) / AVERAGED_STEPS
    mean_square = moment + (differences**2 - moment) / AVERAGED_STEPS
    updates = ((moved, theta), (mean, benefit), (mean_square, moment))
    new = [tf.unstack(tf.where(is_usable, after, before)) for after, before in updates]
    for gate, new_theta, new_benefit, new_moment in zip(gates, *new, strict=True):
        gate.probability.assign(new_theta)
        gate.benefit.assign(new_benefit)
        gate.second_moment.assign(new_moment)


def scales(gates, prices):
    """The slope at which each gate moves as far as the clock lets an idle one move.

    The size of its price, or more where single minibatches say much more than that.

    Args:
        gates: List of `BernoulliGate`.
        prices: List of floats, in nats per example.

    Returns:
        float32 tensor of shape `(gates,)`, in nats per example.
    """
    sizes = [abs(price) or DEFAULT_PRICE for price in prices]
    moments = tf.stack([gate.second_moment.value for gate in gates])
    return tf.maximum(tf.constant(sizes, tf.float32), _CAUTION * tf.sqrt(moments))


def heading(gate, price) -> float:
    """Where a gate would be if it had as long again as an idle one takes to close.

    Theta still holds what was long ago, as when a section that others have taken over
    from was useful; the mean benefit says what it is worth now.

    Args:
        gate: `BernoulliGate`.
        price: Float, in nats per example.

    Returns:
        Float, not clipped.
    """
    earned = float(gate.benefit.numpy()) - price
    return theta_of(gate) + earned / float(scales([gate], [price])[0])


def all_finite(tensors):
    """Whether no tensor of a list holds a NaN or an infinity; boolean scalar."""
    checks = [tf.reduce_all(tf.math.is_finite(tensor)) for tensor in tensors]
    return tf.reduce_all(tf.stack(checks))
