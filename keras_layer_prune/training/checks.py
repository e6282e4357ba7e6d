"""Checks of what users hand to the training, made before any work."""

import os

import keras
from keras import tree

from keras_layer_prune.variational._checks import positive_number


def checked_step_size(step_size):
    """Return a float, a schedule or None, or raise."""
    schedule = keras.optimizers.schedules.LearningRateSchedule
    if step_size is None or isinstance(step_size, schedule):
        return step_size
    return positive_number("gate_step_size", step_size)


def listed(callbacks) -> list:
    """What `fit` takes for callbacks, as a list."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks.callbacks
    return tree.flatten(callbacks)


def checked_new_path(path) -> str:
    """Return a path as a string, or raise if something is there already."""
    path = os.fspath(path)
    if os.path.lexists(path):
        raise FileExistsError(
            f"`{path}` exists, and nothing is overwritten. Choose another path, or "
            "remove what is there."
        )
    return path
