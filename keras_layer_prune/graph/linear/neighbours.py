"""Whether linear layers could come to stand side by side if sections left."""

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.linear.linearity import is_identity
from keras_layer_prune.graph.linear.maps import is_activated, is_map, is_over_places
from keras_layer_prune.graph.reading.operations import is_addition, is_difference
from keras_layer_prune.layers.bernoulli_gate import BernoulliGate
from keras_layer_prune.layers.gated_layer import GatedLayer
from keras_layer_prune.layers.gated_residual import GatedResidual


def may_meet(network) -> bool:
    """Whether `fold_seams` might find something if gates closed, whichever these are.

    Args:
        network: Functional or built sequential model.
    """
    return any(map(_may_meet_in, private.all_graphs(network)))


def _may_meet_in(graph) -> bool:
    # What a linear layer returns, also behind what may leave or lets it pass.
    linear: set[int] = set()
    for call in private.calls(graph):
        is_behind_one = any(id(x) in linear for x in call.inputs)
        maps = _maps_in(call.operation)
        if is_behind_one and maps:
            return True
        ends_linear = not all(map(is_activated, maps))
        if ends_linear or is_behind_one and _may_let_pass(call):
            linear.update(map(id, call.outputs))
    return False


def _maps_in(operation) -> list:
    """The linear layers that an operation is, or leaves in its place."""
    if isinstance(operation, GatedResidual | GatedLayer):
        return [part for part in private.all_layers(operation) if is_map(part)]
    return [operation] if is_map(operation) else []


def _may_let_pass(call) -> bool:
    operation = call.operation
    is_gate = isinstance(operation, BernoulliGate | GatedResidual | GatedLayer)
    is_sum = is_addition(operation) or is_difference(operation)
    return is_gate or is_sum or is_identity(call) or is_over_places(operation)
