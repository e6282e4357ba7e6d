"""The callbacks among the arguments of `fit`: which there are, and in what order."""

import keras
from keras import tree


def callbacks_of(arguments) -> list:
    """The callbacks, in whatever form `fit` was given them.

    Args:
        arguments: Dictionary of the arguments of `fit`.
    """
    callbacks = arguments.get("callbacks")
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks.callbacks
    return tree.flatten(callbacks or [])


def replace_callbacks(arguments, callbacks):
    """Give `fit` other callbacks, or the same in another order.

    Args:
        arguments: Dictionary of the arguments of `fit`, changed in place.
        callbacks: List of callbacks.
    """
    if isinstance(arguments.get("callbacks"), keras.callbacks.CallbackList):
        arguments["callbacks"].callbacks[:] = callbacks
    else:
        arguments["callbacks"] = callbacks


def put_watchers_last(arguments):
    """Move callbacks that show decisions behind those that make them.

    Args:
        arguments: Dictionary of the arguments of `fit`, changed in place.
    """
    callbacks = callbacks_of(arguments)
    callbacks = sorted(callbacks, key=lambda c: getattr(c, "shows_decisions", False))
    replace_callbacks(arguments, callbacks)


def gate_movers(callbacks) -> list:
    """Those of a list of callbacks that start the gates' clock."""
    return [c for c in callbacks if getattr(c, "moves_gates", False)]


def noted_epochs(model) -> list | None:
    """The list in which the history of a model's last training notes its epochs.

    Each training that begins makes a new one, also in a `History` that it was handed.
    """
    return getattr(getattr(model, "history", None), "epoch", None)
