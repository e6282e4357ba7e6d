"""Everything that a training consists of, taken out of a model and put back."""

from typing import NamedTuple

import numpy as np

from keras_layer_prune import _keras_private as private
from keras_layer_prune.training.backup.arrays import (
    assign,
    described,
    plain,
    typed,
    values_of,
)
from keras_layer_prune.training.backup.identity import keeps_state
from keras_layer_prune.training.backup.randomness import random_states
from keras_layer_prune.training.backup.replay import renamed, replay


class Position(NamedTuple):
    """Where a training is.

    Attributes:
        epoch: Int, epochs that it has ended, counted as `fit` does.
        step: Int, steps that it has done in the epoch after those.
        first_epoch: Int, `initial_epoch` of the `fit` that began it.
        batches: Int, batches of an epoch as counted, or None if not known yet.
        is_over: Whether nothing is to be done after this.
    """

    epoch: int
    step: int
    first_epoch: int
    batches: int | None
    is_over: bool


def capture(model, position, callbacks, logs) -> tuple[dict, dict]:
    """State of a training as JSON keeps it, and its arrays.

    Args:
        model: `GatedModel` in `fit`.
        position: `Position`.
        callbacks: List of the callbacks of `fit`.
        logs: Dictionary, what the last step reported, or None at the end of an epoch.
    """
    groups = _variables(model)
    if not position.step:
        # They are reset before the next step, and may not be there yet.
        del groups["metrics"]
    arrays = {
        f"{group}/{index}": value
        for group, variables in groups.items()
        for index, value in enumerate(values_of(variables))
    }
    for index, callback in enumerate(callbacks):
        for place, weight in enumerate(private.best_weights(callback)):
            arrays[f"best weights {index}/{place}"] = plain(weight)
    state = {
        "position": position._asdict(),
        "pruning_log": [dict(entry) for entry in model.pruning_log],
        "variables": {name: described(group) for name, group in groups.items()},
        "logs": logs,
        "history": {"epoch": model.history.epoch, "history": model.history.history},
        "callbacks": [_callback_state(callback) for callback in callbacks],
        "random": random_states(),
    }
    return _plain(state), arrays


def restore_network(model, state):
    """Make a model's network the one of a state; its variables have no values yet.

    Args:
        model: `GatedModel`; its pruning log is the beginning of that of the state.
        state: What `capture` returned.

    Raises:
        ValueError: If the network that results is not the one that was saved.
    """
    replay(model, state["pruning_log"][len(model.pruning_log) :])
    # What was decided in an earlier `fit` need not have the same figures again.
    model.pruning_log[:] = state["pruning_log"]
    groups = _variables(model)
    for name in ("model", "optimizer"):
        _check_variables(name, groups[name], state["variables"][name])


def restore_values(model, arrays, with_metrics=False):
    """Give a model and its optimizer the values that they had.

    Args:
        model: `GatedModel` whose network is that of the state.
        arrays: What `capture` returned.
        with_metrics: Whether the running values of metrics are restored too.
    """
    groups = _variables(model)
    for name in ("model", "optimizer", *(["metrics"] if with_metrics else [])):
        values = [arrays[f"{name}/{index}"] for index in range(len(groups[name]))]
        assign(groups[name], values)


def check_metrics(model, state):
    """Raise unless a model's metrics are those that were saved."""
    _check_variables("metrics", model.metrics_variables, state["variables"]["metrics"])


def restore_history(model, state, decided):
    """Make the history that `fit` will return begin with the one that was saved.

    Args:
        model: `GatedModel` in `fit`.
        state: What `capture` returned.
        decided: Int, sections that were decided when the training began.
    """
    model.history.decided_before = decided
    model.history.epoch = list(state["history"]["epoch"])
    model.history.history = {k: list(v) for k, v in state["history"]["history"].items()}


def restore_callbacks(model, callbacks, state, arrays):
    """Tell callbacks what they had seen; those that were not there begin anew.

    Args:
        model: `GatedModel` whose network is that of the state.
        callbacks: List of the callbacks of `fit`.
        state: What `capture` returned.
        arrays: What `capture` returned.
    """
    states = dict(enumerate(state["callbacks"]))
    for callback in callbacks:
        kind = type(callback).__name__
        found = (index for index, entry in states.items() if entry["class"] == kind)
        index = next(found, None)
        if index is not None:
            _set_callback_state(callback, states.pop(index)["state"])
            _set_best_weights(model, callback, arrays, f"best weights {index}/")


def _set_best_weights(model, callback, arrays, group):
    count = sum(name.startswith(group) for name in arrays)
    if count:
        like = zip(range(count), model.get_weights(), strict=True)
        weights = [typed(arrays[f"{group}{place}"], now) for place, now in like]
        private.set_best_weights(callback, weights)


def with_names_of(model, names, state) -> dict:
    """A state in which gates are called as in this process.

    Keras numbers layers by how many the process has made before.

    Args:
        model: `GatedModel` as it began.
        names: List of the names that its gates had when the backup was begun.
        state: What `capture` returned.
    """
    new_names = [gate.name for gate in model.gates]
    changed = {
        old: new for old, new in zip(names, new_names, strict=False) if old != new
    }
    if not changed:
        return state
    parts = {key: renamed(state[key], changed) for key in ("pruning_log", "callbacks")}
    return {**state, **parts}


def _variables(model) -> dict[str, list]:
    metrics = model.metrics_variables
    left_out = {id(variable) for variable in metrics}
    return {
        "model": [v for v in model.variables if id(v) not in left_out],
        "optimizer": list(model.optimizer.variables),
        "metrics": metrics,
    }


def _check_variables(name, variables, lines):
    own = described(variables)
    if own != lines:
        pairs = zip([*own, "nothing"], [*lines, "nothing"], strict=False)
        mine, its = next(pair for pair in pairs if pair[0] != pair[1])
        raise ValueError(
            f"The backup does not fit: the {name} would have {len(own)} variables, and "
            f"the backup has {len(lines)}; the first difference is `{mine}` where the "
            f"backup has `{its}`. Train the network that the backup was made with, and "
            "change it only through `GatedModel.decide` and `PruneSections`."
        )


def _callback_state(callback) -> dict:
    state = (
        callback.get_state()
        if keeps_state(callback)
        else private.state_of_callback(callback)
    )
    return {"class": type(callback).__name__, "state": state}


def _set_callback_state(callback, state):
    if keeps_state(callback):
        callback.set_state(state)
        return
    for name, value in state.items():
        setattr(callback, name, value)


def _plain(value):
    """A value as JSON can hold it; NumPy's numbers and tensors as Python's."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            "A backup holds numbers, strings, lists and dictionaries. Received a "
            f"{type(value).__name__} in the logs or in what a callback's `get_state()` "
            f"returned: {value!r}"
        )
    return array.tolist()
