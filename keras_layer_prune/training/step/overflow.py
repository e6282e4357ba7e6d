"""Steps whose numbers were too large for half precision: nothing moves in them.

A loss-scaling optimizer multiplies the loss, skips the steps in which a gradient then
overflows, and halves its scale. It looks at the gradients of the weights of its own
replica; here it learns of all others too, those of the gates among them.
"""

import keras
import tensorflow as tf

from keras_layer_prune.training.step.gate_update import all_finite
from keras_layer_prune.training.step.replicas import sum_over_replicas


def finite_everywhere(optimizer, gradients):
    """Whether a step can be taken: no gradient on any replica has overflowed.

    Args:
        optimizer: `keras.optimizers.Optimizer`. Without a scale of the loss nothing is
            looked at: that costs an operation for each weight.
        gradients: List of tensors, `tf.IndexedSlices` and None.

    Returns:
        Boolean scalar tensor, the same on all replicas.
    """
    if not scales_loss(optimizer):
        return tf.constant(True)
    values = [_values(gradient) for gradient in gradients if gradient is not None]
    is_broken = tf.logical_not(all_finite(values)) if values else tf.constant(False)
    return sum_over_replicas(tf.cast(is_broken, tf.float32)) == 0.0


def announced(optimizer, gradients, is_finite):
    """Gradients in which the optimizer sees an overflow that happened elsewhere.

    Args:
        optimizer: `keras.optimizers.Optimizer`.
        gradients: List of the gradients of the weights.
        is_finite: Boolean scalar tensor of `finite_everywhere`.

    Returns:
        The same list, unless the optimizer scales the loss and something has
        overflowed: then one gradient in it is not finite.
    """
    places = [i for i, gradient in enumerate(gradients) if gradient is not None]
    if not places or not scales_loss(optimizer):
        return gradients
    first, marked = places[0], list(gradients)
    factor = tf.where(is_finite, 1.0, float("nan"))
    marked[first] = _multiplied(marked[first], factor)
    return marked


def is_scale_search(optimizer, loss):
    """Whether an overflow only says that the scale of the loss is still too large.

    Args:
        optimizer: `keras.optimizers.Optimizer`.
        loss: Scalar tensor, the loss without the scale.

    Returns:
        Boolean scalar tensor.
    """
    if not scales_loss(optimizer):
        return tf.constant(False)
    is_enlarged = optimizer.scale_loss(tf.ones([])) > 1.0
    return tf.logical_and(is_enlarged, tf.math.is_finite(loss))


def scales_loss(optimizer) -> bool:
    """Whether an optimizer looks for the scale of the loss by itself."""
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def _values(gradient):
    return gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient


def _multiplied(gradient, factor):
    product = _values(gradient) * tf.cast(factor, gradient.dtype)
    if not isinstance(gradient, tf.IndexedSlices):
        return product
    return tf.IndexedSlices(product, gradient.indices, gradient.dense_shape)
