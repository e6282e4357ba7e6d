"""Which operations leave zeros zero: what a closed gate makes vanish."""

import keras
import numpy as np

_PACKAGES = ("keras", "keras_hub", "keras_layer_prune")

# Layers and raw operations (`keras.ops`) with f(0) = 0 in training and in inference,
# whatever their weights are now or become later.
_ZERO_TO_ZERO = set(
    """
    Flatten Reshape Permute RepeatVector Identity Transpose Squeeze ExpandDims
    Cropping1D Cropping2D Cropping3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
    UpSampling1D UpSampling2D UpSampling3D BroadcastTo Cast Copy GetItem
    AveragePooling1D AveragePooling2D AveragePooling3D
    MaxPooling1D MaxPooling2D MaxPooling3D Mean Sum
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianDropout
    LeakyReLU PReLU ELU LayerScale StochasticDepth DropPath BernoulliGate Seam
    Relu Relu6 Gelu Silu Selu Elu Tanh Abs Absolute Negative Square Sqrt
    """.split()
)
# Linear, plus a bias if there is one, before their activation.
AFFINE = set(
    """
    Dense EinsumDense Conv1D Conv2D Conv3D DepthwiseConv1D DepthwiseConv2D
    SeparableConv1D SeparableConv2D Conv1DTranspose Conv2DTranspose Conv3DTranspose
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


def is_addition(operation) -> bool:
    """Whether an operation adds its tensors up, scaled or not."""
    return is_keras(operation, "Add") or _is_scaled_addition(operation)


def is_difference(operation) -> bool:
    """Whether an operation takes its second tensor from the first."""
    return is_keras(operation, "Subtract")


def passes_on(operation, position) -> bool:
    """Whether a sum or difference is this operand where the others are zero.

    Args:
        operation: An operation for which `is_addition` or `is_difference` holds.
        position: Int, the operand's place among the tensors that it takes.

    Returns:
        Bool.
    """
    return position == 0 or is_keras(operation, "Add")


def is_product(operation) -> bool:
    """Whether an operation multiplies its tensors, so that one zero is enough."""
    return is_keras(operation, "Multiply")


def is_rectifier(operation) -> bool:
    """Whether an operation is a plain `max(x, 0)`: applied twice, it acts once."""
    if is_keras(operation, "Activation"):
        return operation.activation is keras.activations.relu
    if is_keras(operation, "ReLU"):
        return (
            operation.threshold == 0
            and operation.negative_slope == 0
            and operation.max_value is None
        )
    return is_keras(operation, "Relu")


def _is_scaled_addition(operation) -> bool:
    # `x[0] + scale * x[1]` of InceptionResNetV2 in `keras.applications`.
    return is_keras(operation, "CustomScaleLayer")


def is_keras(operation, name) -> bool:
    """Whether an operation is the one of Keras with this class name."""
    # `keras.layers.Add` and the raw operation behind `a + b` share the name.
    return type(operation).__name__ == name and package_of(operation) == "keras"


def package_of(operation) -> str:
    """The package that an operation's class comes from."""
    return type(operation).__module__.split(".")[0]


def _activation_keeps_zero(operation) -> bool:
    activation = getattr(operation, "activation", None)
    if activation is None:
        return True
    return getattr(activation, "__name__", "") in _ZERO_TO_ZERO_ACTIVATIONS and (
        keras.activations.get(activation.__name__) is activation
    )
