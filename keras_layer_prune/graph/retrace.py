"""Trace a network again without what its closed gates make zero.

Every call of the graph is repeated on new tensors with fresh copies of its layers.
A tensor that is zero is not computed: an addition leaves it out, and whatever led
only to it is never called again. A rectifier that comes to stand right behind another
one goes too: it changes nothing. Linear layers that come to stand side by side get a
`Seam` between them, for `fold_seams`. Layers are copied rather than shared, so that
the old network, and the weights of what was removed, can be freed.
"""

import collections
from typing import Any

import keras
from keras import tree

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.anatomy import parts_of
from keras_layer_prune.graph.blocks import first_name
from keras_layer_prune.graph.cloning import (
    clone_operation,
    is_lookup,
    without_initial_values,
)
from keras_layer_prune.graph.copying import copy_state
from keras_layer_prune.graph.masks import (
    is_attention,
    masked_arguments,
    masked_tensors,
    unmasked_by,
)
from keras_layer_prune.graph.operations import (
    is_addition,
    is_difference,
    is_rectifier,
    passes_on,
)
from keras_layer_prune.graph.seams import Seams
from keras_layer_prune.graph.status import (
    Status,
    needed_calls,
    nested_statuses,
    output_statuses,
    tensor_statuses,
)
from keras_layer_prune.graph.values import Values
from keras_layer_prune.layers.gated_layer import GatedLayer
from keras_layer_prune.layers.gated_residual import GatedResidual


