"""The dry run: what could leave a model, and why the rest could not."""

import collections
from typing import Any, NamedTuple

import keras

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.checks import check_graph
from keras_layer_prune.graph.costs.anatomy import (
    count_macs,
    count_parameters,
    layers_at_work,
    uses_of_call,
)
from keras_layer_prune.graph.costs.sizes import sizes_inside
from keras_layer_prune.graph.finding.blocks import find_blocks, find_hidden_additions
from keras_layer_prune.graph.finding.branches import find_additions, find_shortcut
from keras_layer_prune.graph.finding.reasons import (
    advice_on_addition,
    advice_on_block,
    advice_on_branch,
    advice_on_hidden,
    no_sections,
    why_hidden,
    why_no_branch,
    why_no_gate_around,
    why_not_prunable,
)
from keras_layer_prune.graph.finding.section_list import Section, Sections
from keras_layer_prune.graph.gates import find_gates
from keras_layer_prune.graph.reading.masks import masks_of
from keras_layer_prune.graph.rebuilding.changes import around, edge


def find_sections(model) -> Sections:
    """Residual sections of a model: the dry run of `gate_sections`.

    Every addition in the graph is looked at, as a layer or a raw operation, inside
    nested models too. Its shortcut is the operand that comes from the section's input
    by linear operations only, in whatever order they are added; each other operand is
    a branch. If several operands are linear, the one that does least is the shortcut.
    A layer that holds others where no graph shows them, and returns what has the shape
    of its input, is a block: it can be left out as a whole. Nothing is changed.

    Args:
        model: Functional or built sequential model.

    Returns:
        List of `Section` that prints as a table.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If its calls cannot be read.

    Example:

    >>> print(keras_layer_prune.find_sections(keras.applications.ResNet50()))
    """
    found = read_sections(model)
    note = _totals(model, found) if found else no_sections(model)
    return Sections([section for section, *_ in found], note)


class _Whole(NamedTuple):
    """The model in which sections are found.

    Attributes:
        times: Counter, in how many places each layer is at work.
        sizes: Dictionary from `sizes_inside`.
        masked: Set of `Masks.masked`.
    """

    times: collections.Counter
    sizes: dict
    masked: set


class FoundSection(NamedTuple):
    """A section, and what it takes to put a gate there.

    Attributes:
        section: `Section`.
        edge: Key of the place between branch and addition, see `edge`; for a block,
            of the place around it, see `around`.
        layers: Set of the layers that would leave.
        dtype: Policy of the gate, which must not round what it multiplies. None: that
            of the session.
    """

    section: Section
    edge: tuple
    layers: set
    dtype: Any = None


def read_sections(model) -> list[FoundSection]:
    """Sections of a model with the places where their gates belong.

    Args:
        model: Functional or built sequential model.

    Returns:
        List of `FoundSection`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If its calls cannot be read.
    """
    check_graph(model, "model")
    times = collections.Counter(use.layer for use in layers_at_work(model))
    sizes = sizes_inside(private.graph_of(model))
    whole = _Whole(times, sizes, masks_of(model).masked)
    names = _Names()
    found = []
    for place in find_additions(model, set(find_gates(model))):
        found += _sections_at(place, whole, names)
    inside = set().union(*(one.layers for one in found if one.section.prunable))
    blocks = [x for x in find_blocks(model) if x.call.operation not in inside]
    found += [_block(block, whole, names) for block in blocks]
    return found + [_hidden(block, names) for block in find_hidden_additions(model)]


def _sections_at(place, whole, names) -> list[FoundSection]:
    shortcut = find_shortcut(place)
    if shortcut is None:
        return [FoundSection(_without_shortcut(place, names), (), set())]
    branches = [x for x in place.call.operands if x is not shortcut.operand]
    # `x + x` has no operand besides the shortcut; it is its own branch.
    return [
        _section(place, shortcut, tensor, whole, names)
        for tensor in branches or [shortcut.operand]
    ]


def _without_shortcut(place, names) -> Section:
    name = names.of_addition(place)
    reason, advice = why_no_branch(place), advice_on_addition(place)
    return Section(name, "", [], 0, 0, False, reason, advice)


