"""Fresh copies of layers and operations, without their weights."""

import contextlib
import inspect

import keras

from keras_layer_prune import _keras_private as private


def clone_operation(operation, name=None):
    """A new layer or operation made from an old one's config.

    Args:
        operation: Keras layer, model, or raw `keras.ops` operation.
        name: String, a new name of a layer. None: the old one.

    Returns:
        An object of the same class, with weights of its own that are yet to be set.

    Raises:
        ValueError: If the layer cannot be made from its own config.
    """
    if hasattr(operation, "get_vocabulary"):
        # What it learned is not in its config, and never changes; it has no weights.
        return operation
    if not isinstance(operation, keras.layers.Layer):
        return private.copy_of_operation(operation)
    if isinstance(operation, keras.layers.Lambda):
        return private.copy_of_lambda(operation, name or operation.name)
    try:
        config = _config(operation)
        if name is not None:
            config["name"] = name
        with keras.saving.custom_object_scope(_own_objects(operation)):
            return type(operation).from_config(config)
    except Exception as error:
        raise ValueError(
            f"`{operation.name}` of class {type(operation).__name__} cannot be made "
            "again from its config, which rebuilding a network needs: "
            f"{error} Give the class a `get_config()` that returns all arguments of "
            "its constructor and nothing else, as loading a model needs too."
        ) from error


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


def _config(operation) -> dict:
    """A config that holds functions themselves, which need no name to be found by."""
    config = operation.get_config()
    functions = {
        name: getattr(operation, name)
        for name in config
        if inspect.isfunction(getattr(operation, name, None))
    }
    return {**config, **functions}


def _own_objects(operation) -> dict[str, object]:
    """What a layer is made of, so that it need not be registered with Keras."""
    if not isinstance(operation, keras.layers.Layer):
        return {}
    layers = private.all_layers(operation)
    parts = [part for layer in layers for part in vars(layer).values()]
    functions = {f.__name__: f for f in parts if inspect.isfunction(f)}
    classes = {type(part).__name__: type(part) for part in parts if _has_config(part)}
    return {**functions, **classes, **{type(x).__name__: type(x) for x in layers}}


def _has_config(part) -> bool:
    return hasattr(part, "get_config") and not inspect.isclass(part)
