"""What a network computes once some gates are closed: layers, parameters, MACs."""

from typing import Any, NamedTuple

import keras

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.costs.macs import call_macs
from keras_layer_prune.graph.costs.sizes import sized, sizes_of
from keras_layer_prune.graph.reading.parts import parts_of
from keras_layer_prune.graph.reading.status import (
    needed_calls,
    nested_statuses,
    tensor_statuses,
)
from keras_layer_prune.layers.bernoulli_gate import BernoulliGate
from keras_layer_prune.layers.gated_layer import GatedLayer
from keras_layer_prune.layers.gated_residual import GatedResidual


class Use(NamedTuple):
    """One layer at work in one place of a network."""

    layer: Any
    macs: int


def layers_at_work(model, closed=(), inputs=None, sizes=None) -> list[Use]:
    """Layers that the outputs still depend on once some gates are closed.

    Args:
        model: Functional or built sequential model.
        closed: `BernoulliGate` layers to take as closed.
        inputs: List of statuses of the model's inputs; all live if None.
        sizes: Dictionary from `sizes_of` where the model is called; what its graph
            says if None.

    Returns:
        List of `Use`, one for each call of a layer that holds no other layer that
        can be read, in running order.
    """
    functional = private.graph_of(model)
    statuses = tensor_statuses(functional, set(closed), inputs)
    return [
        use
        for call in needed_calls(functional, statuses)
        for use in uses_of_call(call, closed, statuses, sizes)
    ]


def uses_of_call(call, closed=(), statuses=None, sizes=None) -> list[Use]:
    """Layers at work in one call of a graph, inside nested models too.

    Args:
        call: Call of a graph.
        closed: `BernoulliGate` layers to take as closed.
        statuses: Dictionary from `tensor_statuses` of the graph; all live if None.
        sizes: Dictionary from `sizes_of` of the graph; what it says itself if None.

    Returns:
        List of `Use`, in running order.
    """
    layer, here = call.operation, sized(call, sizes)
    inner = private.graph_of(layer)
    if inner is not None:
        inside = nested_statuses(call, inner, statuses or {})
        given = private.nested_arguments(here, inner)
        return layers_at_work(layer, closed, inside, sizes_of(inner, given))
    if isinstance(layer, GatedResidual | GatedLayer):
        parts = _parts_at_work(layer, closed)
        return [use for part in parts for use in _uses_of_part(part, here, closed)]
    return _uses_of_part(layer, here, closed)


def _uses_of_part(layer, call, closed) -> list[Use]:
    """Uses of a layer that works on a call's inputs and makes its outputs."""
    inner = private.graph_of(layer)
    if inner is not None:
        return layers_at_work(layer, closed, sizes=sizes_of(inner, call.operands))
    if not isinstance(layer, keras.layers.Layer):
        return []
    arguments = (call.args, call.kwargs)
    return [Use(layer, call_macs(layer, call.inputs, call.outputs, arguments))]


def _parts_at_work(layer, closed) -> list:
    parts = parts_of(layer)
    if layer.gate not in closed:
        return parts
    return [part for part in parts if part is getattr(layer, "shortcut", None)]


def count_parameters(uses) -> int:
    """Weights of the layers at work, each layer once; gates hold none."""
    layers = {use.layer for use in uses if not isinstance(use.layer, BernoulliGate)}
    return sum(layer.count_params() for layer in layers)


def count_macs(uses) -> int:
    """Multiply-accumulates of the layers at work, per example."""
    return sum(use.macs for use in uses)


def gone(whole, rest) -> list[Use]:
    """Uses of layers that are no longer at work anywhere.

    Takes what `saved` does.
    """
    remaining = {use.layer for use in rest}
    return [use for use in whole if use.layer not in remaining]


def saved(whole, rest) -> dict[str, int]:
    """What a network costs less when some of its layers are gone.

    Args:
        whole: List of `Use`, the layers at work before.
        rest: List of `Use`, those that are left.

    Returns:
        Dictionary of `parameters` and `macs`.
    """
    return {
        # To count these takes less time than to count all of them twice.
        "parameters": count_parameters(gone(whole, rest)),
        "macs": count_macs(whole) - count_macs(rest),
    }
