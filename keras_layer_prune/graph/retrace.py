"""Trace a network again without what its closed gates make zero.

Every call of the graph is repeated on new tensors with fresh copies of its layers.
A tensor that is zero is not computed: an addition leaves it out, and whatever led
only to it is never called again. A rectifier that comes to stand right behind another
one goes too: it changes nothing. Layers are copied rather than shared, so that the
old network, and the weights of what was removed, can be freed.
"""

import keras
from keras import tree

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.cloning import clone_operation
from keras_layer_prune.graph.status import (
    Status,
    needed_calls,
    output_statuses,
    tensor_statuses,
)
from keras_layer_prune.graph.zero import is_addition, is_rectifier
from keras_layer_prune.layers.bernoulli_gate import BernoulliGate
from keras_layer_prune.layers.gated_layer import GatedLayer
from keras_layer_prune.layers.gated_residual import GatedResidual


class Retrace:
    """One rewriting of one network.

    Args:
        closed: `BernoulliGate` layers that become zero.
        opened: `BernoulliGate` layers that become the identity.

    Attributes:
        copies: List of pairs (old layer, new layer), each variable of the one
            standing at the same place in the other.
    """

    def __init__(self, closed=(), opened=()):
        self._closed = set(closed)
        self._opened = set(opened)
        self._gates = self._closed | self._opened
        self._clones: dict[int, object] = {}
        self.copies: list[tuple] = []

    def rebuild(self, model) -> keras.Model:
        """The rewritten model, with the weights of the old one."""
        new_model = self._rebuild_graph(private.graph_of(model), model.name)
        new_model.trainable = model.trainable
        for old, new in self.copies:
            _copy_variables(old, new)
        return new_model

    def _rebuild_graph(self, functional, name, inputs=None):
        """Rebuild a functional model whose inputs have the given statuses."""
        statuses = tensor_statuses(functional, self._closed, inputs)
        new_inputs = tree.map_structure(_new_input, private.input_structure(functional))
        values = dict(
            zip(map(id, functional.inputs), tree.flatten(new_inputs), strict=True)
        )
        pass_on = _Values(values, statuses, source=functional.inputs[0])
        for call in needed_calls(functional, statuses):
            outputs = self._call_again(call, pass_on)
            values.update(zip(map(id, call.outputs), outputs, strict=True))
        new_outputs = tree.map_structure(
            pass_on.tensor, self._kept_outputs(functional, statuses, inputs)
        )
        return keras.Model(new_inputs, new_outputs, name=name)

    def _kept_outputs(self, functional, statuses, inputs):
        structure = private.output_structure(functional)
        is_nested = inputs is not None
        if not is_nested:
            return structure
        # The caller drops what is zero by itself; it never asks for these outputs.
        return [x for x in tree.flatten(structure) if statuses[id(x)] != Status.ZERO]

    def _call_again(self, call, pass_on) -> list:
        """Outputs of a call on the new tensors, flat."""
        operation = call.operation
        if isinstance(operation, BernoulliGate) and operation in self._opened:
            return [pass_on.tensor(call.inputs[0])]
        if is_addition(operation) and pass_on.has_zero(call):
            return [self._call_addition(call, pass_on)]
        args, kwargs = tree.map_structure(pass_on.argument, (call.args, call.kwargs))
        if isinstance(operation, GatedResidual | GatedLayer):
            return tree.flatten(self._call_gated(operation, args, kwargs))
        inner = private.graph_of(operation)
        if inner is not None and self._is_touched(operation):
            return self._call_nested(call, inner, pass_on, args, kwargs)
        if is_rectifier(operation) and is_rectifier(private.producer(args[0])):
            return [args[0]]
        return tree.flatten(self._clone(operation)(*args, **kwargs))

    def _call_addition(self, call, pass_on):
        """An addition of what is left; exactly like the old one in shape and dtype."""
        kept = [x for x in call.inputs if not pass_on.is_zero(x)]
        # Operands can broadcast: a zero may still decide the shape of the sum.
        total = kept[0] if len(kept) == 1 else None
        wanted = call.outputs[0]
        if total is not None and _same_form(total, wanted):
            return pass_on.tensor(total)
        if len(kept) > 1 and any(x.shape == wanted.shape for x in kept):
            new_operands = [pass_on.tensor(x) for x in kept]
            return self._clone(call.operation)(new_operands)
        args, kwargs = tree.map_structure(pass_on.argument, (call.args, call.kwargs))
        return self._clone(call.operation)(*args, **kwargs)

    def _call_nested(self, call, inner, pass_on, args, kwargs) -> list:
        known = [pass_on.status(x) for x in call.inputs]
        outcome = output_statuses(inner, self._closed, known)
        model = self._rebuild_graph(inner, call.operation.name, known)
        model.trainable = call.operation.trainable
        live = iter(tree.flatten(model(*args, **kwargs)))
        # Outputs that are zero keep their place; nobody will read them.
        return [None if s == Status.ZERO else next(live) for s in outcome]

    def _call_gated(self, layer, args, kwargs):
        if layer.gate in self._closed:
            shortcut = getattr(layer, "shortcut", None)
            return args[0] if shortcut is None else self._part(shortcut)(args[0])
        if layer.gate not in self._opened:
            return self._clone_gated(layer)(*args, **kwargs)
        if isinstance(layer, GatedLayer):
            return self._part(layer.layer)(*args, **kwargs)
        kept = args[0] if layer.shortcut is None else self._part(layer.shortcut)(args[0])
        return keras.layers.Add(name=layer.name)([kept, self._part(layer.section)(args[0])])

    def _clone_gated(self, layer):
        """A copy of a layer with a gate, the parts inside it rewritten."""
        if not self._is_touched(layer):
            return self._clone(layer)
        gate = self._clone(layer.gate)
        if isinstance(layer, GatedLayer):
            return GatedLayer(self._part(layer.layer), gate, name=layer.name)
        shortcut = None if layer.shortcut is None else self._part(layer.shortcut)
        return GatedResidual(self._part(layer.section), shortcut, gate, name=layer.name)

    def _part(self, layer):
        """A layer held by another one: rewritten if gates inside it are decided."""
        if not self._is_touched(layer):
            return self._clone(layer)
        if id(layer) not in self._clones:
            model = self._rebuild_graph(private.graph_of(layer), layer.name)
            self._clones[id(layer)] = model
        return self._clones[id(layer)]

    def _clone(self, operation):
        """The one copy of an operation, however often it is called."""
        if id(operation) not in self._clones:
            clone = clone_operation(operation)
            self._clones[id(operation)] = clone
            if isinstance(operation, keras.layers.Layer):
                self.copies.append((operation, clone))
        return self._clones[id(operation)]

    def _is_touched(self, layer) -> bool:
        return any(inner in self._gates for inner in private.all_layers(layer))


