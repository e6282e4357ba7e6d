"""What `find_sections` says: why something is not prunable, and what to do."""

import keras

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.costs.anatomy import layers_at_work
from keras_layer_prune.graph.finding.blocks import models_inside, shapes_tried
from keras_layer_prune.graph.finding.branches import count_weights, is_linear_branch
from keras_layer_prune.graph.gates import find_gates
from keras_layer_prune.graph.linear.linearity import adds_no_nonlinearity
from keras_layer_prune.graph.reading.arguments import first_argument

_CALLED_ONCE = (
    "Build it once for each call, so that each has its own layers. To share them, call "
    "it once: `Concatenate(axis=0)` joins what goes in, `keras.ops.split` parts what "
    "comes out."
)
_POSITIONS = ("PositionEmbedding", "SinePositionEncoding", "AddPositionEmbs")


def why_no_branch(place) -> str:
    """Why an addition without a shortcut has no branch that could leave."""
    operands = place.call.operands
    if len(operands) < 2:
        return "adds a constant to a tensor, such as a position embedding"
    if not place.lineage.have_common_ancestor(operands):
        return (
            "the operands do not come from one tensor: two inputs, or a position "
            "embedding"
        )
    ends = [_nonlinear_end(x, place.lineage) for x in operands]
    return (
        "no operand is a shortcut: each passes an operation that is not known to be "
        "linear, " + ", ".join(f"`{name}`" for name in dict.fromkeys(ends))
    )


def advice_on_addition(place) -> str:
    """What to do about an addition without a shortcut."""
    operands = place.call.operands
    if len(operands) < 2 or not place.lineage.have_common_ancestor(operands):
        return ""
    return (
        "A section needs a way around it that is linear: add its own input to its "
        "output, or wrap it in `GatedResidual(section, shortcut)`."
    )


def why_not_prunable(place, shortcut, tensor) -> str:
    """Why no gate can stand at the end of a branch; empty if one can."""
    total = place.call.outputs[0]
    if place.is_gated(tensor):
        return "has a gate"
    if tensor is shortcut.operand:
        return "adds a tensor to itself, so there is no branch"
    added = sum(x is tensor for x in place.call.operands)
    if added > 1:
        return f"its branch is added {added} times, and a gate stands in one place"
    if place.times > 1:
        return _called_often("is inside a model that", place.times)
    if not keras.backend.is_float_dtype(tensor.dtype):
        return f"adds {tensor.dtype} numbers, which no gate can weigh"
    if tuple(shortcut.operand.shape) != tuple(total.shape):
        return (
            f"the shortcut of shape {tuple(shortcut.operand.shape)} is broadcast to "
            f"{tuple(total.shape)} by its branch"
        )
    if _is_position(place.lineage.maker(tensor)):
        return "adds a position embedding, which depends on no values"
    return ""


def why_no_gate_around(block, masked) -> str:
    """Why no gate can stand around a block; empty if one can.

    Args:
        block: `FoundCall` of the block.
        masked: Set of `Masks.masked`.
    """
    if block.times > 1:
        return _called_often("it", block.times)
    ends = (first_argument(block.call), block.call.outputs[0])
    if len({id(x) in masked for x in ends}) > 1:
        return "it changes which steps are masked, which the identity would not do"
    given, made = shapes_tried(block)
    if given != made:
        return (
            "it changes a size that the graph does not know, which the identity would "
            f"not do: it makes {made} of {given}"
        )
    return ""


def _called_often(what, times) -> str:
    return f"{what} is called {times} times, and one gate can decide over one section"


def advice_on_block(block) -> str:
    """What else there is to know of a block."""
    if block.times > 1:
        return _CALLED_ONCE
    count = len(private.all_layers(block.call.operation)) - 1
    if count == 1:
        return "as a whole, with the layer inside"
    return f"as a whole: the {count} layers inside cannot be told apart"


def why_hidden(block) -> str:
    """Why the additions of a model inside a layer cannot be reached."""
    layer = block.call.operation
    names = ", ".join(f"`{model.name}`" for model in models_inside(layer))
    return (
        f"holds {names} with additions, which the graph does not show: "
        f"{type(layer).__name__} calls it in a way of its own"
    )


def advice_on_hidden(block) -> str:
    """What to do about additions that cannot be reached."""
    (model, *_) = models_inside(block.call.operation)
    return f"Call `{model.name}` in the graph itself, or prune it by itself."


def advice_on_branch(place, shortcut, tensor, leaving) -> str:
    """What else there is to know of a branch.

    Args:
        place: `Place` of the addition.
        shortcut: `Shortcut` of the addition.
        tensor: The branch's end.
        leaving: List of calls that would leave with it.

    Returns:
        String, empty if there is nothing to say.
    """
    if place.times > 1:
        return _CALLED_ONCE
    between = place.lineage.calls_between(shortcut.source, tensor, shortcut.operand)
    gone = {id(call.outputs[0]) for call in leaving}
    stays = [call for call in between if id(call.outputs[0]) not in gone]
    hints = []
    if count_weights(stays):
        hints.append(f"{_names(stays)} would stay, used elsewhere")
    if is_linear_branch(between):
        hints.append("the branch is linear")
    if shortcut.rivals:
        hints.append("of several linear operands the lightest is the shortcut")
    return ", ".join(hints)


def no_sections(model) -> str:
    """What is printed for a model in which nothing is added."""
    if find_gates(model):
        return (
            f"`{model.name}` has no additions in its graph. Its gates stand in layers "
            "such as `GatedResidual`; `summarize` shows what they hold."
        )
    uses = layers_at_work(model)
    joined = [x for x in uses if isinstance(x.layer, keras.layers.Concatenate)]
    why = (
        f" Its {len(joined)} concatenations are none: they keep every operand, so "
        "nothing is left in the place of a branch that is gone."
        if joined
        else ""
    )
    return (
        f"`{model.name}` has no residual connection: nothing in its graph adds a "
        f"branch to a shortcut.{why} `GatedResidual(section, shortcut)` gives a chain "
        "of layers one: it computes `shortcut(x) + gate(section(x))`, and the section "
        "can leave."
    )


def _is_position(call) -> bool:
    return call is not None and type(call.operation).__name__ in _POSITIONS


def _names(calls) -> str:
    layers = [c.operation for c in calls if count_weights([c])]
    names = list(dict.fromkeys(f"`{layer.name}`" for layer in layers))
    rest = len(names) - 3
    return ", ".join(names[:3]) + (f" and {rest} more" if rest > 0 else "")


def _nonlinear_end(tensor, lineage) -> str:
    """The first operation behind a tensor that is not known to be linear."""
    call = lineage.maker(tensor)
    while call is not None and adds_no_nonlinearity(call):
        call = lineage.maker(call.operands[0])
    return "an input" if call is None else call.operation.name
