"""Copies of a network's layers, each made once and with a name of its own: `Copies`."""

import collections
from typing import Any

import keras

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.reading.parts import parts_of
from keras_layer_prune.graph.rebuilding.cloning import clone_operation, is_lookup
from keras_layer_prune.layers.gated_layer import GatedLayer
from keras_layer_prune.layers.gated_residual import GatedResidual


class Copies:
    """The new layers of a network that is being rewritten, by the old ones.

    However often a layer is used, wherever in the network, it has one copy.

    Args:
        network: Functional or built sequential model.
        changes: `Changes`.
        rebuild: Function from a nested model, and arguments by name, to what is left
            of it.

    Attributes:
        pairs: List of pairs (old layer, new layer), each variable of the one standing
            at the same place in the other.
    """

    def __init__(self, network, changes, rebuild):
        self.pairs: list[tuple] = []
        self._changes = changes
        self._rebuild = rebuild
        self._copies: dict[int, Any] = {}
        self._names: set[str] = set()
        # What is called by itself, not by a layer around it.
        self._called: set[int] = set()
        self._times: collections.Counter = collections.Counter()
        self._count_uses_in(private.graph_of(network))

    def _count_uses_in(self, functional):
        for call in private.calls(functional):
            self._count_use(call.operation)

    def _count_use(self, operation):
        """Count how many places use an operation, wherever in the network they are."""
        self._times[id(operation)] += 1
        if self.is_shared(operation):
            return
        if private.graph_of(operation) is not None:
            self._count_uses_in(private.graph_of(operation))
        for part in parts_of(operation):
            self._count_use(part)

    def is_shared(self, operation) -> bool:
        """Whether an operation is used in several places."""
        return self._times[id(operation)] > 1

    def enter(self, functional):
        """Take the names of a graph's operations, whose copies get them."""
        operations = [call.operation for call in private.calls(functional)]
        self._names |= {operation.name for operation in operations}
        self._called |= set(map(id, operations))

    def free_name(self, name) -> str:
        """The name, or a longer one if it is taken; then it is, too."""
        return free_name(name, self._names)

    def have(self, operation) -> bool:
        """Whether there is something new in an operation's place."""
        return id(operation) in self._copies

    def once(self, operation, make):
        """What is new in an operation's place; made by a function, the first time."""
        if not self.have(operation):
            self._copies[id(operation)] = make()
        return self._copies[id(operation)]

    def of(self, operation, name=None):
        """The copy of an operation with all that it holds."""
        return self.once(operation, lambda: self._made(operation, name))

    def _made(self, operation, name):
        clone = clone_operation(operation, name)
        if isinstance(operation, keras.layers.Layer) and not is_lookup(operation):
            self.pairs.append((operation, clone))
        return clone

    def of_gated(self, layer, name=None):
        """The copy of a layer with a gate that stays."""
        if not self._is_remade(layer):
            return self.of(layer, name)
        return self.once(layer, lambda: self._gated_anew(layer, name or layer.name))

    def _is_remade(self, layer) -> bool:
        """Whether the parts of a layer are to be copied one by one.

        A copy of the whole would have new ones in the place of those that are used
        elsewhere too.
        """
        inside = private.all_layers(layer)
        return any(map(self.is_shared, inside)) or self._changes.touches(layer)

    def _gated_anew(self, layer, name):
        new = self._gated_of_parts(layer, name)
        if not layer.trainable:
            # As for a model: only then, and parts are set apart later.
            new.trainable = False
        return new

    def _gated_of_parts(self, layer, name):
        gate = self.of(layer.gate)
        own = {"name": name, "dtype": layer.dtype_policy}
        if isinstance(layer, GatedLayer):
            return GatedLayer(self.of_part(layer.layer), gate, **own)
        shortcut = None if layer.shortcut is None else self.of_part(layer.shortcut)
        return GatedResidual(self.of_part(layer.section), shortcut, gate, **own)

    def of_part(self, layer, former_owner=None):
        """The copy of a layer held by another one, without gates inside that leave.

        Args:
            layer: The layer.
            former_owner: The layer that held it, if that goes. Then it joins the names
                of the graph, and may need a new one.
        """
        name = layer.name
        if former_owner is not None and not self.have(layer):
            name = self._name_without(former_owner, layer)
        if isinstance(layer, GatedResidual | GatedLayer):
            return self.of_gated(layer, name)
        if private.graph_of(layer) is None or not self._is_remade(layer):
            return self.of(layer, name)
        return self.of_nested(layer, name=name)

    def of_nested(self, model, **arguments):
        """What is left of a nested model; further arguments are those of `rebuild`."""
        return self.once(model, lambda: self._rebuild(model, **arguments))

    def _name_without(self, former_owner, layer) -> str:
        is_called = id(layer) in self._called
        is_its_own = is_called or _inherits_name(layer, former_owner)
        if layer.name in self._names and not is_its_own:
            return self.free_name(f"{former_owner.name}_{layer.name}")
        self._names.add(layer.name)
        return layer.name


def free_name(name, taken) -> str:
    """The name, or a longer one if it is among those that are taken; then it is, too.

    Args:
        name: String.
        taken: Set of strings, to which it is added.
    """
    while name in taken:
        name = f"{name}_more"
    taken.add(name)
    return name


def _inherits_name(layer, former_owner) -> bool:
    """Whether the owner's name becomes free, and is the layer's too."""
    return isinstance(former_owner, GatedLayer) and former_owner.name == layer.name