class _Values:
    """New tensors by old tensor, with zeros made real where nothing else will do."""

    def __init__(self, values, statuses, source):
        self._values = values
        self._statuses = statuses
        self._source = source

    def status(self, old):
        return self._statuses[id(old)]

    def is_zero(self, old) -> bool:
        return self.status(old) == Status.ZERO

    def has_zero(self, call) -> bool:
        return any(self.is_zero(x) for x in call.inputs)

    def argument(self, value):
        """A new tensor for an old one; anything else as it is."""
        return self.tensor(value) if isinstance(value, keras.KerasTensor) else value

    def tensor(self, old):
        """The new tensor for an old one; zeros if that is what it became."""
        if self.is_zero(old):
            return _zeros_like(old, self._values[id(self._source)])
        return self._values[id(old)]


def _new_input(old):
    return keras.Input(batch_shape=old.shape, dtype=old.dtype, name=old.name)


def _same_form(a, b) -> bool:
    return tuple(a.shape) == tuple(b.shape) and a.dtype == b.dtype


def _zeros_like(old, source):
    """Zeros in the place of `old`, with the batch size of `source`.

    Only plain Keras operations, so that the result is saved and loaded without this
    package.
    """
    shape = tuple(old.shape)
    if None in shape[1:]:
        raise ValueError(
            f"The tensor `{old.name}` of shape {shape} becomes zero and something "
            "still needs it, but its size is not known. Give the network's inputs a "
            "fixed size, or move the gate so that an addition takes its output."
        )
    column = keras.ops.zeros_like(source)
    if len(source.shape) > 1:
        column = keras.ops.sum(column, axis=tuple(range(1, len(source.shape))))
    column = keras.ops.cast(column, old.dtype)
    column = keras.ops.reshape(column, (-1,) + (1,) * (len(shape) - 1))
    return keras.ops.tile(column, (1, *shape[1:]))


def _copy_variables(old, new):
    for source, target in zip(old.variables, new.variables, strict=True):
        target.assign(source)
