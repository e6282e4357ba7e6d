"""Estimators of what opening a gate changes in the expected loss.

With independent gates `xi_l ~ Bernoulli(theta_l)` and a loss `C(xi)`, the gradient
of `E[C]` with respect to `theta_l` is `D_l = E[C | xi_l = 1] - E[C | xi_l = 0]`.
Every function here estimates `D_l`, in nats per example if the loss is.
"""

import tensorflow as tf


def straight_through(inputs, sample, theta, weight=1.0):
    """The inputs times the sample, row by row, with a gradient for `theta`.

    The gradient is that of `xi = sample + weight * (theta - stop_gradient(theta))`:
    `weight * dC/dxi` at the sampled `xi` as the estimate of `D`, one backward pass for
    all gates. With `weight=1` it is biased by the curvature of the loss along `xi`:
    where that is quadratic with its minimum at 1, the estimate is
    `2 * (1 - theta) * D`, and gates come to rest between 0 and 1.

    Args:
        inputs: Tensor of shape `(rows, ...)`.
        sample: Tensor of zeros and ones, of shape `(rows,)` or `(1,)`.
        theta: float32 scalar tensor in `[0, 1]`.
        weight: Scalar, or tensor shaped like `sample`.

    Returns:
        Tensor like `inputs`.
    """
    factor = _along_rows(tf.cast(sample, inputs.dtype), inputs)

    # Automatic differentiation would leave a sum over whole examples, in which XLA on a
    # CPU adds one number after the other.
    @tf.custom_gradient
    def product(inputs, theta):
        def gradient(upstream):
            slope = _weighted_sum(upstream * inputs, weight)
            return upstream * factor, slope

        return inputs * factor, gradient

    return product(inputs, theta)


def _weighted_sum(products, weight):
    """The sum of everything in float32, each row with its weight."""
    if products.shape.rank > 2:
        # Where the last axis stays, several numbers are added at once. The weights keep
        # XLA from making one sum of the two.
        products = tf.reduce_sum(products, axis=1)
    weight = _along_rows(weight, products)
    return tf.reduce_sum(tf.cast(products, tf.float32) * weight)


def _along_rows(vector, tensor):
    """A vector, or a scalar, in the shape in which it multiplies a tensor's rows."""
    return tf.reshape(vector, (-1,) + (1,) * (tensor.shape.rank - 1))


def balancing_weight(sample, chance):
    """Weights that make open and closed samples count the same.

    `1 / (2 * P(sample))`. With them, `straight_through` averages the slopes of the loss
    at `xi = 0` and `xi = 1`: the trapezoid rule for `D = C(1) - C(0)`, exact where the
    loss is quadratic along `xi`.

    Args:
        sample: Tensor of zeros and ones.
        chance: Scalar tensor in `[0, 1]`, the probability of a one.

    Returns:
        Tensor shaped like `sample`.
    """
    chance_of_sample = tf.where(sample > 0.5, chance, 1.0 - chance)
    return tf.math.divide_no_nan(0.5, chance_of_sample)


def flip_difference(loss, flipped_loss, sample, was_flipped, number_of_gates):
    """Unbiased estimate of every `D_l` from one gate flipped at random.

    Args:
        loss: Scalar, `C(xi)`.
        flipped_loss: Scalar, `C` with the chosen gate flipped and the others held.
        sample: Tensor of shape `(gates,)`, the zeros and ones of `xi`.
        was_flipped: Tensor of shape `(gates,)`, 1 at the chosen gate and 0
            elsewhere. The choice is uniform over the gates.
        number_of_gates: Int, the importance weight of that choice.

    Returns:
        Tensor of shape `(gates,)`, zero but at the chosen gate.
    """
    open_less_closed = (2.0 * sample - 1.0) * (loss - flipped_loss)
    return number_of_gates * was_flipped * open_less_closed


def antithetic_difference(loss, antithetic_loss, sample, antithetic_sample, theta):
    """Unbiased estimate of every `D_l` from an antithetic pair of samples.

    The DisARM estimator (Dong, Mnih and Tucker, arXiv 2006.10680), for the
    probability instead of the logit. `sample = (u < theta)` and
    `antithetic_sample = (1 - u < theta)` for one uniform `u` per gate; the pair says
    something of a gate only where its two values differ.

    Args:
        loss: Scalar, `C(sample)`.
        antithetic_loss: Scalar, `C(antithetic_sample)`.
        sample: Tensor of shape `(gates,)`, zeros and ones.
        antithetic_sample: Tensor of shape `(gates,)`, zeros and ones.
        theta: Tensor of shape `(gates,)`, in `[0, 1]`.

    Returns:
        Tensor of shape `(gates,)`. Zero at gates that are exactly 0 or 1, where the
        pair never differs.
    """
    # They differ half of the time each way round.
    return tf.math.divide_no_nan(
        (sample - antithetic_sample) * (loss - antithetic_loss),
        chance_of_difference(theta),
    )


def chance_of_difference(theta):
    """The probability that the two samples of an antithetic pair differ.

    Args:
        theta: Tensor in `[0, 1]`.

    Returns:
        Tensor shaped like `theta`.
    """
    return 2.0 * tf.minimum(theta, 1.0 - theta)