def _section(place, shortcut, tensor, whole, names) -> FoundSection:
    leaving = place.lineage.calls_only_for(tensor, place.call)
    uses = [use for call in leaving for use in uses_of_call(call, sizes=whole.sizes)]
    times = collections.Counter(use.layer for use in uses)
    # A layer that is shared with the rest of the network stays.
    gone = [use for use in uses if times[use.layer] == whole.times[use.layer]]
    reason = why_not_prunable(place, shortcut, tensor)
    section = Section(
        name=names.of_branch(place, tensor),
        kind=shortcut.kind,
        # Layers of two nested models may have one name.
        layers=[layer.name for layer in dict.fromkeys(use.layer for use in gone)],
        parameters=count_parameters(gone),
        macs=count_macs(uses),
        prunable=not reason,
        reason=reason,
        advice=advice_on_branch(place, shortcut, tensor, leaving),
    )
    layers = {use.layer for use in gone}
    return FoundSection(section, edge(place.call, tensor), layers, tensor.dtype)


def _block(block, whole, names) -> FoundSection:
    """A layer that stays or leaves as a whole."""
    layer = block.call.operation
    uses = uses_of_call(block.call, sizes=whole.sizes)
    reason = why_no_gate_around(block, whole.masked)
    section = Section(
        name=names.unique(block.path + layer.name),
        kind="block",
        layers=[layer.name],
        parameters=count_parameters(uses),
        macs=count_macs(uses),
        prunable=not reason,
        reason=reason,
        advice=advice_on_block(block),
    )
    return FoundSection(section, around(block.call), {layer}, layer.dtype_policy)


def _hidden(block, names) -> FoundSection:
    """Additions that are there and cannot be reached."""
    name = names.unique(block.path + block.call.operation.name)
    reason, advice = why_hidden(block), advice_on_hidden(block)
    return FoundSection(Section(name, "", [], 0, 0, False, reason, advice), (), set())


class _Names:
    """Names of sections, each given once."""

    def __init__(self):
        self._given: collections.Counter = collections.Counter()

    def of_addition(self, place) -> str:
        """A name for an addition without a shortcut."""
        return self.unique(place.path + place.call.operation.name)

    def of_branch(self, place, tensor) -> str:
        """A name for one branch of an addition."""
        operation = place.call.operation
        if not isinstance(operation, keras.layers.Layer):
            # The name of a raw operation counts those that were made before it.
            operation = _last_layer(place.lineage, tensor) or operation
        return self.unique(place.path + operation.name)

    def unique(self, name) -> str:
        """The name, with a number if it is taken."""
        self._given[name] += 1
        times = self._given[name]
        return name if times == 1 else self.unique(f"{name}_{times}")


def _last_layer(lineage, tensor):
    """The layer at the end of a branch; raw operations are passed over."""
    call = lineage.maker(tensor)
    while call is not None and not isinstance(call.operation, keras.layers.Layer):
        call = lineage.maker(call.operands[0]) if call.operands else None
    is_input = call is None or isinstance(call.operation, keras.layers.InputLayer)
    return None if is_input else call.operation


def uses_of_prunable(model, found) -> list:
    """Layers at work that prunable sections hold; they can hold others, and count once.

    Args:
        model: Functional or built sequential model.
        found: List of `FoundSection` of the model.

    Returns:
        List of `Use`.
    """
    layers = set().union(*(one.layers for one in found if one.section.prunable))
    return [use for use in layers_at_work(model) if use.layer in layers]


def _totals(model, found) -> str:
    prunable = [one for one in found if one.section.prunable]
    uses = uses_of_prunable(model, found)
    has_blocks = any(one.section.kind == "block" for one in found)
    what = "additions and blocks" if has_blocks else "additions"
    return (
        f"{len(prunable)} of {len(found)} {what} in `{model.name}` are prunable and "
        f"hold {count_parameters(uses):,} parameters and {count_macs(uses):,} MACs per "
        "example."
    )
