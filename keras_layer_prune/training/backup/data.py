"""Where a training is in its data, and how it gets there again."""

import contextlib
import warnings

import keras
from keras import tree

from keras_layer_prune import _keras_private as private
from keras_layer_prune.training.backup import lock
from keras_layer_prune.training.fit_callbacks import (
    callbacks_of,
    replace_callbacks,
)
from keras_layer_prune.training.step.replicas import is_chief


@contextlib.contextmanager
def backed_up(model, arguments):
    """Scope of one `fit`, in which a backup among its callbacks sees what it needs.

    Backups come after all other callbacks, wherever they stand in the list, so that
    they save what the others have made of a step or an epoch.

    Args:
        model: `GatedModel`.
        arguments: Dictionary of the arguments of `fit`, changed in place.

    Raises:
        BlockingIOError: If another process trains with the backup's folder.
    """
    callbacks = callbacks_of(arguments)
    backups = [c for c in callbacks if getattr(c, "runs_last", False)]
    if not backups:
        yield
        return
    if len(backups) > 1:
        raise ValueError(
            f"One `fit` can have one `BackupAndRestore`. Received: {len(backups)}"
        )
    (backup,) = backups
    others = [c for c in callbacks if c is not backup]
    _warn_of_lost_rows(others)
    if not any(isinstance(c, keras.callbacks.History) for c in others):
        others.append(keras.callbacks.History())
    replace_callbacks(arguments, [*others, backup])
    backup.data = TrainingData(
        arguments.get("initial_epoch", 0), _shuffles_by_chance(arguments)
    )
    backup.others = others
    is_writing = is_chief(model.distribute_strategy)
    alone = lock.held(backup.directory) if is_writing else contextlib.nullcontext()
    try:
        with alone, private.showing_training_data(model, backup.data.show):
            yield
    finally:
        backup.data = None
        backup.others = []
        private.start_at_epoch(model, None)
        if isinstance(model.train_function, RepeatedStep):
            model.train_function = None


def _warn_of_lost_rows(callbacks):
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.CSVLogger) and not callback.append:
            warnings.warn(
                "`CSVLogger` begins its file anew when a training goes on, and what it "
                "has written is lost. Give it `append=True`.",
                stacklevel=5,
            )


class TrainingData:
    """The training data of one `fit`.

    Args:
        first_epoch: Int, `initial_epoch` of the `fit`.
        order_is_random: Whether its order cannot be repeated.

    Attributes:
        first_epoch: The argument.
        order_is_random: The argument.
    """

    def __init__(self, first_epoch, order_is_random):
        self.first_epoch = first_epoch
        self.order_is_random = order_is_random
        self._iterator = None

    def show(self, iterator):
        """Receive Keras's iterator."""
        self._iterator = iterator

    @property
    def batches(self) -> int | None:
        """How many batches an epoch has, if it is known yet."""
        return private.number_of_batches(self._iterator)

    def resume(self, position, prepare):
        """Go on behind the batches that the earlier run has seen, all but its last.

        Args:
            position: `Position` of the earlier run.
            prepare: Function, called when the data is at the beginning of its epoch.
        """
        past_epochs = position.epoch - position.first_epoch
        private.resume_data(
            self._iterator, past_epochs, position.step, position.batches, prepare
        )

    def skip(self, batches):
        """Read what one call of the training function reads; return its first batch."""
        return private.skip_batches(self._iterator, batches)


class RepeatedStep:
    """Stands in for the training function in the last step of the earlier run.

    That step is not taken again: its batch is read, with it the metrics are built,
    which can then have the values that they had, and what it reported is reported
    again. So `fit` counts from there, and its callbacks see one step twice.

    Args:
        model: `GatedModel`.
        data: `TrainingData`.
        finish: Function without arguments, called once the metrics are there.
        logs: Dictionary, what the step had reported.
    """

    def __init__(self, model, data, finish, logs):
        self._model = model
        self._train_function = model.train_function
        self._data = data
        self._finish = finish
        self._logs = logs

    def __call__(self, iterator):
        """Skip the batches of one step; return its logs."""
        private.build_metrics(self._model, self._data.skip(iterator))
        self._model.train_function = self._train_function
        self._finish()
        return dict(self._logs)


def _shuffles_by_chance(arguments) -> bool:
    """Whether `fit` shuffles arrays in an order that no seed determines."""
    parts = tree.flatten(arguments.get("x"))
    are_arrays = all(hasattr(part, "shape") for part in parts)
    is_shuffled = are_arrays and arguments.get("shuffle", True)
    return is_shuffled and not private.has_global_seed()
