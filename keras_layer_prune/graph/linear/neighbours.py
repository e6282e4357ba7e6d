"""Whether linear layers come to stand side by side when some sections leave."""

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.linear.linearity import is_identity
from keras_layer_prune.graph.linear.maps import is_activated, is_map, is_over_places
from keras_layer_prune.graph.reading.operations import adds_or_subtracts
from keras_layer_prune.graph.reading.status import Status, tensor_statuses
from keras_layer_prune.layers.bernoulli_gate import BernoulliGate
from keras_layer_prune.layers.gated_layer import GatedLayer
from keras_layer_prune.layers.gated_residual import GatedResidual
from keras_layer_prune.layers.seam import Seam


def may_meet(network, closed) -> bool:
    """Whether `fold_seams` might find something once some gates are closed.

    What stood side by side before does not count.

    Args:
        network: Functional or built sequential model.
        closed: Gates to take as closed, all others as open.
    """
    return any(
        _may_meet_in(graph, set(closed)) for graph in private.all_graphs(network)
    )


def _may_meet_in(graph, closed) -> bool:
    statuses = tensor_statuses(graph, closed)
    # What linear layers return, also behind what lets it pass; and where something
    # has left, as `Seams` notes it.
    linear: set[int] = set()
    torn: set[int] = set()
    for call in private.calls(graph):
        live = {id(x) for x in call.inputs if statuses[id(x)] != Status.ZERO}
        outputs = set(map(id, call.outputs))
        maps = _maps_of(call.operation, closed)
        loses = _loses_something(call, live, closed)
        if loses:
            torn |= live
        if maps and live & linear & torn:
            return True
        ends_linear = not all(map(is_activated, maps))
        if ends_linear or live & linear and _lets_pass(call, live, closed):
            linear |= outputs
            if loses or live & linear & torn:
                torn |= outputs
    return False


def _loses_something(call, live, closed) -> bool:
    """Whether something leaves at a call, or has left there before."""
    if isinstance(call.operation, Seam):
        return True
    if isinstance(call.operation, GatedResidual | GatedLayer):
        return call.operation.gate in closed
    is_sum = adds_or_subtracts(call.operation)
    return is_sum and len(live) < len(set(map(id, call.inputs)))


def _maps_of(operation, closed) -> list:
    """The linear layers that an operation is, or leaves in its place."""
    if not isinstance(operation, GatedResidual | GatedLayer):
        return [operation] if is_map(operation) else []
    is_closed = operation.gate in closed
    left = getattr(operation, "shortcut", None) if is_closed else operation
    return [] if left is None else [x for x in private.all_layers(left) if is_map(x)]


def _lets_pass(call, live, closed) -> bool:
    """Whether a call may hand on what it takes, or places of it."""
    operation = call.operation
    if isinstance(operation, GatedResidual | GatedLayer):
        return operation.gate in closed
    if adds_or_subtracts(operation):
        return len(live) == 1
    is_gate = isinstance(operation, BernoulliGate)
    return is_gate or is_identity(call) or is_over_places(operation)
