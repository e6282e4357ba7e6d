"""Which tensors of a graph may carry a mask when it runs."""

import keras
from keras import tree

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.linear.linearity import is_identity
from keras_layer_prune.graph.reading.operations import is_keras, joins_alike
from keras_layer_prune.graph.reading.parts import parts_of

# When nothing is trained, these return what they are called on.
_HAND_ON = (
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "ActivityRegularization",
)


def masked_tensors(functional, inputs=None) -> set[int]:
    """The `id`s of the tensors of a graph that may carry a mask when it runs.

    Symbolic tensors do not show all masks: not those that come with the arguments of a
    nested model, nor those behind a layer that casts its input.

    Args:
        functional: Functional model.
        inputs: List of bools, which inputs may carry one; none if None.
    """
    inputs = inputs or [False] * len(functional.inputs)
    now = {id(x) for x, has in zip(functional.inputs, inputs, strict=True) if has}
    ever = set(now)
    for call in private.calls(functional):
        outputs = _masked_outputs(call, now)
        now -= {id(x) for x in unmasked_by(call)}
        now |= outputs
        ever |= outputs
    return ever


def unmasked_by(call) -> list:
    """The tensors that a call takes the masks away from, for all others.

    Attention does, also as a part of what is called on the same tensors. A layer in
    which no graph shows it is not known to.
    """
    return [same for x in _unmasked_by(call.operation, call) for same in one_tensor(x)]


def one_tensor(tensor) -> list:
    """A tensor, and those before it that are the very same when the network runs.

    Not so in training, where dropout makes new ones. Such a tensor has one mask.
    """
    found = [tensor]
    while (before := _handed_on(private.call_of(found[-1]), found[-1])) is not None:
        found.append(before)
    return found


def _handed_on(call, output):
    """The operand that a call returns as it is, as the given output, or None."""
    if any(is_keras(call.operation, name) for name in _HAND_ON) or is_identity(call):
        return call.operands[0]
    inner = private.graph_of(call.operation)
    if inner is None:
        return None
    place = next(i for i, x in enumerate(call.outputs) if x is output)
    start = one_tensor(inner.outputs[place])[-1]
    pairs = zip(private.nested_arguments(call, inner), inner.inputs, strict=True)
    return next((given for given, own in pairs if own is start), None)


def may_unmask(layer) -> bool:
    """Whether a layer might take masks away, as far as what it holds tells."""
    return any(map(is_attention, private.all_layers(layer)))


def is_attention(operation) -> bool:
    """Whether a layer is one that takes masks away by itself."""
    return is_keras(operation, "MultiHeadAttention")


def _unmasked_by(operation, call) -> list:
    if is_attention(operation):
        return call.operands
    inner = private.graph_of(operation)
    if inner is None:
        return [x for part in parts_of(operation) for x in _unmasked_by(part, call)]
    inside = {id(x) for own in private.calls(inner) for x in unmasked_by(own)}
    pairs = zip(private.nested_arguments(call, inner), inner.inputs, strict=True)
    return [given for given, own in pairs if id(own) in inside]


def masked_arguments(call, inner, masked) -> list[bool]:
    """Whether what a nested model is called on may carry masks, by its inputs.

    Args:
        call: Call of a functional or sequential model.
        inner: The model's graph.
        masked: Set from `masked_tensors` of the graph around it.
    """
    given = private.nested_arguments(call, inner)
    # Keras binds a mask that is an argument to the inputs in their order.
    masks = tree.flatten(call.kwargs.get("mask"))
    is_told = [mask is not None for mask in masks] + [False] * len(given)
    return [id(x) in masked or told for x, told in zip(given, is_told, strict=False)]


def _masked_outputs(call, masked) -> set[int]:
    operation, outputs = call.operation, call.outputs
    inner = private.graph_of(operation)
    if inner is not None:
        inside = masked_tensors(inner, masked_arguments(call, inner, masked))
        pairs = zip(outputs, inner.outputs, strict=True)
        return {id(out) for out, own in pairs if id(own) in inside}
    if _hands_on(call, masked):
        return {id(x) for x in outputs}
    if _has_lost_mask(call, masked):
        # What the symbolic output has was made of the mask that is gone.
        return set()
    return {id(x) for x in outputs if private.mask_of(x) is not None}


def _has_lost_mask(call, masked) -> bool:
    """Whether an operand's mask has been taken away, but for the symbolic tensor's."""
    # A mask that is an argument does not get lost.
    return call.kwargs.get("mask") is None and any(
        private.mask_of(x) is not None and id(x) not in masked for x in call.operands
    )


def _hands_on(call, masked) -> bool:
    flags = [id(x) in masked for x in call.operands]
    if not flags:
        return False
    if joins_alike(call.operation):
        # A mask comes out if all that comes in has one.
        return _supports_masks(call.operation) and all(flags)
    return _makes_masked(call.operation, flags[0], call)


def _makes_masked(operation, is_masked, call) -> bool:
    """Whether the output of a call's operation, or of a part of it, may have a mask."""
    parts = [part for part in parts_of(operation) if part is not operation.gate]
    if parts:
        # Sums among them have one if all operands do.
        return all(_makes_masked(part, is_masked, call) for part in parts)
    inner = private.graph_of(operation)
    if inner is not None:
        inside = masked_tensors(inner, [is_masked] * len(inner.inputs))
        return any(id(x) in inside for x in inner.outputs)
    if not _supports_masks(operation) or not _keeps_steps(call):
        return False
    tensor = call.operands[0]
    mask = keras.KerasTensor(tensor.shape[:2], "bool") if is_masked else None
    try:
        made = operation.compute_mask(tensor, mask)
    except Exception:
        # A user's own may want real tensors, or several.
        return is_masked
    return any(one is not None for one in tree.flatten(made))


def _supports_masks(operation) -> bool:
    """Whether an operation hands on masks; raw ones drop them."""
    is_layer = isinstance(operation, keras.layers.Layer)
    return is_layer and operation.supports_masking


def _keeps_steps(call) -> bool:
    """Whether the output has the steps of the input, so that its mask fits."""
    before, after = call.operands[0].shape, call.outputs[0].shape
    return len(after) > 1 and before[1:2] == after[1:2]
