"""Layers that hold others where no graph shows them: blocks, gated as a whole."""

import collections

import keras
from keras import tree

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.costs.sizes import sized
from keras_layer_prune.graph.finding.branches import (
    FoundCall,
    find_calls,
    has_additions,
)
from keras_layer_prune.graph.reading.arguments import first_argument
from keras_layer_prune.graph.reading.operations import package_of
from keras_layer_prune.layers.gated_layer import GatedLayer
from keras_layer_prune.layers.gated_residual import GatedResidual

# Where the graph knows none. Large enough to be halved a few times.
_SIZE = 16


def find_blocks(model) -> list[FoundCall]:
    """Layers that could be the identity instead, as far as shapes say.

    Transformer blocks of KerasHub are such layers, and so are subclassed models that
    are called like one.

    Args:
        model: Functional or built sequential model.

    Returns:
        List of `FoundCall`, each layer once; `times` is how often it is called.
    """
    times: collections.Counter = collections.Counter()
    for one in find_calls(model, lambda call: _hides_layers(call.operation)):
        times[id(one.call.operation)] += one.times
    blocks = {id(one.call.operation): one for one in find_calls(model, _is_block)}
    return [one._replace(times=times[key]) for key, one in blocks.items()]


def find_hidden_additions(model) -> list[FoundCall]:
    """Calls of layers that hold a model with additions and are no blocks.

    Args:
        model: Functional or built sequential model.

    Returns:
        List of `FoundCall`.
    """
    return find_calls(model, _hides_additions)


def models_inside(layer) -> list:
    """Models inside of a layer whose graphs can be read and have additions."""
    return [
        x
        for x in private.all_layers(layer)
        if private.graph_of(x) is not None and has_additions(x)
    ]


def shapes_tried(block) -> tuple:
    """Shapes that a block takes and makes, with sizes for those that no graph knows.

    A block that halves a length returns what has the shape of its input, as long as the
    length is not known.

    Args:
        block: `FoundCall` of a block.

    Returns:
        Pair of shapes without the batch. They are the same where the block keeps the
        shape, and where it does not tell.
    """
    call = block.call
    known = tuple(first_argument(call).shape[1:])
    if None not in known:
        return known, known
    call = sized(call, {id(x): _with_sizes(x) for x in call.inputs})
    given = tuple(first_argument(call).shape[1:])
    try:
        made = call.operation.compute_output_spec(*call.args, **call.kwargs)
    except Exception:
        # It may take other sizes.
        return given, given
    (output,) = tree.flatten(made)
    is_told = None not in output.shape[1:]
    return given, tuple(output.shape[1:]) if is_told else given


def _with_sizes(tensor):
    batch, *sizes = tensor.shape
    shape = (batch, *(_SIZE if size is None else size for size in sizes))
    return keras.KerasTensor(shape, tensor.dtype)


def _is_block(call) -> bool:
    layer = call.operation
    is_known = package_of(layer) == "keras"
    return not is_known and _hides_layers(layer) and _keeps_shape(call)


def _hides_additions(call) -> bool:
    layer = call.operation
    is_hiding = _hides_layers(layer) and not _is_block(call)
    return is_hiding and bool(models_inside(layer))


def _hides_layers(layer) -> bool:
    is_layer = isinstance(layer, keras.layers.Layer)
    is_opaque = is_layer and private.graph_of(layer) is None
    is_gated = isinstance(layer, GatedResidual | GatedLayer)
    return is_opaque and not is_gated and len(private.all_layers(layer)) > 1


def _keeps_shape(call) -> bool:
    source = first_argument(call)
    if not isinstance(source, keras.KerasTensor) or len(call.outputs) > 1:
        return False
    (output,) = call.outputs
    is_same = tuple(source.shape) == tuple(output.shape)
    # Their precision may differ: a layer casts what it is given.
    return is_same and all(map(_is_float, (source, output)))


def _is_float(tensor) -> bool:
    return keras.backend.is_float_dtype(tensor.dtype)