class Retrace:
    """One rewriting of one network.

    Args:
        closed: `BernoulliGate` layers that become zero.
        opened: `BernoulliGate` layers that become the identity.
        inserted: Dictionary from `edge(call, tensor)` to the layer to put between
            the two, and from `around(call)` to the gate to put around the layer that
            is called.
        instead: Dictionary from layer to the new layer to call in its place, or to
            None for layers that become the identity.

    Attributes:
        copies: List of pairs (old layer, new layer), each variable of the one
            standing at the same place in the other.
    """

    def __init__(self, closed=(), opened=(), inserted=None, instead=None):
        self._closed = set(closed)
        self._opened = set(opened)
        self._gates = self._closed | self._opened
        self._inserted = dict(inserted or {})
        self._instead = dict(instead or {})
        self._touched = self._gates | set(self._instead)
        self._seams = Seams()
        self._clones: dict[int, Any] = {}
        self._names: set[str] = set()
        # What is called by itself, not by a layer around it.
        self._called: set[int] = set()
        self._times: collections.Counter = collections.Counter()
        self.copies: list[tuple] = []

    def rebuild(self, model) -> keras.Model:
        """The rewritten model, with the weights and output names of the old one."""
        self._count_uses_in(private.graph_of(model))
        new_model = self._rebuild_graph(model)
        for old, new in self.copies:
            copy_state(old, new)
        return new_model

    def _count_uses_in(self, functional):
        for call in private.calls(functional):
            self._count_use(call.operation)

    def _count_use(self, operation):
        """Count how many places use an operation, wherever in the network they are."""
        self._times[id(operation)] += 1
        if self._times[id(operation)] > 1:
            return
        if private.graph_of(operation) is not None:
            self._count_uses_in(private.graph_of(operation))
        for part in parts_of(operation):
            self._count_use(part)

    def _rebuild_graph(self, model, inputs=None, name=None, masked=None):
        """Rebuild a model.

        Args:
            model: Functional or sequential model.
            inputs: List of statuses of its inputs; all live if None.
            name: String, of the new model. None: that of the old one.
            masked: List of bools, which inputs may carry masks; none if None.
        """
        functional = private.graph_of(model)
        calls = private.calls(functional)
        self._names |= {call.operation.name for call in calls}
        self._called |= {id(call.operation) for call in calls}
        statuses = tensor_statuses(functional, self._closed, inputs)
        new_inputs = tree.map_structure(
            private.new_input, private.input_structure(functional)
        )
        masks = masked_tensors(functional, masked)
        values = Values(functional.inputs, tree.flatten(new_inputs), statuses, masks)
        self._call_all_again(functional, values)
        if inputs is None:
            self._keep_names(functional.outputs, values)
        else:
            self._hand_on(tree.flatten(new_inputs), functional.outputs, values)
        new_outputs = tree.map_structure(
            values.tensor, _kept_outputs(functional, statuses, inputs)
        )
        new_model = keras.Model(new_inputs, new_outputs, name=name or model.name)
        if not model.trainable:
            # Only then: the setter acts on every layer inside. What trains all the
            # same is set apart when the copies get their state.
            new_model.trainable = False
        return new_model

    def _call_all_again(self, functional, values):
        """Make the calls that are still needed, and have masks go where they went."""
        calls = private.calls(functional)
        needed = {id(x.outputs[0]) for x in needed_calls(functional, values.statuses)}
        for place, call in enumerate(calls):
            is_needed = id(call.outputs[0]) in needed
            taken = unmasked_by(call)
            if is_needed and taken:
                rest = [x for x in calls[place + 1 :] if id(x.outputs[0]) in needed]
                self._set_apart(taken, rest, functional.outputs, values)
            if is_needed:
                values.update(call.outputs, self._call_again(call, values))
            if not is_needed or not is_attention(call.operation):
                # What comes after it goes on without them, and attention inside of
                # it may leave.
                values.drop_masks(taken)

    def _set_apart(self, taken, rest, outputs, values):
        """Have a call take masks from the tensors that it took them from, alone.

        A sum without its branch is its other operand, which may be used again.
        """
        later = {id(x) for call in rest for x in call.inputs} | {id(x) for x in outputs}
        for old in values.merged(taken, later):
            values.update([old], [self._another(values.tensor(old))])

    def _another(self, tensor):
        """The same numbers and the same mask, as a tensor of its own when it runs."""
        name = free_name(f"{private.producer(tensor).name}_again", self._names)
        # An `Identity` hands on the very tensor, and raw operations drop the mask.
        return keras.layers.Rescaling(1.0, name=name, dtype=tensor.dtype)(tensor)

    def _keep_names(self, outputs, values):
        """Put outputs under their old names, by which losses may have been given."""
        for old in values.live(outputs):
            operation, new = private.producer(old), values.tensor(old)
            is_gone = id(operation) not in self._clones
            if is_gone and private.producer(new).name != operation.name:
                same = keras.layers.Identity(name=operation.name, dtype=new.dtype)
                values.update([old], [same(new)])

    def _hand_on(self, new_inputs, outputs, values):
        """Put an identity behind inputs of a nested model that have become its outputs.

        Called on another static shape, such a model is an error in Keras.
        """
        given = {id(x): x for x in new_inputs if None in x.shape[1:]}
        for old in values.live(outputs):
            same = given.get(id(values.tensor(old)))
            if same is not None:
                name = free_name(f"{private.producer(same).name}_again", self._names)
                handed = keras.layers.Identity(name=name, dtype=same.dtype)(same)
                values.update([old], [handed])

    def _call_again(self, call, values) -> list:
        """Outputs of a call on the new tensors, flat."""
        operation = call.operation
        if operation in self._opened:
            return [self._cast(values.tensor(call.inputs[0]), call, values)]
        is_sum = is_addition(operation) or is_difference(operation)
        if is_sum and values.has_zero(call):
            return [self._call_addition(call, values)]
        args, kwargs = self._arguments(call, values)
        if operation in self._instead:
            return [self._call_instead(operation, args, kwargs)]
        if around(call) in self._inserted:
            gate = self._inserted[around(call)]
            arguments = _by_position(operation, args, kwargs)
            return [self._call_with_gate(operation, gate, *arguments)]
        if isinstance(operation, GatedResidual | GatedLayer):
            arguments = _by_position(operation, args, kwargs)
            takes_mask = any(map(values.is_masked, unmasked_by(call)))
            output = self._call_gated(operation, takes_mask, *arguments)
            if operation.gate in self._closed:
                output = _masked_as(call, call.operands[0], output, values)
            return [self._cast(output, call, values)]
        if private.graph_of(operation) is not None:
            return self._call_nested(call, values, args, kwargs)
        if is_rectifier(operation) and args and _is_rectified(call, args[0]):
            return [_masked_as(call, call.inputs[0], args[0], values)]
        return tree.flatten(self._call_clone(operation, args, kwargs))

    def _arguments(self, call, values):
        """Positional and keyword arguments of a call, in new tensors."""

        def renew(value):
            if not isinstance(value, keras.KerasTensor):
                return value
            layer = self._inserted.get(edge(call, value))
            new = values.tensor(value, call)
            return new if layer is None else layer(new)

        return tree.map_structure(renew, (call.args, call.kwargs))

    def _call_clone(self, operation, args, kwargs):
        clone = self._clone(operation)
        with without_initial_values(clone):
            return clone(*self._sewn(operation, args), **kwargs)

    def _sewn(self, operation, args):
        """Arguments, with a seam where two linear layers have become neighbours."""
        if len(args) != 1 or not self._seams.calls_for(args[0], operation):
            return args
        name = free_name(f"{operation.name}_seam", self._names)
        return (self._seams.sewn(args[0], name),)

    def _call_instead(self, operation, args, kwargs):
        new = self._instead[operation]
        if new is None:
            return args[0]
        with without_initial_values(new):
            return new(*args, **kwargs)

    def _call_with_gate(self, layer, gate, args, kwargs):
        """A call of a layer with a gate around it; the pair takes the layer's name."""
        clone = self._clone(layer)
        gated = GatedLayer(clone, gate, name=layer.name, dtype=layer.dtype_policy)
        with without_initial_values(clone):
            return gated(*args, **kwargs)

    def _call_addition(self, call, values):
        """An addition of what is left; exactly like the old one in shape and dtype."""
        kept = [x for x in call.inputs if not values.is_zero(x)]
        # Operands can broadcast: a zero may still decide the shape of the sum.
        if len(kept) == 1 and _is_passed_on(kept[0], call):
            left = values.tensor(kept[0])
            self._seams.tear(left)
            left = self._cast(left, call, values)
            return _masked_as(call, kept[0], left, values)
        wanted = call.outputs[0]
        if len(kept) > 1 and any(x.shape == wanted.shape for x in kept):
            first, *others = [values.tensor(x) for x in kept]
            # A sum has a mask only if all operands do: one that goes may have had none.
            first = _masked_as(call, kept[0], first, values)
            return self._clone(call.operation)([first, *others])
        args, kwargs = self._arguments(call, values)
        return self._clone(call.operation)(*args, **kwargs)

    def _call_nested(self, call, values, args, kwargs) -> list:
        operation = call.operation
        inner = private.graph_of(operation)
        known = nested_statuses(call, inner, values.statuses)
        if self._times[id(operation)] > 1:
            # One copy serves all uses. Two of them, made for different zeros, would
            # share layers, and Keras does not load those as shared again.
            known = [Status.LIVE] * len(known)
            masked = [True] * len(known)
        else:
            masked = masked_arguments(call, inner, values.masked)
        if id(operation) not in self._clones:
            new = self._rebuild_graph(operation, known, masked=masked)
            self._clones[id(operation)] = new
        live = iter(tree.flatten(self._clones[id(operation)](*args, **kwargs)))
        # Outputs that are zero keep their place; nobody will read them.
        outcome = output_statuses(inner, self._closed, known)
        return [None if s == Status.ZERO else next(live) for s in outcome]

    def _call_gated(self, layer, takes_mask, args, kwargs):
        if layer.gate not in self._gates:
            return self._clone_gated(layer)(*self._sewn(layer, args), **kwargs)
        is_closed = layer.gate in self._closed
        if is_closed:
            self._seams.tear(args[0])
        shortcut = getattr(layer, "shortcut", None)
        kept = args[0] if shortcut is None else self._call_row(shortcut, layer, args[0])
        if is_closed:
            self._seams.tear(kept)
            return kept
        if isinstance(layer, GatedLayer):
            return self._part(layer.layer, layer)(*args, **kwargs)
        addition = keras.layers.Add(name=layer.name, dtype=layer.dtype_policy)
        addition = self._clones.setdefault(id(layer), addition)
        # The sum reads the mask when the section has been called.
        x = self._another(args[0]) if takes_mask else args[0]
        return addition([kept, self._call_row(layer.section, layer, x)])

    def _call_row(self, part, former_owner, x):
        """A part of a layer that goes; a row of layers becomes part of the graph."""
        is_row = isinstance(part, keras.Sequential)
        is_plain = is_row and private.graph_of(part) and not self._is_touched(part)
        for layer in part.layers if is_plain else [part]:
            new = self._part(layer, former_owner)
            with without_initial_values(new):
                x = new(*self._sewn(layer, (x,)))
        return x

    def _clone_gated(self, layer, name=None):
        """The one copy of a layer with a gate, of copies of its parts if need be."""
        if not self._is_remade(layer):
            return self._clone(layer, name)
        if id(layer) not in self._clones:
            new = self._gated_anew(layer, name or layer.name)
            if not layer.trainable:
                # As for a model: only then, and parts are set apart later.
                new.trainable = False
            self._clones[id(layer)] = new
        return self._clones[id(layer)]

    def _gated_anew(self, layer, name):
        gate = self._clone(layer.gate)
        own = {"name": name, "dtype": layer.dtype_policy}
        if isinstance(layer, GatedLayer):
            return GatedLayer(self._part(layer.layer), gate, **own)
        shortcut = None if layer.shortcut is None else self._part(layer.shortcut)
        return GatedResidual(self._part(layer.section), shortcut, gate, **own)

    def _part(self, layer, former_owner=None):
        """A layer held by another one: rewritten if gates inside it are decided.

        Where its owner goes, it joins the names of the graph, and may need a new one.
        """
        name = layer.name
        if former_owner is not None and id(layer) not in self._clones:
            is_called = id(layer) in self._called
            is_its_own = is_called or _inherits_name(layer, former_owner)
            if name in self._names and not is_its_own:
                name = free_name(f"{former_owner.name}_{name}", self._names)
            self._names.add(name)
        if isinstance(layer, GatedResidual | GatedLayer):
            return self._clone_gated(layer, name)
        if private.graph_of(layer) is None or not self._is_remade(layer):
            return self._clone(layer, name)
        if id(layer) not in self._clones:
            # What it is called on may carry masks, which no graph shows.
            masked = [True] * len(layer.inputs)
            new = self._rebuild_graph(layer, name=name, masked=masked)
            self._clones[id(layer)] = new
        return self._clones[id(layer)]

    def _clone(self, operation, name=None):
        """The one copy of an operation, however often it is called."""
        if id(operation) not in self._clones:
            clone = clone_operation(operation, name)
            self._clones[id(operation)] = clone
            if isinstance(operation, keras.layers.Layer) and not is_lookup(operation):
                self.copies.append((operation, clone))
        return self._clones[id(operation)]

    def _cast(self, tensor, call, values):
        """A tensor in the dtype that a layer with a precision of its own gave it."""
        old = call.outputs[0]
        if tensor.dtype == old.dtype:
            return tensor
        if not values.is_masked(old):
            return keras.ops.cast(tensor, old.dtype)
        # A raw operation would drop the mask.
        name = free_name(f"{call.operation.name}_cast", self._names)
        return keras.layers.Identity(name=name, dtype=old.dtype)(tensor)

    def _is_touched(self, layer) -> bool:
        return any(inner in self._touched for inner in private.all_layers(layer))

    def _is_remade(self, layer) -> bool:
        """Whether the parts of a layer are to be copied one by one.

        A copy of the whole would have new ones in the place of those that are used
        elsewhere too.
        """
        inside = private.all_layers(layer)
        is_shared = any(self._times[id(inner)] > 1 for inner in inside)
        return is_shared or self._is_touched(layer)


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


