"""What a copy of a layer takes over from the old one, as no config holds it."""

import keras

from keras_layer_prune import _keras_private as private


def copy_state(old, new):
    """Give a built copy of a layer the values and the flags of the old one.

    Args:
        old: Built Keras layer.
        new: Built Keras layer that was made from its config.

    Raises:
        ValueError: If the copy holds other layers or variables than the old one.
    """
    layers = private.all_layers(old), private.all_layers(new)
    variables = old.variables, new.variables
    if any(len(ours) != len(theirs) for ours, theirs in (layers, variables)):
        raise ValueError(
            f"`{old.name}` of class {type(old).__name__} cannot be made again from its "
            "config, which rebuilding a network needs: the copy holds other layers or "
            "weights than it does. Let its constructor, its `build()` or its `call()` "
            "make all of them."
        )
    # From outside to inside: setting a layer's flag sets all those in it, and a
    # weight's own may differ.
    for source, target in zip(*layers, strict=True):
        target.trainable = source.trainable
    for source, target in zip(*variables, strict=True):
        target.assign(source)
        target.trainable = source.trainable
        target.regularizer = source.regularizer
        target.constraint = source.constraint
    _copy_metrics(old, new)
    for layer in layers[1]:
        if isinstance(layer, keras.layers.Normalization):
            # It computes with constants made of its variables.
            layer.finalize_state()


def _copy_metrics(old, new):
    """Have what a layer measures by itself go on in the middle of an epoch."""
    values, targets = old.metrics_variables, new.metrics_variables
    # Some make their variables at their first call; those of copies come with it.
    if len(values) == len(targets):
        for value, target in zip(values, targets, strict=True):
            target.assign(value)
