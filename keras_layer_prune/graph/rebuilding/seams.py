"""Where something has left a network that is being traced again, and what it leaves."""

import keras

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.linear.maps import is_activated, is_map, is_over_places
from keras_layer_prune.layers.gated_layer import GatedLayer
from keras_layer_prune.layers.gated_residual import GatedResidual
from keras_layer_prune.layers.seam import Seam


class Seams:
    """Notes beside which tensors something is gone, and puts a `Seam` there.

    Only between two linear layers, which `fold_seams` may join, or a linear layer and
    one with a gate, of which linear layers may be left one day.
    """

    def __init__(self):
        # The tensors are kept, so that no other one gets their `id`.
        self._torn: dict[int, keras.KerasTensor] = {}

    def tear(self, tensor):
        """Note that a section is gone that stood before or behind a tensor.

        Not so where a section is gone that merely took it too: whatever else takes it
        stood beside it from the start.
        """
        self._torn[id(tensor)] = tensor

    def calls_for(self, tensor, operation) -> bool:
        """Whether an operation that takes a tensor needs a seam before it."""
        if id(tensor) not in self._torn:
            return False
        before = private.producer(tensor)
        is_gated = isinstance(operation, GatedResidual | GatedLayer)
        is_between = _is_linear(before) and (is_gated or _is_linear(operation))
        return is_between and not is_activated(before)

    def sewn(self, tensor, name) -> keras.KerasTensor:
        """A tensor behind a seam of the given name."""
        return Seam(name=name, dtype=tensor.dtype)(tensor)


def _is_linear(operation) -> bool:
    return is_map(operation) or is_over_places(operation)
