"""Multiply-accumulate operations of layers, per example."""

import math

import keras

from keras_layer_prune.graph.costs.traced_macs import traced_macs
from keras_layer_prune.graph.reading.operations import (
    is_function_of_keras,
    package_of,
)

_DENSE = (keras.layers.Dense,)
_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
)
_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
_WITH_KERNELS = (
    *_DENSE,
    *_CONVOLUTIONS,
    *_TRANSPOSED,
    *_SEPARABLE,
    keras.layers.EinsumDense,
)
_RECURRENT_CELLS = (
    keras.layers.SimpleRNNCell,
    keras.layers.GRUCell,
    keras.layers.LSTMCell,
)
_CONVOLUTIONAL_RECURRENT = (
    keras.layers.ConvLSTM1D,
    keras.layers.ConvLSTM2D,
    keras.layers.ConvLSTM3D,
)
# Keras's own layers whose call shows all its products in a trace.
_TRACED = (
    keras.layers.Attention,
    keras.layers.Dot,
    keras.layers.GroupQueryAttention,
    # A function of the user's, which may do anything.
    keras.layers.Lambda,
    keras.layers.MultiHeadAttention,
    keras.layers.Pipeline,
    # An embedding multiplies when it is called in reverse.
    keras.layers.ReversibleEmbedding,
    keras.layers.Wrapper,
)


def call_macs(layer, inputs, outputs, arguments=None) -> int:
    """Multiply-accumulates of one call of a layer.

    Counts matrix products and convolutions; additions, normalisations and
    activations are not multiply-accumulates of weights and are left out, as in the
    papers that report such figures. Unknown sizes count as 1. Keras's layers are
    counted by formula or in a trace of their call, those of others in a trace, and so
    are subclasses of Keras's with a `call` of their own. Not counted are raw operations
    (`keras.ops.matmul`) and recurrent cells of others.

    Args:
        layer: Built Keras layer or raw operation.
        inputs: List of symbolic input tensors of the call.
        outputs: List of symbolic output tensors of the call.
        arguments: Pair of the positional arguments of the call and a dictionary of
            the others. None: `inputs`, one by one.

    Returns:
        Int, multiply-accumulates per example.
    """
    if _calls_its_own_way(layer):
        return traced_macs(layer, arguments or (tuple(inputs), {}))
    if isinstance(layer, _DENSE):
        return _count(layer.kernel.shape) * _count(inputs[0].shape[1:-1])
    if isinstance(layer, _TRANSPOSED):
        return _count(layer.kernel.shape) * _positions(layer, inputs[0])
    if isinstance(layer, _SEPARABLE):
        kernels = _count(layer.depthwise_kernel.shape) + _count(
            layer.pointwise_kernel.shape
        )
        return kernels * _positions(layer, outputs[0])
    if isinstance(layer, _CONVOLUTIONS):
        return _count(layer.kernel.shape) * _positions(layer, outputs[0])
    if isinstance(layer, keras.layers.EinsumDense):
        return _einsum_macs(layer.equation, inputs[0].shape, layer.kernel.shape)
    if isinstance(layer, _CONVOLUTIONAL_RECURRENT):
        return _convolutional_recurrent_macs(layer, inputs[0], outputs[0])
    if isinstance(layer, keras.layers.RNN):
        return _recurrent_macs(layer, inputs[0])
    if isinstance(layer, keras.layers.Bidirectional):
        both = (layer.forward_layer, layer.backward_layer)
        return sum(call_macs(one, inputs, outputs) for one in both)
    if _is_to_be_traced(layer):
        return traced_macs(layer, arguments or (tuple(inputs), {}))
    return 0


def _calls_its_own_way(layer) -> bool:
    """Whether a user's subclass may use another kernel than Keras's, or further ones.

    A recurrent layer is none: a trace does not see how often its loop runs.
    """
    is_kind = isinstance(layer, _WITH_KERNELS) and package_of(layer) != "keras"
    return is_kind and not is_function_of_keras(type(layer).call)


def _is_to_be_traced(layer) -> bool:
    """Whether a layer may multiply in ways that only its call knows."""
    if isinstance(layer, _TRACED):
        return True
    is_layer = isinstance(layer, keras.layers.Layer)
    return is_layer and package_of(layer) not in ("keras", "keras_layer_prune")


def _count(shape) -> int:
    return math.prod(1 if length is None else int(length) for length in shape)


def _positions(layer, tensor) -> int:
    """Places that a kernel is applied at: the tensor without batch and channels."""
    if layer.data_format == "channels_first":
        return _count(tensor.shape[2:])
    return _count(tensor.shape[1:-1])


def _einsum_macs(equation, input_shape, kernel_shape) -> int:
    """Product of the lengths of all indices but the batch's."""
    operands, _ = equation.split("->")
    left, right = operands.split(",")
    named = left.replace(".", "")
    # An ellipsis stands for axes that the kernel does not have, first or last.
    unnamed = range(len(input_shape) - len(named))
    axes = [*unnamed, *named] if left.startswith(".") else [*named, *unnamed]
    lengths = dict(zip(axes, input_shape, strict=True))
    lengths.update(zip(right, kernel_shape, strict=True))
    batch = axes[0]
    return _count(length for axis, length in lengths.items() if axis != batch)


def _recurrent_macs(layer, sequence) -> int:
    """At each step, what comes in and what came out before meet their kernels."""
    cells = getattr(layer.cell, "cells", [layer.cell])
    known = [cell for cell in cells if isinstance(cell, _RECURRENT_CELLS)]
    kernels = [k for cell in known for k in (cell.kernel, cell.recurrent_kernel)]
    return _count(sequence.shape[1:2]) * sum(_count(k.shape) for k in kernels)


def _convolutional_recurrent_macs(layer, sequence, output) -> int:
    """At each step and place, what comes in and what came out before."""
    cell, rank = layer.cell, layer.cell.rank
    kernels = _count(cell.kernel.shape) + _count(cell.recurrent_kernel.shape)
    is_last = cell.data_format == "channels_last"
    places = output.shape[-rank - 1 : -1] if is_last else output.shape[-rank:]
    return _count(sequence.shape[1:2]) * _count(places) * kernels
