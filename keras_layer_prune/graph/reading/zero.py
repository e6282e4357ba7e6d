"""Which operations leave zeros zero: what a closed gate makes vanish."""

import keras
import numpy as np
import tensorflow as tf

from keras_layer_prune.graph.reading.operations import (
    AFFINE,
    LINEAR,
    is_keras,
    package_of,
)

_PACKAGES = ("keras", "keras_hub", "keras_layer_prune")

# Layers and raw operations (`keras.ops`) with f(0) = 0 in training and in inference,
# whatever their weights are now or become later.
_ZERO_TO_ZERO = LINEAR | set(
    """
    Identity Copy BernoulliGate Seam
    MaxPooling1D MaxPooling2D MaxPooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    LeakyReLU PReLU ELU
    Relu Relu6 Gelu Silu Selu Elu Tanh Abs Absolute Square Sqrt
    """.split()
)
_ZERO_TO_ZERO_ACTIVATIONS = set(
    "linear relu relu6 leaky_relu elu selu gelu silu tanh softsign hard_silu".split()
)


def maps_zero_to_zero(operation) -> bool:
    """Whether an operation of one tensor returns zeros for zeros, now and always.

    Conservative: what is not known to do so does not.
    """
    if package_of(operation) not in _PACKAGES:
        return False
    name = type(operation).__name__
    if name in AFFINE:
        return operation.bias is None and _activation_keeps_zero(operation)
    if name == "Activation":
        return _activation_keeps_zero(operation)
    if name == "Rescaling":
        return not np.any(operation.offset)
    if name == "ReLU":
        return operation.threshold == 0
    return name in _ZERO_TO_ZERO


def divides_by_constant(call) -> bool:
    """Whether a call divides a tensor by what is zero nowhere, now and always."""
    if not any(is_keras(call.operation, name) for name in ("Divide", "TrueDivide")):
        return False
    # A tensor of the graph, or a variable, may become zero.
    divisor = call.args[1]
    if not isinstance(divisor, int | float | np.ndarray | np.generic | tf.Tensor):
        return False
    # A small number may be zero in half of the precision.
    divisor = keras.ops.cast(divisor, call.outputs[0].dtype)
    return bool(keras.ops.all(keras.ops.abs(divisor) > 0))


def _activation_keeps_zero(operation) -> bool:
    activation = operation.activation
    # A layer that serves as an activation has no such name.
    name = getattr(activation, "__name__", "")
    is_known = name in _ZERO_TO_ZERO_ACTIVATIONS
    return is_known and keras.activations.get(name) is activation
