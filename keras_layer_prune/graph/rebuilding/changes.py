"""What a rewriting of a network changes: `Changes`, and keys for places in a graph."""

from typing import NamedTuple

from keras_layer_prune import _keras_private as private


class Changes(NamedTuple):
    """What becomes of some layers, and what is put beside others.

    Attributes:
        closed: Set of `BernoulliGate` layers that become zero.
        opened: Set of `BernoulliGate` layers that become the identity.
        inserted: Dictionary from `edge(call, tensor)` to the layer to put between
            the two, and from `around(call)` to the gate to put around the layer that
            is called.
        instead: Dictionary from layer to the new layer to call in its place, or to
            None for layers that become the identity.
    """

    closed: set
    opened: set
    inserted: dict
    instead: dict

    def decides(self, gate) -> bool:
        """Whether a gate goes, closed or open."""
        return gate in self.closed or gate in self.opened

    def touches(self, layer) -> bool:
        """Whether anything changes in a layer, or in what it holds."""
        inside = private.all_layers(layer)
        return any(self.decides(inner) or inner in self.instead for inner in inside)


def edge(call, tensor) -> tuple[int, int]:
    """A key for the place where a call takes a tensor of its graph."""
    return id(call.outputs[0]), id(tensor)


def around(call) -> tuple[int]:
    """A key for the place around the layer that is called."""
    return (id(call.outputs[0]),)
