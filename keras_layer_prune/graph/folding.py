"""Linear layers that a removed section held apart, folded into one.

A chain of linear layers is one linear map. Where the chain was the user's, it stays as
it is: a factorisation is a choice. Where it came about because a section left, which a
`Seam` in the graph says, neighbours are multiplied out, unless the product has more
to do than the two had.
"""

import collections
from typing import Any, NamedTuple

import keras

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.anatomy import layers_at_work
from keras_layer_prune.graph.lineage import Lineage
from keras_layer_prune.graph.linear_maps import (
    as_layer,
    is_activated,
    is_map,
    is_over_places,
    map_of,
    pooled_once,
    product,
)
from keras_layer_prune.graph.retrace import Retrace
from keras_layer_prune.layers.seam import Seam


def fold_seams(network) -> keras.Model:
    """A network without seams, the layers around them folded where that is exact.

    Not for the middle of a training: an optimizer's momenta of a product cannot be had
    from those of its factors.

    Args:
        network: Functional or built sequential model.

    Returns:
        A functional model with weights of its own, or `network` if it has no seams.
    """
    seams = [x for x in private.all_layers(network) if isinstance(x, Seam)]
    if not seams:
        return network
    plan = _Plan(network)
    instead = {**dict.fromkeys(seams), **plan.instead}
    folded = Retrace(instead=instead).rebuild(network)
    for layer, arrays in plan.weights:
        layer.set_weights(arrays)
    return folded


class _Part(NamedTuple):
    """A linear map or a layer, and which calls of a chain it stands for."""

    what: Any
    start: int
    end: int


class _Plan:
    """What is to stand in a network instead of the layers that are folded.

    Attributes:
        instead: Dictionary from layer to a new layer, or to None where it goes.
        weights: List of pairs, a new layer and the arrays that are to be its weights.
    """

    def __init__(self, network):
        self.instead: dict = {}
        self.weights: list = []
        uses = layers_at_work(network)
        self._times = collections.Counter(use.layer for use in uses)
        self._macs = {use.layer: use.macs for use in uses}
        for graph in _graphs(network):
            for chain in self._chains(graph):
                self._fold_maps(chain)
                self._fold_poolings(chain)

    def _chains(self, graph) -> list:
        """Rows of linear layers, each called once, and by nothing but the next one."""
        lineage = Lineage(graph)
        chains: list[list] = []
        growing: dict[int, list] = {}
        for call in lineage.calls:
            layer = call.operation
            if not self._is_linear(call):
                continue
            chain = growing.pop(id(call.inputs[0]), [])
            if not chain:
                chains.append(chain)
            chain.append(layer)
            end = call.outputs[0]
            if lineage.only_user(end) is not None and not is_activated(layer):
                growing[id(end)] = chain
        return chains

    def _is_linear(self, call) -> bool:
        layer = call.operation
        is_plain = len(call.args) == 1 and len(call.inputs) == 1
        return (
            is_plain
            and not any(value is not None for value in call.kwargs.values())
            and private.mask_of(call.inputs[0]) is None
            and (isinstance(layer, Seam) or is_map(layer) or is_over_places(layer))
            and self._times[layer] == 1
        )

    def _fold_maps(self, chain):
        parts = [
            _Part(map_of(layer, self._macs[layer]), i, i)
            for i, layer in enumerate(chain)
            if is_map(layer)
        ]

        def fold(first, second):
            gap = chain[first.end + 1 : second.start]
            if not any(isinstance(layer, Seam) for layer in gap):
                return None
            between = chain[first.end + 1 : second.end]
            between = [layer for layer in between if is_over_places(layer)]
            whole = product(first.what, second.what, between)
            if whole is None or whole.macs > first.what.macs + second.what.macs:
                return None
            return whole

        for part in _folded(parts, fold):
            if part.start < part.end:
                layer, arrays = as_layer(part.what)
                self.weights.append((layer, arrays))
                self._replace(filter(is_map, chain[part.start : part.end + 1]), layer)

    def _fold_poolings(self, chain):
        gone = [isinstance(x, Seam) or self.instead.get(x, x) is None for x in chain]
        left = [_Part(x, i, i) for i, x in enumerate(chain) if not gone[i]]

        def fold(first, second):
            # They were no neighbours from the start.
            is_new = second.start > first.end + 1
            return pooled_once(first.what, second.what) if is_new else None

        for part in _folded(left, fold):
            if part.start < part.end:
                pools = [
                    x for x in chain[part.start : part.end + 1] if is_over_places(x)
                ]
                self._replace(pools, part.what)

    def _replace(self, layers, new):
        *rest, last = layers
        self.instead |= {**dict.fromkeys(rest), last: new}


def _graphs(network) -> list:
    """The graphs of a model and of all models inside it, each once."""
    graphs = [private.graph_of(layer) for layer in private.all_layers(network)]
    return list({id(graph): graph for graph in graphs if graph is not None}.values())


def _folded(parts, fold) -> list:
    """Neighbours folded until none is left that can be.

    Args:
        parts: List of `_Part`.
        fold: Function of two neighbours; returns what the two become, or None.

    Returns:
        List of `_Part`.
    """
    parts, i = list(parts), 0
    while i + 1 < len(parts):
        first, second = parts[i : i + 2]
        whole = fold(first, second)
        if whole is None:
            i += 1
        else:
            parts[i : i + 2] = [_Part(whole, first.start, second.end)]
            # What comes before has a new neighbour.
            i = max(i - 1, 0)
    return parts
