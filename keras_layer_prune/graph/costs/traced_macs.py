"""Multiply-accumulates of layers whose sizes no formula knows: counted in a trace.

A layer that somebody else wrote may hold others, and may multiply by itself. TensorFlow
can trace its call, and the trace names every product that it computes.
"""

import math
import warnings
import weakref

import keras
import tensorflow as tf
from keras import tree

# Tracing takes some hundredths of a second, and costs are asked for at every look at a
# network.
_COUNTED: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def traced_macs(layer, arguments) -> int:
    """Multiply-accumulates of one call of a built layer, as TensorFlow traces it.

    What TensorFlow computes in other ways counts as it is computed: a dilated
    convolution over what it pads, and loops and branches as nothing. Nor do products
    count of which not even the number of axes is known.

    Args:
        layer: Built Keras layer.
        arguments: Nested structure with the symbolic tensors of the call, positional
            arguments first and then a dictionary of the others.

    Returns:
        Int, per example; unknown sizes count as 1. 0 for a call that cannot be traced
        by itself, or counted.
    """
    tensors = [x for x in tree.flatten(arguments) if isinstance(x, keras.KerasTensor)]
    specs = tuple(tf.TensorSpec(_sizes(x.shape), x.dtype) for x in tensors)
    counted = _COUNTED.setdefault(layer, {})
    # What a call computes may depend on its other arguments too.
    key = (specs, repr(tree.map_structure(_if_no_tensor, arguments)))
    if key not in counted:
        counted[key] = _count(layer, arguments, specs)
    return counted[key]


def _if_no_tensor(value):
    return None if isinstance(value, keras.KerasTensor) else value


def keep_counts(old, new):
    """Have an exact copy of a layer counted as the old one was.

    Every pruning event makes copies of all layers that stay.

    Args:
        old: Built Keras layer.
        new: Built Keras layer with the same parts and weights.
    """
    if old in _COUNTED:
        _COUNTED[new] = dict(_COUNTED[old])


def _count(layer, arguments, specs) -> int:
    def call(*tensors):
        waiting = iter(tensors)

        def renew(value):
            return next(waiting) if isinstance(value, keras.KerasTensor) else value

        args, kwargs = tree.map_structure(renew, arguments)
        # Nothing that the call notes, such as losses, may outlive the trace.
        with keras.StatelessScope():
            return layer(*args, **kwargs)

    try:
        with warnings.catch_warnings():
            # Of sizes, for example, that are 1 here and not in use.
            warnings.simplefilter("ignore")
            traced = tf.function(call, autograph=False).get_concrete_function(*specs)
        return sum(map(_macs_of, traced.graph.get_operations()))
    except Exception:
        # A count is for a report, which must not fail because of it.
        return 0


def _sizes(shape) -> tuple:
    """One example, and 1 for whatever else is not known."""
    return (1, *(1 if length is None else length for length in shape[1:]))[: len(shape)]


def _macs_of(operation) -> int:
    if operation.type in _CALLS:
        # What it returns may have any rank.
        return _of_function(operation)
    count = _PRODUCTS.get(operation.type)
    if count is None or not _has_known_ranks(operation):
        return 0
    return count(operation)


def _has_known_ranks(operation) -> bool:
    tensors = (*operation.inputs, *operation.outputs)
    return all(tensor.shape.rank is not None for tensor in tensors)


def _of_function(operation) -> int:
    """What is decorated with `tf.function`, by users or by Keras, is a graph inside.

    It may have been traced for more sizes than this one, and not know any: it becomes
    a part of the graph that calls it, which does.
    """
    graph, name = operation.graph, operation.get_attr("f").name
    inside = graph._get_function(name).graph
    given = {x.name: y for x, y in zip(inside.inputs, operation.inputs, strict=True)}
    names = [inner.name for inner in inside.get_operations()]
    definition = inside.as_graph_def()
    # The graph knows the functions that this one calls, and would know less of copies.
    definition.ClearField("library")
    with graph.as_default():
        part = tf.graph_util.import_graph_def(definition, given, names)
    return sum(map(_macs_of, part))


def _size(tensor) -> int:
    return math.prod(length or 1 for length in tensor.shape.as_list())


def _of_matrices(operation) -> int:
    """`output[..., i, j] = sum_k left[..., i, k] * right[..., k, j]`."""
    transposed = operation.type == "MatMul" and operation.get_attr("transpose_a")
    adjoint = operation.type != "MatMul" and operation.get_attr("adj_x")
    axis = -2 if transposed or adjoint else -1
    return _size(operation.outputs[0]) * (operation.inputs[0].shape[axis] or 1)


def _of_einsum(operation) -> int:
    if len(operation.inputs) < 2:
        return 0
    operands, output = operation.get_attr("equation").decode().split("->")
    summed: dict[str, int] = {}
    for letters, tensor in zip(operands.split(","), operation.inputs, strict=True):
        # Lengths are read from the end: an ellipsis stands first, for leading axes.
        lengths = reversed(tensor.shape.as_list())
        named = reversed(letters.replace(".", ""))
        summed.update(zip(named, lengths, strict=False))
    gone = [length or 1 for name, length in summed.items() if name not in output]
    return _size(operation.outputs[0]) * math.prod(gone)


def _of_convolution(operation) -> int:
    """Each output sums over a window and over the channels of its group."""
    kernel = operation.inputs[1]
    return _size(operation.outputs[0]) * _size(kernel) // kernel.shape[-1]


def _of_depthwise(operation) -> int:
    """Each output sums over a window."""
    height, width = operation.inputs[1].shape[:2]
    return _size(operation.outputs[0]) * height * width


def _of_transposed(operation) -> int:
    """Each input, the last of the operands, is spread over a window and all filters."""
    kernel = operation.inputs[1]
    return _size(operation.inputs[2]) * _size(kernel) // kernel.shape[-1]


_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_PRODUCTS = {
    "MatMul": _of_matrices,
    "BatchMatMul": _of_matrices,
    "BatchMatMulV2": _of_matrices,
    "BatchMatMulV3": _of_matrices,
    "Einsum": _of_einsum,
    "Conv2D": _of_convolution,
    "Conv3D": _of_convolution,
    "DepthwiseConv2dNative": _of_depthwise,
    "Conv2DBackpropInput": _of_transposed,
    "Conv3DBackpropInputV2": _of_transposed,
}
