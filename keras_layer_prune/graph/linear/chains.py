"""Rows of linear layers in a graph, multiplied out where a section held them apart."""

import collections
from typing import Any, NamedTuple

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.costs.anatomy import layers_at_work
from keras_layer_prune.graph.linear.maps import (
    is_activated,
    is_map,
    is_over_places,
    map_of,
    pooled_once,
    product,
)
from keras_layer_prune.graph.reading.lineage import Lineage
from keras_layer_prune.graph.reading.masks import masks_of
from keras_layer_prune.layers.seam import Seam


class Part(NamedTuple):
    """A linear map or a pooling, and which layers of a chain it stands for.

    `start` is negative if it stands for layers before the chain too.
    """

    what: Any
    start: int
    end: int


class Chain:
    """Layers of a graph, each called once, and each but the last by the next alone.

    All are linear; only the last one may have an activation.

    Args:
        layers: List of Keras layers, in running order.
        macs: Dictionary from layer to its multiply-accumulates per example.

    Attributes:
        layers: The same.
        maps: List of `Part`, the linear maps that are left.
        takers: List of the chains that take the result, if nothing else does; empty
            otherwise.
    """

    def __init__(self, layers, macs):
        self.layers = layers
        self.maps = [
            Part(map_of(layer, macs[layer]), i, i)
            for i, layer in enumerate(layers)
            if is_map(layer)
        ]
        self.takers: list[Chain] = []

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the linear maps that are left, per example."""
        return _macs(part.what for part in self.maps)

    def fold(self):
        """Multiply neighbours, where that is no more work."""

        def whole_of(first, second):
            whole = _product(first, second, self.layers)
            if whole and whole.macs <= _macs([first.what, second.what]):
                return whole
            return None

        self.maps = folded(self.maps, whole_of)

    def spread(self) -> bool:
        """Multiply the last map into all that take its result, if it is no more work.

        Returns:
            Bool, whether that was done.
        """
        may_be = self.maps and self.takers and not is_activated(self.layers[-1])
        if not may_be or not all(chain.maps for chain in self.takers):
            return False
        last = self.maps[-1]
        joined = [chain._first_behind(last, self.layers) for chain in self.takers]
        before = [last.what, *(chain.maps[0].what for chain in self.takers)]
        if None in joined or _macs(part.what for part in joined) > _macs(before):
            return False
        for chain, part in zip(self.takers, joined, strict=True):
            chain.maps[0] = part
        self.maps.pop()
        return True

    def _first_behind(self, last, layers):
        """The first map and the last one of the layers before the chain as one."""
        first, n = self.maps[0], len(layers)
        moved = first._replace(start=first.start + n, end=first.end + n)
        whole = _product(last, moved, layers + self.layers)
        return whole and first._replace(what=whole, start=last.start - n)

    def averages(self) -> list:
        """Poolings that have become neighbours, as `Part`s of their product."""
        gone = {i for i, x in enumerate(self.layers) if self._is_gone(i)}
        left = [Part(x, i, i) for i, x in enumerate(self.layers) if i not in gone]

        def whole_of(first, second):
            is_new = second.start > first.end + 1
            return pooled_once(first.what, second.what) if is_new else None

        return [part for part in folded(left, whole_of) if part.start < part.end]

    def _is_gone(self, i) -> bool:
        layer = self.layers[i]
        is_kept = any(part.end == i for part in self.maps)
        return isinstance(layer, Seam) or is_map(layer) and not is_kept


def linear_chains(network) -> list[Chain]:
    """All rows of linear layers in a model, and in the models inside of it."""
    uses = layers_at_work(network)
    times = collections.Counter(use.layer for use in uses)
    macs = {use.layer: use.macs for use in uses}
    masked = masks_of(network).masked

    def is_linear(call):
        return times[call.operation] == 1 and _is_linear(call, masked)

    graphs = private.all_graphs(network)
    return [chain for graph in graphs for chain in _chains(graph, is_linear, macs)]


def _chains(graph, is_linear, macs) -> list[Chain]:
    lineage = Lineage(graph)
    rows: dict[int, list] = {}
    growing: dict[int, list] = {}
    for call in lineage.calls:
        if not is_linear(call):
            continue
        row = growing.pop(id(call.inputs[0]), None)
        if row is None:
            row = rows[id(call.outputs[0])] = []
        row.append(call)
        end = call.outputs[0]
        if len(lineage.takers(end)) == 1 and not is_activated(call.operation):
            growing[id(end)] = row
    chains = {
        key: Chain([call.operation for call in row], macs) for key, row in rows.items()
    }
    for key, row in rows.items():
        takers = [id(x.outputs[0]) for x in lineage.takers(row[-1].outputs[0])]
        if all(taker in chains for taker in takers):
            chains[key].takers = [chains[taker] for taker in takers]
    return list(chains.values())


def _is_linear(call, masked) -> bool:
    layer = call.operation
    return (
        len(call.args) == len(call.inputs) == 1
        and not any(value is not None for value in call.kwargs.values())
        and id(call.inputs[0]) not in masked
        and (isinstance(layer, Seam) or is_map(layer) or is_over_places(layer))
    )


def _product(first, second, row):
    """Two maps of a row of layers as one, if a section has left the gap between."""
    gap = row[first.end + 1 : second.start]
    if not any(isinstance(layer, Seam) for layer in gap):
        return None
    between = filter(is_over_places, row[first.end + 1 : second.end])
    return product(first.what, second.what, list(between))


def _macs(maps) -> int:
    return sum(linear_map.macs for linear_map in maps)


def folded(parts, whole_of) -> list:
    """Neighbours made one until none is left that can be.

    Args:
        parts: List of `Part`.
        whole_of: Function of two neighbours; returns what the two become, or None.

    Returns:
        List of `Part`.
    """
    parts, i = list(parts), 0
    while i + 1 < len(parts):
        first, second = parts[i : i + 2]
        whole = whole_of(first, second)
        if whole is None:
            i += 1
        else:
            parts[i : i + 2] = [Part(whole, first.start, second.end)]
            # What comes before has a new neighbour.
            i = max(i - 1, 0)
    return parts
