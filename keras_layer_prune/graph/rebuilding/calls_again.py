"""The calls of one graph, made again on new tensors: `CallsAgain`."""

import keras
from keras import tree

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.reading.arguments import by_position, first_argument
from keras_layer_prune.graph.reading.operations import (
    adds_or_subtracts,
    is_rectifier,
    passes_on,
)
from keras_layer_prune.graph.reading.status import (
    Status,
    needed_calls,
    nested_statuses,
    output_statuses,
)
from keras_layer_prune.graph.rebuilding import identities
from keras_layer_prune.graph.rebuilding.changes import around, edge
from keras_layer_prune.graph.rebuilding.cloning import without_initial_values
from keras_layer_prune.layers.gated_layer import GatedLayer
from keras_layer_prune.layers.gated_residual import GatedResidual


class CallsAgain:
    """Makes those calls of a graph again that are still needed.

    Args:
        functional: Functional model, the graph.
        values: `Values` of the graph, with its inputs; gets what is called.
        changes: `Changes`.
        copies: `Copies` of the network that the graph is part of.
        seams: `Seams` of that network.
    """

    def __init__(self, functional, values, changes, copies, seams):
        self._functional = functional
        self._values = values
        self._changes = changes
        self._copies = copies
        self._seams = seams

    def make_all(self):
        """Make the calls, and have masks go where they went."""
        values = self._values
        calls = private.calls(self._functional)
        needed = {
            id(x.outputs[0]) for x in needed_calls(self._functional, values.statuses)
        }
        for place, call in enumerate(calls):
            is_needed = id(call.outputs[0]) in needed
            taken = values.unmasked_by(call)
            if is_needed and taken:
                rest = [x for x in calls[place + 1 :] if id(x.outputs[0]) in needed]
                self._set_apart(taken, rest)
            if is_needed:
                values.update(call.outputs, self._call_again(call))
            if taken and not (is_needed and self._is_copied_whole(call.operation)):
                # What comes after it goes on without them, and what takes them inside
                # of it may leave.
                values.drop_masks(taken)

    def _is_copied_whole(self, operation) -> bool:
        """Whether what is new in its place takes the same masks away by itself."""
        is_graph = private.graph_of(operation) is not None
        return not is_graph and not self._changes.touches(operation)

    def _set_apart(self, taken, rest):
        """Have a call take masks from the tensors that it took them from, alone.

        A sum without its branch is its other operand, which may be used again.
        """
        later = [x for call in rest for x in call.inputs] + self._functional.outputs
        for old in self._values.merged(taken, set(map(id, later))):
            self._values.update([old], [self._apart(self._values.tensor(old))])

    def _apart(self, tensor):
        name = self._copies.free_name(f"{private.producer(tensor).name}_again")
        return identities.apart(tensor, name)

    def _call_again(self, call) -> list:
        """Outputs of a call on the new tensors, flat."""
        operation, changes = call.operation, self._changes
        if operation in changes.opened:
            return [self._cast(self._values.tensor(call.inputs[0]), call)]
        if adds_or_subtracts(operation) and self._values.has_zero(call):
            return [self._call_sum(call)]
        args, kwargs = self._arguments(call)
        if operation in changes.instead:
            return [self._call_instead(changes.instead[operation], args, kwargs)]
        if around(call) in changes.inserted:
            return [self._call_with_gate(call, *by_position(operation, args, kwargs))]
        if isinstance(operation, GatedResidual | GatedLayer):
            output = self._call_gated(call, *by_position(operation, args, kwargs))
            return [self._cast(output, call)]
        if private.graph_of(operation) is not None:
            return self._call_nested(call, args, kwargs)
        if is_rectifier(operation) and args and _is_rectified(call, args[0]):
            return [self._masked_as(call, call.inputs[0], args[0])]
        return tree.flatten(self._call_copy(operation, args, kwargs))

    def _arguments(self, call):
        """Positional and keyword arguments of a call, in new tensors."""

        def renew(value):
            if not isinstance(value, keras.KerasTensor):
                return value
            layer = self._changes.inserted.get(edge(call, value))
            new = self._values.tensor(value, call)
            return new if layer is None else layer(new)

        return tree.map_structure(renew, (call.args, call.kwargs))

    def _call_copy(self, operation, args, kwargs):
        copy = self._copies.of(operation)
        with without_initial_values(copy):
            return copy(*self._sewn(operation, args), **kwargs)

    def _sewn(self, operation, args):
        """Arguments, with a seam where two linear layers have become neighbours."""
        if len(args) != 1 or not self._seams.calls_for(args[0], operation):
            return args
        name = self._copies.free_name(f"{operation.name}_seam")
        return (self._seams.sewn(args[0], name),)

    def _call_instead(self, new, args, kwargs):
        if new is None:
            return args[0]
        with without_initial_values(new):
            return new(*args, **kwargs)

    def _call_with_gate(self, call, args, kwargs):
        """A call of a layer with a gate around it; the pair takes the layer's name."""
        layer, gate = call.operation, self._changes.inserted[around(call)]
        copy = self._copies.of(layer)
        gated = GatedLayer(copy, gate, name=layer.name, dtype=layer.dtype_policy)
        with without_initial_values(copy):
            return gated(*args, **kwargs)

    def _call_sum(self, call):
        """An addition of what is left; exactly like the old one in shape and dtype."""
        values = self._values
        kept = [x for x in call.inputs if not values.is_zero(x)]
        # Operands can broadcast: a zero may still decide the shape of the sum.
        if len(kept) == 1 and _is_passed_on(kept[0], call):
            left = values.tensor(kept[0])
            self._seams.tear(left)
            return self._masked_as(call, kept[0], self._cast(left, call))
        wanted = call.outputs[0]
        if len(kept) > 1 and any(x.shape == wanted.shape for x in kept):
            first, *others = map(values.tensor, kept)
            # A sum has a mask only if all operands do; one that goes may have had none.
            first = self._masked_as(call, kept[0], first)
            return self._copies.of(call.operation)([first, *others])
        args, kwargs = self._arguments(call)
        return self._copies.of(call.operation)(*args, **kwargs)

    def _call_nested(self, call, args, kwargs) -> list:
        operation = call.operation
        inner = private.graph_of(operation)
        known = nested_statuses(call, inner, self._values.statuses)
        if self._copies.is_shared(operation):
            # One copy serves all uses. Two of them, made for different zeros, would
            # share layers, and Keras does not load those as shared again.
            known = [Status.LIVE] * len(known)
        copy = self._copies.of_nested(operation, inputs=known)
        live = iter(tree.flatten(copy(*args, **kwargs)))
        # Outputs that are zero keep their place; nobody will read them.
        outcome = output_statuses(inner, self._changes.closed, known)
        return [None if s == Status.ZERO else next(live) for s in outcome]

    def _call_gated(self, call, args, kwargs):
        layer = call.operation
        if not self._changes.decides(layer.gate):
            copy = self._copies.of_gated(layer)
            return copy(*self._sewn(layer, args), **kwargs)
        if layer.gate in self._changes.closed:
            return self._call_without_section(call, args[0])
        if isinstance(layer, GatedLayer):
            copy = self._copies.of_part(layer.layer, layer)
            return copy(*self._sewn(layer.layer, args), **kwargs)
        return self._call_with_section(call, args[0])

    def _call_without_section(self, call, x):
        self._seams.tear(x)
        kept = self._call_shortcut(call.operation, x)
        self._seams.tear(kept)
        return self._masked_as(call, first_argument(call), kept)

    def _call_with_section(self, call, x):
        layer = call.operation
        kept = self._call_shortcut(layer, x)
        given, taken = first_argument(call), self._values.unmasked_by(call)
        if any(one is given for one in taken):
            # The sum reads the mask when the section has been called.
            x = self._apart(x)
        branch = self._call_row(layer.section, layer, x)
        addition = self._copies.once(
            layer, lambda: keras.layers.Add(name=layer.name, dtype=layer.dtype_policy)
        )
        return addition([kept, branch])

    def _call_shortcut(self, layer, x):
        shortcut = getattr(layer, "shortcut", None)
        return x if shortcut is None else self._call_row(shortcut, layer, x)

    def _call_row(self, part, former_owner, x):
        """A part of a layer that goes; a row of layers becomes part of the graph."""
        is_row = isinstance(part, keras.Sequential)
        is_plain = is_row and private.graph_of(part) and not self._changes.touches(part)
        for layer in part.layers if is_plain else [part]:
            new = self._copies.of_part(layer, former_owner)
            with without_initial_values(new):
                x = new(*self._sewn(layer, (x,)))
        return x

    def _cast(self, tensor, call):
        """A tensor in the dtype that a layer with a precision of its own gave it."""
        old = call.outputs[0]
        if tensor.dtype == old.dtype:
            return tensor
        if not self._values.is_masked(old):
            return keras.ops.cast(tensor, old.dtype)
        name = self._copies.free_name(f"{call.operation.name}_cast")
        return identities.cast(tensor, old.dtype, name)

    def _masked_as(self, call, old, new):
        """What is left of a call, without a mask if the call dropped it.

        Args:
            call: Call of the old graph.
            old: The one of its inputs that stays.
            new: What has become of that input.
        """
        has_mask = self._values.is_masked(old) or private.mask_of(new) is not None
        if has_mask and not self._values.is_masked(call.outputs[0]):
            return identities.unmasked(new)
        return new


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


def _position(tensor, call) -> int:
    return next(i for i, x in enumerate(call.inputs) if x is tensor)
