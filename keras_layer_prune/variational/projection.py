"""The projected gradient step of the gates' probabilities."""

import tensorflow as tf


def projected_step(theta, gradient, step_size, longest=1.0):
    """One step of projected gradient descent on probabilities.

    `argmin{ |p - (theta - step_size * gradient)| }` over `0 <= p <= 1`. The bounds
    are reached exactly and in finitely many steps, which no logit ever does.

    Args:
        theta: Tensor of any shape, in `[0, 1]`.
        gradient: Tensor shaped like `theta`, in nats per example.
        step_size: Scalar or tensor shaped like `theta`, probability per nat per
            example.
        longest: Scalar, the furthest that one step may go. From 1 on it says nothing.

    Returns:
        Tensor shaped like `theta`, in `[0, 1]`.
    """
    move = tf.clip_by_value(step_size * gradient, -longest, longest)
    return tf.clip_by_value(theta - move, 0.0, 1.0)
