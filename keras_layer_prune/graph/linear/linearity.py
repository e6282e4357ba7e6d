"""Which calls of a graph are linear, so that a shortcut may pass through them."""

import keras

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.reading.operations import AFFINE, LINEAR, is_keras, is_sum
from keras_layer_prune.layers.seam import Seam

# Linear but for an offset.
_WITH_OFFSET = {"BatchNormalization", "Normalization", "Rescaling", "Pad"}
# Raw operations that are linear, or linear plus an offset, if the second operand is
# a constant.
_WITH_CONSTANT = ("Add", "Subtract", "Multiply", "Divide", "TrueDivide")


def is_identity(call) -> bool:
    """Whether a call returns its one tensor as it is."""
    operation = call.operation
    if is_keras(operation, "Activation"):
        return operation.activation is keras.activations.linear
    return is_keras(operation, "Identity") or isinstance(operation, Seam)


def is_linear(call) -> bool:
    """Whether a call maps its one tensor linearly, offsets allowed.

    A batch normalisation counts: it is linear once trained. So does dropout, which
    multiplies. Sequential and functional models inside count if all their calls do.

    Args:
        call: Call of a graph.

    Returns:
        Bool. False for what is not known.
    """
    if len(call.operands) != 1:
        return False
    return is_identity(call) or _is_linear_operation(call)


def adds_no_nonlinearity(call) -> bool:
    """Whether a call is linear, or adds tensors up."""
    return is_linear(call) or is_sum(call)


def _is_linear_operation(call) -> bool:
    operation = call.operation
    inner = private.graph_of(operation)
    if inner is not None:
        return all(adds_no_nonlinearity(inside) for inside in private.calls(inner))
    name = type(operation).__name__
    if not is_keras(operation, name):
        return False
    if name in AFFINE:
        return operation.activation in (None, keras.activations.linear)
    if name in ("MaxPooling1D", "MaxPooling2D", "MaxPooling3D"):
        # Pooling over one place only drops places; ResNet50V2 does it.
        return set(operation.pool_size) == {1}
    if name in _WITH_CONSTANT:
        return call.operands[0] is call.args[0] or name in ("Add", "Multiply")
    return name in LINEAR | _WITH_OFFSET
