"""Multiply-accumulate operations of layers, per example."""

import math

import keras

from keras_layer_prune.graph.traced_macs import traced_macs
from keras_layer_prune.graph.zero import package_of

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
_RECURRENT_CELLS = (
    keras.layers.SimpleRNNCell,
    keras.layers.GRUCell,
    keras.layers.LSTMCell,
)
# Keras's own layers whose call shows all its products in a trace.
_TRACED = (
    keras.layers.Attention,
    keras.layers.GroupQueryAttention,
    keras.layers.Wrapper,
)


def call_macs(layer, inputs, outputs, arguments=None) -> int:
    """Multiply-accumulates of one call of a layer.

    Counts matrix products and convolutions; additions, normalisations and
    activations are not multiply-accumulates of weights and are left out, as in the
    papers that report such figures. Unknown sizes count as 1. Keras's layers are
    counted by formula, those of others in a trace of their call.

    Args:
        layer: Built Keras layer or raw operation.
        inputs: List of symbolic input tensors of the call.
        outputs: List of symbolic output tensors of the call.
        arguments: Pair of the positional arguments of the call and a dictionary of
            the others. None: `inputs`, one by one.

    Returns:
        Int, multiply-accumulates per example.
    """
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
    if isinstance(layer, keras.layers.MultiHeadAttention):
        return _attention_macs(layer, inputs)
    if isinstance(layer, keras.layers.RNN):
        return _recurrent_macs(layer, inputs[0])
    if isinstance(layer, keras.layers.Bidirectional):
        both = (layer.forward_layer, layer.backward_layer)
        return sum(call_macs(one, inputs, outputs) for one in both)
    if _is_to_be_traced(layer):
        return traced_macs(layer, arguments or (tuple(inputs), {}))
    return 0


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
    inputs, output = equation.replace(" ", "").split("->")
    left, right = inputs.split(",")
    if "." in left:
        # An ellipsis stands for leading dimensions that the kernel does not have.
        named = len(left.replace(".", ""))
        leading = input_shape[1 : len(input_shape) - named]
        return _count(kernel_shape) * _count(leading)
    lengths = dict(zip(left, input_shape, strict=True))
    lengths.update(zip(right, kernel_shape, strict=True))
    batch = left[0]
    return _count(length for index, length in lengths.items() if index != batch)


def _recurrent_macs(layer, sequence) -> int:
    """At each step, what comes in and what came out before meet their kernels."""
    cells = getattr(layer.cell, "cells", [layer.cell])
    known = [cell for cell in cells if isinstance(cell, _RECURRENT_CELLS)]
    kernels = [k for cell in known for k in (cell.kernel, cell.recurrent_kernel)]
    return _count(sequence.shape[1:2]) * sum(_count(k.shape) for k in kernels)


def _attention_macs(layer, inputs) -> int:
    """Four projections, scores and the weighted sum of values."""
    query = inputs[0]
    value = inputs[1] if len(inputs) > 1 else query
    queries, values = _count(query.shape[1:-1]), _count(value.shape[1:-1])
    config = layer.get_config()
    heads, key_dim = config["num_heads"], config["key_dim"]
    value_dim = config["value_dim"] or key_dim
    width = int(query.shape[-1])
    output_width = _count(config["output_shape"] or (width,))
    projections = (
        queries * width * heads * key_dim
        + values * int(value.shape[-1]) * heads * (key_dim + value_dim)
        + queries * heads * value_dim * output_width
    )
    return projections + heads * queries * values * (key_dim + value_dim)