def edge(call, tensor) -> tuple[int, int]:
    """A key for the place where a call takes a tensor of its graph."""
    return id(call.outputs[0]), id(tensor)


def around(call) -> tuple[int]:
    """A key for the place around the layer that is called."""
    return (id(call.outputs[0]),)


def _kept_outputs(functional, statuses, inputs):
    structure = private.output_structure(functional)
    outputs = tree.flatten(structure)
    left = [x for x in outputs if statuses[id(x)] != Status.ZERO]
    is_nested = inputs is not None
    # The caller drops what is zero by itself; it never asks for these outputs.
    return left if is_nested and len(left) < len(outputs) else structure


def _is_rectified(call, tensor) -> bool:
    """Whether a call of a rectifier does nothing at all to a tensor."""
    return (
        is_rectifier(private.producer(tensor))
        and tensor.dtype == call.outputs[0].dtype
        and getattr(call.operation, "activity_regularizer", None) is None
    )


def _is_passed_on(tensor, addition) -> bool:
    """Whether a sum of a tensor and zeros is the tensor, but for mask and dtype."""
    is_left = passes_on(addition.operation, _position(tensor, addition))
    return is_left and tuple(tensor.shape) == tuple(addition.outputs[0].shape)


def _masked_as(call, old, new, values):
    """What is left of a call, without the mask of what it is if the call dropped it.

    Args:
        call: Call of the old graph.
        old: The one of its inputs that stays.
        new: The new tensor for that input.
        values: `Values`.
    """
    has_mask = values.is_masked(old) or private.mask_of(new) is not None
    if has_mask and not values.is_masked(call.outputs[0]):
        # A raw operation passes none on.
        return keras.ops.copy(new)
    return new


def _position(tensor, call) -> int:
    return next(i for i, x in enumerate(call.inputs) if x is tensor)


def _by_position(layer, args, kwargs):
    """Arguments of a call, the first of which may have been given by name."""
    if args:
        return args, kwargs
    first = first_name(layer)
    rest = {name: value for name, value in kwargs.items() if name != first}
    return (kwargs[first],), rest


def _inherits_name(layer, former_owner) -> bool:
    """Whether the owner's name becomes free, and is the layer's too."""
    return isinstance(former_owner, GatedLayer) and former_owner.name == layer.name
