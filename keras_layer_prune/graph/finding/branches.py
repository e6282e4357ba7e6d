"""The additions of a model: which operand is the shortcut, which are branches."""

import collections
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import tree

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.linear.linearity import (
    adds_no_nonlinearity,
    is_identity,
    is_linear,
)
from keras_layer_prune.graph.reading.lineage import Lineage
from keras_layer_prune.graph.reading.operations import is_addition, is_sum
from keras_layer_prune.graph.reading.status import Status, tensor_statuses


class Place(NamedTuple):
    """An addition, and where it stands.

    Attributes:
        path: String, names of the nested models around it, each with a dot.
        lineage: `Lineage` of its graph.
        call: The addition.
        times: Int, how often it runs: nested models can be called more than once.
        statuses: Dictionary from `tensor_statuses`, with all gates closed.
    """

    path: str
    lineage: Lineage
    call: private.Call
    times: int
    statuses: dict

    def is_gated(self, tensor) -> bool:
        """Whether a gate that is there already makes a tensor zero."""
        return self.statuses[id(tensor)] == Status.ZERO


class Shortcut(NamedTuple):
    """The operand of an addition that stays.

    Attributes:
        operand: Tensor that is added.
        source: Tensor from which it comes, and so do all other operands.
        way: Linear calls from the source to the operand, in running order.
        rivals: Int, how many other operands could be the shortcut.
    """

    operand: keras.KerasTensor
    source: keras.KerasTensor
    way: tuple
    rivals: int = 0

    @property
    def kind(self) -> str:
        """`"identity"` or `"projection"`."""
        is_plain = all(is_identity(c) or is_addition(c.operation) for c in self.way)
        return "identity" if is_plain else "projection"

    @property
    def weight(self) -> tuple:
        """Sorts shortcuts: what does least comes first."""
        return self.kind != "identity", count_weights(self.way), len(self.way)


def find_additions(model, gates) -> list[Place]:
    """Additions of two and more tensors, or of a tensor and a constant array.

    Args:
        model: Functional or built sequential model.
        gates: Set of the gates that it has.

    Returns:
        List of `Place`, nested models before what follows them, each addition once.
    """
    found = find_calls(model, _is_listed)
    graphs = {id(one.graph): one.graph for one in found}
    lineages = {key: Lineage(graph) for key, graph in graphs.items()}
    statuses = {key: tensor_statuses(graph, gates) for key, graph in graphs.items()}
    return [
        Place(path, lineages[id(graph)], call, times, statuses[id(graph)])
        for path, graph, call, times in found
    ]


class FoundCall(NamedTuple):
    """A call, and where it stands: as in `Place`."""

    path: str
    graph: Any
    call: private.Call
    times: int


def find_calls(model, is_wanted) -> list[FoundCall]:
    """Calls of some kind in a model, inside nested models too.

    Args:
        model: Functional or built sequential model.
        is_wanted: Function from a call to a bool.

    Returns:
        List of `FoundCall`, nested models before what follows them, each call once.
    """
    graphs = _graphs(private.graph_of(model), "")
    calls = [
        (path, graph, call) for path, graph in graphs for call in private.calls(graph)
    ]
    times = collections.Counter(_key(call) for _, _, call in calls)
    found: dict[int, FoundCall] = {}
    for path, graph, call in calls:
        if is_wanted(call):
            one = FoundCall(path, graph, call, times[_key(call)])
            found.setdefault(_key(call), one)
    return list(found.values())


def find_shortcut(place) -> Shortcut | None:
    """The operand from whose source all other operands descend.

    Decided by ancestry: an operand is a shortcut if going back from it by linear
    operations and additions leads to a tensor that all other operands depend on. Of
    several, the one that does least is taken: the identity before a projection, fewer
    weights before more, the shorter way before the longer.

    Args:
        place: `Place` of an addition.

    Returns:
        `Shortcut`, or None if no operand is one.
    """
    operands = place.call.operands
    found = []
    for i, operand in enumerate(operands):
        others = operands[:i] + operands[i + 1 :]
        shortcut = _linear_way(operand, others, place.lineage)
        if shortcut is not None:
            found.append(shortcut)
    if not found:
        return None
    best = min(found, key=lambda shortcut: shortcut.weight)
    return best._replace(rivals=len(found) - 1)


def count_weights(calls) -> int:
    """Parameters of the layers that are called."""
    layers = {
        call.operation
        for call in calls
        if isinstance(call.operation, keras.layers.Layer)
    }
    return sum(layer.count_params() for layer in layers)


def is_linear_branch(calls) -> bool:
    """Whether no call of a branch is nonlinear."""
    return all(adds_no_nonlinearity(call) for call in calls)


def has_additions(model) -> bool:
    """Whether a functional or sequential model has additions, at any depth."""
    return bool(find_calls(model, _is_listed))


def _graphs(functional, path) -> list[tuple]:
    """A graph after those inside it, as often as they are called."""
    found = []
    for call in private.calls(functional):
        inner = private.graph_of(call.operation)
        if inner is not None:
            found += _graphs(inner, f"{path}{call.operation.name}.")
    return [*found, (path, functional)]


def _key(call) -> int:
    return id(call.outputs[0])


def _is_listed(call) -> bool:
    if not is_addition(call.operation):
        return False
    arguments = tree.flatten((call.args, call.kwargs))
    # `x + 3.0` is part of an activation; `x + array` may be taken for a connection.
    constants = [x for x in arguments if not isinstance(x, keras.KerasTensor)]
    return len(call.operands) > 1 or any(np.ndim(x) > 0 for x in constants)


def _linear_way(operand, others, lineage) -> Shortcut | None:
    """The nearest tensor behind an operand that all others depend on."""
    waiting: collections.deque = collections.deque([(operand, ())])
    seen = set()
    while waiting and others:
        tensor, way = waiting.popleft()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if all(lineage.descends(other, tensor) for other in others):
            return Shortcut(operand, tensor, way)
        call = lineage.maker(tensor)
        if call is not None and (is_linear(call) or is_sum(call)):
            waiting.extend((x, (call, *way)) for x in call.operands)
    return None
