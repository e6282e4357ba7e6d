"""Checks of what users hand to the training, made before any work."""

import collections
import collections.abc
from numbers import Real

import keras
from keras import tree

from keras_layer_prune import _keras_private as private
from keras_layer_prune._checks import positive_number
from keras_layer_prune.variational.gaussian_scale_mixture_prior import (
    GaussianScaleMixturePrior,
)


def checked_step_size(step_size):
    """Return a float, a schedule or None, or raise."""
    schedule = keras.optimizers.schedules.LearningRateSchedule
    if step_size is None or isinstance(step_size, schedule):
        return step_size
    if isinstance(step_size, bool) or not isinstance(step_size, Real):
        raise TypeError(
            "`gate_step_size` must be a number, a `LearningRateSchedule` of the "
            f"training step, or None. Received: gate_step_size={step_size!r}"
        )
    return positive_number("gate_step_size", step_size)


def checked_weight_prior(prior):
    """Return a prior on weights or None, or raise."""
    if prior is not None and not isinstance(prior, GaussianScaleMixturePrior):
        raise TypeError(
            "`weight_prior` must be a `GaussianScaleMixturePrior` or None. Received: "
            f"weight_prior={prior!r}. For a precision of 2 write "
            "`GaussianScaleMixturePrior(precision=2.0)`."
        )
    return prior


def check_layers_beside(model):
    """Raise if a model holds a layer or a weight of its network a second time.

    Args:
        model: `GatedModel` whose network is about to get smaller.
    """
    inside = {id(variable) for variable in model.network.variables}
    trained = {id(variable) for variable in model.network.trainable_variables}
    for name, part in private.attributes_of(model).items():
        if part is model.network:
            continue
        # A list of gates may stay behind: the optimizer steps nothing of theirs.
        forbidden = inside if isinstance(part, keras.layers.Layer) else trained
        if any(id(variable) in forbidden for variable in _variables_in(part)):
            raise ValueError(
                f"`self.{name}` of {type(model).__name__} holds weights of its "
                "network. When sections leave, the network is another one, with copies "
                "of them, and the attribute would stay with the old ones. Do not keep "
                "it: write `self.network.get_layer(...)` where it is used."
            )


def _variables_in(part) -> list:
    """Variables of what an attribute holds, in lists and dictionaries at any depth."""
    # Not `tree.flatten`, which sorts the keys of dictionaries: some have no order.
    if isinstance(part, collections.abc.Mapping):
        part = list(part.values())
    if isinstance(part, list | tuple | set | frozenset):
        return [variable for each in part for variable in _variables_in(each)]
    if isinstance(part, keras.layers.Layer):
        return part.variables
    return [part] if isinstance(part, keras.Variable) else []


def check_reduction(loss):
    """Raise if a loss, or one of several, keeps a number for each example.

    Args:
        loss: What `compile` was given.
    """
    for each in tree.flatten(loss):
        if isinstance(each, keras.Loss) and each.reduction in (None, "none"):
            raise ValueError(
                f"The loss `{each.name}` is not reduced to one number, by which gates "
                f"could tell what a section is worth. Received: "
                f"reduction={each.reduction!r}. Leave the reduction to Keras, which "
                "averages over the examples."
            )


def checked_pruning_log(log) -> list[dict]:
    """Return a copy of a pruning log, or raise if it is none."""
    is_list = isinstance(log, list | tuple | collections.UserList)
    if not is_list or not all(
        isinstance(entry, dict) and {"section", "action"} <= entry.keys()
        for entry in log
    ):
        raise TypeError(
            "`pruning_log` must be a list of dictionaries, each with a `section` and "
            "an `action`, as `GatedModel.pruning_log` is. Received: "
            f"pruning_log={log!r}"
        )
    return [dict(entry) for entry in log]


def checked_decision(gates, closed, opened) -> tuple[list, list]:
    """Return gates to be closed and opened as lists, or raise if they cannot be.

    Args:
        gates: List of the gates that there are.
        closed: What the user wants closed.
        opened: What the user wants opened.
    """
    closed = _checked_gates("closed", closed, gates)
    opened = _checked_gates("opened", opened, gates)
    both = [gate.name for gate in closed if any(gate is other for other in opened)]
    if both:
        raise ValueError(
            f"`closed` and `opened` both name the gates {both}. Name each in one only."
        )
    return closed, opened


def _checked_gates(name, value, gates) -> list:
    if not isinstance(value, list | tuple | set | frozenset):
        raise TypeError(
            f"`{name}` must be a list of gates. Received: {name}={value!r}. Choose "
            "from `model.gates`."
        )
    strangers = [x for x in value if not any(x is gate for gate in gates)]
    if strangers:
        raise ValueError(
            f"`{name}` holds what is no gate of the current network: {strangers}. Its "
            f"gates are {[gate.name for gate in gates]}; choose from `model.gates`, "
            "which holds new objects each time that sections have left."
        )
    return list({id(gate): gate for gate in value}.values())


def check_free_names(network, metrics, own):
    """Raise if the logs would have one name for two things.

    Args:
        network: Functional or built sequential model.
        metrics: What `compile` was given.
        own: Tuple of strings, the logs that a model and its callback have themselves.
    """
    # Of several outputs, each has its loss under its own name.
    outputs = private.names_of_losses(private.graph_of(network))
    losses = [f"{name}_loss" for name in outputs if len(outputs) > 1]
    given = [metric for metric in tree.flatten(metrics) if metric is not None]
    names = [private.name_in_logs(metric) for metric in given]
    taken = [name for name in [*losses, *names] if name in own]
    if taken:
        raise ValueError(
            f"The logs of a `GatedModel` have {list(own)} of their own, and an output "
            f"or a metric would be logged as {taken}. Give the metric, or the output's "
            "layer or key, another name."
        )
