"""Which of Keras's operations one is, as a layer or as a raw operation."""

import keras

# Layers and raw operations (`keras.ops`) of one tensor that are linear and without an
# offset; in training, too, where some multiply by a random number.
LINEAR = set(
    """
    Flatten Reshape Permute RepeatVector Transpose Squeeze ExpandDims BroadcastTo
    Swapaxes Moveaxis Flip Roll Tile Repeat
    Cropping1D Cropping2D Cropping3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
    UpSampling1D UpSampling2D UpSampling3D Cast GetItem Mean Sum Negative
    AveragePooling1D AveragePooling2D AveragePooling3D AveragePool
    AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianDropout
    LayerScale StochasticDepth DropPath
    """.split()
)
# Linear, plus a bias if there is one, before their activation.
AFFINE = set(
    """
    Dense EinsumDense Conv1D Conv2D Conv3D DepthwiseConv1D DepthwiseConv2D
    SeparableConv1D SeparableConv2D Conv1DTranspose Conv2DTranspose Conv3DTranspose
    """.split()
)
_JOINS = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")


def is_keras(operation, name) -> bool:
    """Whether an operation is the one of Keras with this class name."""
    # `keras.layers.Add` and the raw operation behind `a + b` share the name.
    return type(operation).__name__ == name and package_of(operation) == "keras"


def package_of(operation) -> str:
    """The package that an operation's class comes from."""
    return type(operation).__module__.split(".")[0]


def is_function_of_keras(function) -> bool:
    """Whether a function, or a method, is Keras's and not a user's."""
    return str(function.__module__).startswith("keras.")


def is_addition(operation) -> bool:
    """Whether an operation adds its tensors up, scaled or not."""
    return is_keras(operation, "Add") or _is_scaled_addition(operation)


def is_sum(call) -> bool:
    """Whether a call adds up tensors of the graph, and nothing else."""
    # `x + 3` is an addition too, and maps zero to three.
    return is_addition(call.operation) and len(call.inputs) > 1


def is_difference(operation) -> bool:
    """Whether an operation takes its second tensor from the first."""
    return is_keras(operation, "Subtract")


def adds_or_subtracts(operation) -> bool:
    """Whether an operation is a sum, scaled or not, or a difference."""
    return is_addition(operation) or is_difference(operation)


def passes_on(operation, position) -> bool:
    """Whether a sum or difference is this operand where the others are zero.

    Args:
        operation: An operation for which `adds_or_subtracts` holds.
        position: Int, the operand's place among the tensors that it takes.

    Returns:
        Bool.
    """
    return position == 0 or is_keras(operation, "Add")


def joins_alike(operation) -> bool:
    """Whether an operation joins tensors of one size, element by element."""
    return any(is_keras(operation, name) for name in _JOINS)


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
