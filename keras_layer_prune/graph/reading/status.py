"""What closing gates does to each tensor of a graph, before anything is rebuilt."""

import enum

import keras
from keras import tree

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.reading.operations import (
    adds_or_subtracts,
    is_product,
)
from keras_layer_prune.graph.reading.zero import (
    divides_by_constant,
    maps_zero_to_zero,
)
from keras_layer_prune.layers.gated_layer import GatedLayer
from keras_layer_prune.layers.gated_residual import GatedResidual


class Status(enum.Enum):
    """What is known of a tensor.

    LIVE depends on the inputs, ZERO is zero, CONSTANT is neither: what an operation
    with an offset makes of zeros.
    """

    LIVE = "live"
    ZERO = "zero"
    CONSTANT = "constant"


def tensor_statuses(functional, closed, inputs=None) -> dict[int, Status]:
    """Status of every tensor of a functional model once some gates are closed.

    Args:
        functional: Functional model.
        closed: Set of `BernoulliGate` layers to take as closed.
        inputs: List of statuses of the model's inputs; all live if None.

    Returns:
        Dictionary from `id` of a tensor of the graph to its `Status`.
    """
    inputs = inputs or [Status.LIVE] * len(functional.inputs)
    statuses = dict(zip(map(id, functional.inputs), inputs, strict=True))
    for call in private.calls(functional):
        outcome = _outcome(call, statuses, closed)
        statuses.update(zip(map(id, call.outputs), outcome, strict=True))
    return statuses


def output_statuses(functional, closed, inputs=None) -> list[Status]:
    """Statuses of a functional model's outputs, in their flat order."""
    statuses = tensor_statuses(functional, closed, inputs)
    return [statuses[id(x)] for x in tree.flatten(private.output_structure(functional))]


def needed_calls(functional, statuses) -> list:
    """Calls that an output which is not zero depends on, in running order.

    Args:
        functional: Functional model.
        statuses: Dictionary from `tensor_statuses`.

    Returns:
        List of calls. What leads only to zeros is not among them.
    """
    needed = {id(x) for x in functional.outputs if statuses[id(x)] != Status.ZERO}
    kept = []
    for call in reversed(private.calls(functional)):
        if needed.isdisjoint(id(x) for x in call.outputs):
            continue
        kept.append(call)
        needed |= {id(x) for x in call.inputs if statuses[id(x)] != Status.ZERO}
    return kept[::-1]


def _outcome(call, statuses, closed) -> list[Status]:
    operation = call.operation
    known = [statuses[id(x)] for x in call.inputs]
    if operation in closed:
        return [Status.ZERO]
    if isinstance(operation, GatedResidual | GatedLayer):
        return [_of_operands(known)]
    inner = private.graph_of(operation)
    if inner is not None:
        return output_statuses(inner, closed, nested_statuses(call, inner, statuses))
    return [_of_simple(call, known)] * len(call.outputs)


def nested_statuses(call, inner, statuses) -> list[Status]:
    """Statuses of what a nested model is called on, in the order of its inputs.

    Args:
        call: Call of a functional or sequential model.
        inner: The model's graph.
        statuses: Dictionary from `tensor_statuses`.

    Returns:
        List of `Status`; an optional input that is not given is taken as live.
    """
    given = private.nested_arguments(call, inner)
    return [statuses.get(id(x), Status.LIVE) for x in given]


def _of_simple(call, known) -> Status:
    operation = call.operation
    zeros = known.count(Status.ZERO)
    if zeros and is_product(operation):
        return Status.ZERO
    if zeros == len(known):
        return Status.ZERO if _keeps_zero(call) else Status.CONSTANT
    return _of_operands(known)


def _keeps_zero(call) -> bool:
    """Whether a call makes zeros of zeros, and of what else it takes."""
    return (
        maps_zero_to_zero(call.operation)
        or divides_by_constant(call)
        or _sums_to_zero(call)
    )


def _sums_to_zero(call) -> bool:
    """Whether a call adds up or subtracts tensors of the graph and zeros only."""
    if not adds_or_subtracts(call.operation):
        return False
    values = tree.flatten([call.args, call.kwargs])
    others = [x for x in values if not isinstance(x, keras.KerasTensor)]
    # `sum([a, b])` begins with `0 + a`.
    return all(isinstance(x, int | float) and x == 0 for x in others)


def _of_operands(known) -> Status:
    return Status.LIVE if Status.LIVE in known else Status.CONSTANT
