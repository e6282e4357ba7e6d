"""Checks of what users hand to the training, made before any work."""

import os

import keras
from keras import tree

from keras_layer_prune.variational._checks import positive_number
from keras_layer_prune.variational.gaussian_scale_mixture_prior import (
    GaussianScaleMixturePrior,
)


def checked_step_size(step_size):
    """Return a float, a schedule or None, or raise."""
    schedule = keras.optimizers.schedules.LearningRateSchedule
    if step_size is None or isinstance(step_size, schedule):
        return step_size
    return positive_number("gate_step_size", step_size)


def checked_weight_prior(prior):
    """Return a prior on weights, the default one for None, or raise."""
    if prior is None:
        return GaussianScaleMixturePrior(1.0)
    if not isinstance(prior, GaussianScaleMixturePrior):
        raise TypeError(
            "`weight_prior` must be a `GaussianScaleMixturePrior` or None. Received: "
            f"weight_prior={prior!r}. For a precision of 2 write "
            "`GaussianScaleMixturePrior(precision=2.0)`."
        )
    return prior


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
