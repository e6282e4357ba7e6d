"""Which tensors of a graph carry a mask when it runs: `masks_of`."""

import contextlib
import functools
import warnings
from typing import NamedTuple

import keras
from keras import tree

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.reading.operations import package_of


class Masks(NamedTuple):
    """Where the masks of a network are, its nested models included.

    Attributes:
        masked: Set of the `id`s of the symbolic tensors that ever carry one.
        taken: Dictionary from the `id` of a call's first output to the symbolic tensors
            that the call takes the masks away from, for all that comes after it.
            Attention does, also as a part of what is called on the same tensors.
    """

    masked: set[int]
    taken: dict[int, list]

    def taken_by(self, call) -> list:
        """The tensors that a call takes the masks away from."""
        return self.taken.get(id(call.outputs[0]), [])


def masks_of(network) -> Masks:
    """The masks of a network, as a run of it shows them.

    Symbolic tensors do not show all of them: not those that come with the arguments of
    a nested model, nor those that are made inside of a layer's call. A nested model
    that is called several times has those of all calls.

    Args:
        network: Functional or built sequential model.
    """
    layers = private.all_layers(network)
    graphs = private.all_graphs(network)
    if not any(map(_may_make_one, layers)) and not any(map(_is_given_one, graphs)):
        return Masks(set(), {})
    try:
        return _as_traced(network, graphs)
    except Exception:
        # What can be run need not be traceable. Symbolic tensors show most masks.
        return Masks(set().union(*map(_shown, graphs)), {})


def _as_traced(network, graphs) -> Masks:
    masks, network = Masks(set(), {}), private.graph_of(network)
    with contextlib.ExitStack() as stack:
        for graph in graphs:
            watch = functools.partial(_Run, graph, masks)
            stack.enter_context(private.watched(graph, watch))
        # Of masks that get lost, for example: each run says so anyway.
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        _Traced(network).compute_output_spec(private.input_structure(network))
    return masks


class _Traced(keras.Operation):
    """A model that Keras traces as it traces a layer: without numbers, for any batch.

    Keras would not run a model itself, whose symbolic outputs it knows.
    """

    def __init__(self, model):
        super().__init__()
        self._model = model

    def call(self, inputs):
        return self._model(inputs, training=False)


class _Run:
    """What one run of a graph shows.

    Args:
        graph: Functional model.
        masks: `Masks`, to which it is added.
        inputs: List of the tensors that the graph runs on.
    """

    def __init__(self, graph, masks, inputs):
        self._masks = masks
        # Those that carry one now, as pairs (symbolic tensor, tensor).
        self._carry: list[tuple] = []
        self._note(graph.inputs, inputs)

    def __call__(self, call, function, *args, **kwargs):
        """Run the function of a call of the graph."""
        outputs = function(*args, **kwargs)
        self._note_taken(call)
        self._note(call.outputs, tree.flatten(outputs))
        return outputs

    def _note(self, symbolic, tensors):
        pairs = zip(symbolic, tensors, strict=True)
        carry = [(old, new) for old, new in pairs if private.mask_of(new) is not None]
        self._masks.masked.update(id(old) for old, _ in carry)
        self._carry += carry

    def _note_taken(self, call):
        still = [pair for pair in self._carry if private.mask_of(pair[1]) is not None]
        if len(still) < len(self._carry):
            taken = self._masks.taken.setdefault(id(call.outputs[0]), [])
            taken += [old for old, new in self._carry if private.mask_of(new) is None]
            self._carry = still


def _may_make_one(layer) -> bool:
    """Whether a layer might make a mask where there was none."""
    if private.graph_of(layer) is not None:
        # What it calls might.
        return False
    if package_of(layer) not in ("keras", "keras_layer_prune"):
        return True
    is_maker = isinstance(layer, keras.layers.Masking)
    is_lambda = isinstance(layer, keras.layers.Lambda)
    return (
        is_maker
        or bool(getattr(layer, "mask_zero", False))
        or (is_lambda and layer.mask is not None)
    )


def _is_given_one(graph) -> bool:
    """Whether a call of a graph has a mask among its arguments."""
    return any(call.kwargs.get("mask") is not None for call in private.calls(graph))


def _shown(graph) -> set[int]:
    """The `id`s of those symbolic tensors that show a mask."""
    made = [x for call in private.calls(graph) for x in call.outputs]
    return {id(x) for x in made if private.mask_of(x) is not None}
