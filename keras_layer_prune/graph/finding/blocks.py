"""Layers that hold others where no graph shows them: blocks, gated as a whole."""

import collections

import keras

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.finding.branches import (
    FoundCall,
    find_calls,
    has_additions,
)
from keras_layer_prune.graph.reading.arguments import first_argument
from keras_layer_prune.graph.reading.operations import package_of
from keras_layer_prune.layers.gated_layer import GatedLayer
from keras_layer_prune.layers.gated_residual import GatedResidual


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
