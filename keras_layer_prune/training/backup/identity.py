"""What a training is, in words that two runs of one script agree on.

A backup must never be loaded into another training, and never be overwritten by one. So
it says what it belongs to. Names are left out: Keras numbers layers by how many the
process has made before.
"""

import hashlib
import json
import os

import keras
from keras import tree

from keras_layer_prune import _keras_private as private

# `shared_object_id` is an address; `jit_compile` and `run_eagerly` are ways to compute
# the same thing; shapes of built layers stand in the outputs.
_LEFT_OUT = ("name", "shared_object_id", "build_config", "jit_compile", "run_eagerly")
_LONGEST = 2000
# Keras draws a seed for it if it is given none, and another when a script runs again.
_DRAWN_SEED = "RandomCrop"


def identity(model, steps_per_epoch, callbacks) -> dict:
    """What a training is, as JSON keeps it.

    Args:
        model: Compiled `GatedModel`, before its first step.
        steps_per_epoch: Int, or None if nobody knows yet.
        callbacks: List of callbacks.

    Returns:
        Dictionary from a topic to a list of lines.
    """
    return {
        "network": network_lines(model.network),
        "compile": _lines(_compile_config(model)),
        "number of training examples": [str(model.train_size)],
        "steps per epoch": [str(steps_per_epoch)],
        "callbacks": [_text(_callback_config(c)) for c in callbacks if keeps_state(c)],
    }


def check_identity(own, its, directory, is_trained):
    """Raise unless a backup belongs to this training.

    Args:
        own: Dictionary, the `identity` of this training.
        its: Dictionary, that of the backup.
        directory: Where the backup is.
        is_trained: Whether the model has taken steps already; its learning rate may
            then be another one than it was compiled with.
    """
    for topic, line in _differences(own, its):
        mine, other = (_shown(which[topic], line) for which in (own, its))
        if is_trained and mine.startswith("optimizer: "):
            continue
        mine, other = _around_difference(mine, other)
        raise ValueError(
            f"The backup in `{directory}` belongs to another training. Its {topic}: "
            f"`{other}`. Received: `{mine}`. Run the script that it was made with, "
            "or give `BackupAndRestore` another directory, or delete this one. "
            "Nothing has been changed."
        )


def keeps_state(callback) -> bool:
    """Whether a callback offers its state to a backup."""
    return hasattr(callback, "get_state") and hasattr(callback, "set_state")


def network_lines(network) -> list[str]:
    """One line for each call in a network, without names."""
    graph = private.graph_of(network)
    numbers: dict[int, int] = {}
    for tensor in graph.inputs:
        numbers[id(tensor)] = len(numbers)
    lines = [f"input {x.shape} {x.dtype}" for x in graph.inputs]
    layers: dict[int, int] = {}
    for call in private.calls(graph):
        operands = [f"#{numbers.get(id(x))}" for x in call.inputs]
        for tensor in call.outputs:
            numbers[id(tensor)] = len(numbers)
        layer = layers.setdefault(id(call.operation), len(layers))
        results = [f"#{numbers[id(x)]} {x.shape} {x.dtype}" for x in call.outputs]
        what = _operation(call)
        lines.append(f"layer {layer}: {what} of {operands} makes {results}")
        if private.graph_of(call.operation) is not None:
            lines += [f"  {line}" for line in network_lines(call.operation)]
    outputs = [f"#{numbers.get(id(x))}" for x in graph.outputs]
    return [*lines, f"outputs {outputs}"]


def _operation(call) -> str:
    kind = type(call.operation).__name__
    plain = [x for x in tree.flatten((call.args, call.kwargs)) if _is_plain(x)]
    if private.graph_of(call.operation) is not None:
        return f"{kind} {plain}"
    if isinstance(call.operation, keras.layers.Lambda):
        # Its config is byte code, which names the file that it came from.
        return f"{kind} {plain}"
    try:
        config = call.operation.get_config()
    except Exception:
        # A layer without a config is described by its place and shapes.
        config = {}
    return f"{kind} {plain} {_text(_without_drawn_seed(kind, config))}"


def _compile_config(model) -> dict:
    try:
        return model.get_compile_config()
    except Exception:
        # Something in it cannot be saved; the optimizer can, `compile` has checked it.
        return {"optimizer": keras.saving.serialize_keras_object(model.optimizer)}


def _callback_config(callback) -> dict:
    config = callback.get_config() if hasattr(callback, "get_config") else {}
    return {"class": type(callback).__name__, **_without(config, ("verbose",))}


def _lines(config) -> list[str]:
    return [
        f"{key}: {_text(value)}"
        for key, value in sorted(config.items())
        if key not in _LEFT_OUT
    ]


def _text(value) -> str:
    text = json.dumps(_plain(value), sort_keys=True)
    if len(text) <= _LONGEST:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{text[:_LONGEST]}... ({digest})"


def _plain(value):
    """A JSON value without names and addresses; unknown objects by their class."""
    kind = value.get("class_name") if isinstance(value, dict) else None
    if kind == "__lambda__":
        # Byte code, which names the file that it came from.
        return "lambda"
    if kind and kind.endswith("DTypePolicy"):
        # A policy is nothing but its name.
        return [kind, value["config"]]
    if kind == _DRAWN_SEED:
        value = {**value, "config": _without_drawn_seed(kind, value["config"])}
    if isinstance(value, dict) and "input_layers" in value:
        value = _numbered(value)
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in _without(value, _LEFT_OUT).items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if _is_plain(value):
        return value
    if hasattr(value, "get_config"):
        return {"class": type(value).__name__, **_plain(value.get_config())}
    return getattr(value, "__name__", type(value).__name__)


def _without_drawn_seed(kind, config) -> dict:
    return _without(config, ("seed",)) if kind == _DRAWN_SEED else config


def _numbered(graph) -> dict:
    """The config of a functional model, its layers called by their places."""
    places = {layer["name"]: place for place, layer in enumerate(graph["layers"])}

    def renamed(value):
        if isinstance(value, dict):
            return {key: renamed(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [renamed(part) for part in value]
        return places.get(value, value) if isinstance(value, str) else value

    return renamed(graph)


def _is_plain(value) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _without(config, keys) -> dict:
    return {key: value for key, value in config.items() if key not in keys}


def _differences(own, its):
    """Pairs (topic, position) of lines that are not the same."""
    for topic in own:
        for line in range(max(len(own[topic]), len(its[topic]))):
            if _shown(own[topic], line) != _shown(its[topic], line):
                yield topic, line


def _around_difference(one, other) -> tuple[str, str]:
    """The parts of two lines that a reader needs to see how they differ."""
    place = len(os.path.commonprefix([one, other]))
    return tuple(line[max(0, place - 80) : place + 80] for line in (one, other))


def _shown(lines, position) -> str:
    return lines[position] if position < len(lines) else "nothing more"
