"""Fresh copies of layers and operations, without their weights."""

import keras

from keras_layer_prune import _keras_private as private


def clone_operation(operation):
    """A new layer or operation made from an old one's config.

    Args:
        operation: Keras layer, model, or raw `keras.ops` operation.

    Returns:
        An object of the same class, with weights of its own that are yet to be set.

    Raises:
        ValueError: If the layer cannot be made from its own config.
    """
    try:
        with keras.saving.custom_object_scope(_own_classes(operation)):
            return type(operation).from_config(operation.get_config())
    except Exception as error:
        raise ValueError(
            f"`{operation.name}` of class {type(operation).__name__} cannot be made "
            "again from its config, which rebuilding a network needs: "
            f"{error} Give the class a `get_config()` that returns all arguments of "
            "its constructor, as saving a model needs too."
        ) from error


def _own_classes(operation) -> dict[str, type]:
    """Classes inside a layer, so that they need not be registered with Keras."""
    if not isinstance(operation, keras.layers.Layer):
        return {}
    return {type(layer).__name__: type(layer) for layer in private.all_layers(operation)}
