"""Fresh copies of layers and operations, without their weights."""

import contextlib
import inspect
import types

import keras

from keras_layer_prune import _keras_private as private
from keras_layer_prune._checks import sentence
from keras_layer_prune.graph.reading.operations import is_function_of_keras


def clone_operation(operation, name=None):
    """A new layer or operation made from an old one's config.

    A vocabulary or a raw operation shares what the old one holds.

    Args:
        operation: Keras layer, model, or raw `keras.ops` operation.
        name: String, a new name. None: the old one.

    Returns:
        An object of the same class, with weights of its own that are yet to be set.

    Raises:
        ValueError: If the layer cannot be made from its own config.
    """
    if is_lookup(operation) or not isinstance(operation, keras.layers.Layer):
        return private.copy_of_operation(operation, name or operation.name)
    if isinstance(operation, keras.layers.Lambda):
        return private.copy_of_lambda(operation, name or operation.name)
    try:
        config, functions = _config(operation)
        if name is not None:
            config["name"] = name
        with keras.saving.custom_object_scope({**_own_classes(operation), **functions}):
            return type(operation).from_config(config)
    except Exception as error:
        raise ValueError(
            f"`{operation.name}` of class {type(operation).__name__} cannot be made "
            "again from its config, which rebuilding a network needs: "
            f"{sentence(error)} Give the class a `get_config()` that returns all "
            "arguments of its constructor and nothing else, as loading a model needs "
            "too."
        ) from error


def is_lookup(operation) -> bool:
    """Whether a layer is a vocabulary, which is not in its config and never changes."""
    has_weights = bool(getattr(operation, "weights", None))
    return hasattr(operation, "get_vocabulary") and not has_weights


@contextlib.contextmanager
def without_initial_values(layer):
    """Scope in which a layer that is built draws no initial values.

    The values are about to be replaced, and drawing them takes most of the time of
    rebuilding a large network.

    Args:
        layer: Keras layer or raw operation, built or not.
    """
    is_new = isinstance(layer, keras.layers.Layer) and not layer.built
    initializers = {
        name: value
        for name, value in (vars(layer).items() if is_new else ())
        if isinstance(value, keras.initializers.Initializer)
    }
    try:
        for name in initializers:
            setattr(layer, name, keras.initializers.Zeros())
        yield
    finally:
        for name, value in initializers.items():
            setattr(layer, name, value)


def users_functions(layer) -> list[tuple]:
    """Functions that a layer and those in it hold, but for Keras's own.

    Returns:
        List of tuples (layer, name of the attribute, function).
    """
    return [
        (part, attribute, value)
        for part in private.all_layers(layer)
        for attribute, value in vars(part).items()
        # Keras puts methods of its own around those of a class.
        if inspect.isfunction(value)
        and not hasattr(type(part), attribute)
        and not is_function_of_keras(value)
    ]


def _config(operation) -> tuple[dict, dict]:
    """A config, and the functions that it names.

    A config holds names only, and Keras or another layer may have a function of the
    same name, or it has none. So each is called otherwise while the config is made.
    """
    held = users_functions(operation)
    functions = {f"function_{i}_of_the_user": held[i][2] for i in range(len(held))}
    try:
        for name, (layer, attribute, function) in zip(functions, held, strict=True):
            vars(layer)[attribute] = _named(name, function)
        config = operation.get_config()
    finally:
        for layer, attribute, function in held:
            vars(layer)[attribute] = function
    for key, value in config.items():
        if inspect.isfunction(value):
            config[key] = functions.get(value.__name__, value)
    return config, functions


def _named(name, function):
    """The same function under another name."""
    return types.FunctionType(
        function.__code__,
        function.__globals__,
        name,
        function.__defaults__,
        function.__closure__,
    )


def _own_classes(operation) -> dict[str, object]:
    """What a layer is made of, so that it need not be registered with Keras."""
    layers = private.all_layers(operation)
    parts = [part for layer in layers for part in vars(layer).values()]
    classes = {type(part).__name__: type(part) for part in parts if _has_config(part)}
    return {**classes, **{type(x).__name__: type(x) for x in layers}}


def _has_config(part) -> bool:
    return hasattr(part, "get_config") and not inspect.isclass(part)
