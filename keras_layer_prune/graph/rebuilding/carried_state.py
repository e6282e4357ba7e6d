"""What a copy of a layer takes over from the old one, as no config holds it."""

import tempfile

import keras
import numpy as np

from keras_layer_prune import _keras_private as private
from keras_layer_prune._checks import sentence
from keras_layer_prune.graph.costs.traced_macs import keep_counts
from keras_layer_prune.graph.reading.operations import is_function_of_keras


def copy_state(old, new):
    """Give a built copy of a layer the flags and the values of the old one.

    Args:
        old: Built Keras layer.
        new: Built Keras layer that was made from its config.

    Raises:
        ValueError: If the copy holds other layers or variables than the old one, or a
            method of a user's layer that has to do with its state fails.
    """
    copy_flags(old, new)
    layers = _paired_layers(old, new)
    for source, target in layers:
        _call(_copy_what_files_hold, source, target)
        _copy_running_states(source, target)
    for source, target in paired_variables(old, new):
        target.assign(source)
    _copy_metrics(old, new)
    for _, target in layers:
        if isinstance(target, keras.layers.Normalization):
            # It computes with constants made of its variables.
            target.finalize_state()


def copy_flags(old, new):
    """Give a built copy of a layer what else it is beside the values of its weights.

    Takes and raises what `copy_state` does.
    """
    layers = _paired_layers(old, new)
    for source, target in layers:
        _call(_add_adapters, source, target)
    if len(old.variables) != len(new.variables):
        raise _not_the_same(old)
    # From outside to inside: setting a layer's flag sets all those in it, and a
    # weight's own may differ.
    for source, target in layers:
        keep_counts(source, target)
        target.trainable = source.trainable
    for source, target in paired_variables(old, new):
        target.trainable = source.trainable
        target.regularizer = source.regularizer
        target.constraint = source.constraint


def paired_variables(old, new) -> list[tuple]:
    """The variables of a layer, each with that of its copy."""
    ours, theirs = old.variables, new.variables
    # `quantize` adds some behind those that were there; a copy has them in front.
    if sorted(v.name for v in ours) == sorted(v.name for v in theirs):
        ours, theirs = (sorted(vs, key=lambda v: v.name) for vs in (ours, theirs))
    return list(zip(ours, theirs, strict=True))


def _paired_layers(old, new) -> list[tuple]:
    ours, theirs = private.all_layers(old), private.all_layers(new)
    if len(ours) != len(theirs):
        raise _not_the_same(old)
    return list(zip(ours, theirs, strict=True))


def _not_the_same(layer) -> ValueError:
    return ValueError(
        f"`{layer.name}` of class {type(layer).__name__} cannot be made again from its "
        "config, which rebuilding a network needs: the copy holds other layers or "
        "weights than it does. Let its constructor, its `build()` or its `call()` "
        "make all of them."
    )


def _call(copy_part, source, target):
    """Call what calls methods of users, and say of which layer if one fails."""
    try:
        copy_part(source, target)
    except Exception as error:
        raise ValueError(
            f"`{source.name}` of class {type(source).__name__} cannot be copied, which "
            f"rebuilding a network needs: {sentence(error)} Its methods "
            "`save_own_variables`, `load_own_variables`, `save_assets`, `load_assets` "
            "and `enable_lora` are called as Keras calls them where it saves and loads "
            "a model."
        ) from error


def _add_adapters(source, target):
    """Add low-rank adapters, of which the config of a layer around may not know."""
    adapts = getattr(source, "lora_enabled", False)
    if adapts and not getattr(target, "lora_enabled", True):
        target.enable_lora(source.lora_rank, source.lora_alpha)


def _copy_what_files_hold(source, target):
    """Copy what a user's layer writes into a file by methods of its own."""
    if _is_of_a_user(source, "load_own_variables"):
        store: dict = {}
        source.save_own_variables(store)
        target.load_own_variables({k: np.asarray(v) for k, v in store.items()})
    if _is_of_a_user(source, "save_assets") and _is_of_a_user(source, "load_assets"):
        with tempfile.TemporaryDirectory() as folder:
            source.save_assets(folder)
            target.load_assets(folder)


def _is_of_a_user(layer, name) -> bool:
    """Whether a layer has a method of this name that is not Keras's."""
    method = getattr(layer, name, None)
    return method is not None and not is_function_of_keras(method)


def _copy_running_states(source, target):
    """Have a stateful recurrent layer go on in the middle of its sequences."""
    is_running = isinstance(source, keras.layers.RNN) and source.stateful
    if is_running and source.states is not None:
        states = target.states, source.states
        keras.tree.map_structure(lambda new, old: new.assign(old), *states)


def _copy_metrics(old, new):
    """Have what a layer measures by itself go on in the middle of an epoch."""
    values, targets = old.metrics_variables, new.metrics_variables
    # Some make their variables at their first call; those of copies come with it.
    if len(values) == len(targets):
        for value, target in zip(values, targets, strict=True):
            target.assign(value)
