"""The projected gradient step of the gates' probabilities."""

import tensorflow as tf


def projected_step(theta, gradient, step_size):
    """One step of projected gradient descent on probabilities.

    `argmin{ |p - (theta - step_size * gradient)| }` over `0 <= p <= 1`. The bounds
    are reached exactly and in finitely many steps, which no logit ever does.

    Args:
        theta: Tensor of any shape, in `[0, 1]`.
        gradient: Tensor shaped like `theta`, in nats per example.
        step_size: Scalar, probability per nat per example.

    Returns:
        Tensor shaped like `theta`, in `[0, 1]`.
    """
    return tf.clip_by_value(theta - step_size * gradient, 0.0, 1.0)
