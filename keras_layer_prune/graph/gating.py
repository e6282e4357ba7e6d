"""Gates put on the residual branches of a model that has none."""

import re

import keras

from keras_layer_prune import _keras_private as private
from keras_layer_prune._checks import optional_seed
from keras_layer_prune.graph.building import make_weights
from keras_layer_prune.graph.checks import check_plain_training
from keras_layer_prune.graph.finding.reasons import no_sections
from keras_layer_prune.graph.finding.section_list import with_advice
from keras_layer_prune.graph.finding.sections import read_sections
from keras_layer_prune.graph.gates import find_gates
from keras_layer_prune.graph.rebuilding.copies import free_name
from keras_layer_prune.graph.rebuilding.retrace import Retrace
from keras_layer_prune.graph.ties import check_no_ties
from keras_layer_prune.layers.bernoulli_gate import BernoulliGate


def gate_sections(
    model,
    filters=None,
    prior=None,
    initial_probability: float = 0.9,
    draws: str = "row",
    seed: int | None = None,
) -> keras.Model:
    """A model with a `BernoulliGate` at the end of every prunable residual branch.

    With `initial_probability=1.0` its outputs are those of `model`. The gates are
    named after their sections, `"<section>_gate"`, with `"_more"` where a layer has
    that name. Layers that hold their residual connections inside, such as the
    transformer blocks of KerasHub, are put into a `GatedLayer`.

    Args:
        model: Functional or built sequential model without gates.
        filters: Which sections get a gate. A regular expression that is searched for
            in their names, a list of names, or a function from a `Section` to a bool.
            None: all that are prunable.
        prior: `FlatteningPrior` of every gate; see `BernoulliGate`.
        initial_probability: Float in `[0, 1]`; see `BernoulliGate`.
        draws: `"row"` or `"batch"`; see `BernoulliGate`.
        seed: Int, from which each gate gets a seed of its own. None: random ones.

    Returns:
        A functional model with copies of the weights; `model` is left as it is.

    Raises:
        TypeError: If `model` is not a Keras model, or an argument not of its type.
        ValueError: If its calls cannot be read, it has gates already or no residual
            connection, layers that hold the same weights or a training step of its
            own, or `filters` names what is not there or matches nothing.

    Example:

    >>> network = keras.applications.ResNet50(classes=10, weights=None)
    >>> network = keras_layer_prune.gate_sections(network, filters="conv[345]")
    >>> model = keras_layer_prune.GatedModel(network)
    """
    found = read_sections(model)
    check_plain_training(model, "model")
    check_no_ties(model)
    seed = optional_seed(seed)
    _check_filters(filters)
    sections = [one.section for one in found]
    _check_ungated(model)
    _check_prunable(model, sections)
    chosen = {section.name for section in _chosen(sections, filters)}
    make_weights(model)
    places = [one for one in found if one.section.name in chosen]
    taken = {layer.name for layer in private.all_layers(model)}
    inserted = {
        place.edge: BernoulliGate(
            prior,
            initial_probability,
            draws,
            None if seed is None else seed + i,
            name=free_name(f"{place.section.name}_gate", taken),
            dtype=place.dtype,
        )
        for i, place in enumerate(places)
    }
    gated = Retrace(model, inserted=inserted).rebuild()
    for gate in inserted.values():
        # A frozen model, too, may lose sections: its weights stay as they are.
        gate.trainable = True
    return gated


def _check_filters(filters):
    if filters is None or callable(filters):
        return
    if isinstance(filters, str):
        try:
            re.compile(filters)
        except re.error as error:
            raise ValueError(
                f"`filters` is no regular expression: {error}. Received: "
                f"filters={filters!r}. To give a name as it is, write a list: "
                f"filters=[{filters!r}]"
            ) from error
        return
    is_list = isinstance(filters, list | tuple | set | frozenset)
    if not is_list or not all(isinstance(name, str) for name in filters):
        raise TypeError(
            "`filters` must be a regular expression, a list of names, or a function "
            f"from a `Section` to a bool. Received: filters={filters!r}"
        )


def _check_ungated(model):
    names = [gate.name for gate in find_gates(model)]
    if names:
        raise ValueError(
            f"`{model.name}` has {len(names)} gates already: {names}. Train it as it "
            "is with `GatedModel(network)`, or call `strip_gates(network)` first once "
            "they are all at 0 or 1."
        )


def _check_prunable(model, sections):
    if not sections:
        raise ValueError(no_sections(model))
    if not any(section.prunable for section in sections):
        reasons = {one.name: with_advice(one.reason, one) for one in sections}
        raise ValueError(
            f"None of the sections in `{model.name}` is one that a gate could close: "
            f"{reasons}. `GatedResidual(section, shortcut)` gives a chain of layers a "
            "connection: it computes `shortcut(x) + gate(section(x))`."
        )


def _chosen(sections, filters) -> list:
    """Prunable sections that the filters want."""
    prunable = [section for section in sections if section.prunable]
    if filters is None:
        return prunable
    if callable(filters):
        chosen = [section for section in prunable if filters(section)]
    elif isinstance(filters, str):
        chosen = [s for s in prunable if re.search(filters, s.name)]
    else:
        _check_names(sections, list(filters))
        chosen = [section for section in prunable if section.name in list(filters)]
    if not chosen:
        raise ValueError(
            f"`filters` matches none of the prunable sections. Received: "
            f"filters={filters!r}. Their names: {[s.name for s in prunable]}. See "
            "`find_sections(model)` for what they hold."
        )
    return chosen


def _check_names(sections, names):
    """Raise if a name is not that of a prunable section."""
    reasons = {section.name: section.reason for section in sections}
    unknown = [name for name in names if name not in reasons]
    if unknown:
        known = [name for name, reason in reasons.items() if not reason]
        raise ValueError(
            f"`filters` names sections that are not there: {unknown}. The prunable "
            f"ones are: {known}. See `find_sections(model)` for what they hold."
        )
    refused = {name: reasons[name] for name in names if reasons[name]}
    if refused:
        raise ValueError(
            f"`filters` names sections that are not prunable: {refused}. Leave them "
            "out, or change the model; `find_sections(model)` gives advice."
        )
