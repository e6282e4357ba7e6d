"""The callback after which a training can be killed: `BackupAndRestore`."""

import re
import warnings
from numbers import Integral
from pathlib import Path
from typing import Any

import keras

from keras_layer_prune import _keras_private as private
from keras_layer_prune._checks import (
    checked_config,
    checked_folder,
    flag,
)
from keras_layer_prune.training.backup.data import RepeatedStep
from keras_layer_prune.training.backup.identity import check_identity, identity
from keras_layer_prune.training.backup.randomness import (
    random_states,
    set_random_states,
)
from keras_layer_prune.training.backup.replay import decisions
from keras_layer_prune.training.backup.snapshot import (
    Position,
    capture,
    check_metrics,
    restore_callbacks,
    restore_history,
    restore_network,
    restore_values,
    with_names_of,
)
from keras_layer_prune.training.backup.store import Store
from keras_layer_prune.training.gated_model import GatedModel
from keras_layer_prune.training.step.replicas import is_chief


@keras.saving.register_keras_serializable("keras_layer_prune")
class BackupAndRestore(keras.callbacks.Callback):
    """Lets a training be killed at any moment, and go on when its script runs again.

    The network as it is now, pruning included, the optimizer with its slots, random
    states, the position in the data, the metrics' running values, the history and the
    states of other callbacks are saved at the beginning, and then every epoch or every
    `save_freq` steps. Run the same script again, and `fit` goes on from there as if
    nothing had happened: with deterministic operations and a seeded data order, to the
    bit.

    Each backup is written whole or not at all, and carries checksums. The last two are
    kept; if the last is damaged, the one before it is used, with a warning. Loading
    runs no code: files hold numbers and text, and the network is rebuilt from the
    script's own.

    Where it stands among the callbacks does not matter. Callbacks with `get_state()`
    and `set_state(state)`, as JSON keeps it, are saved too, as are `EarlyStopping`,
    `ReduceLROnPlateau` and `SwapEMAWeights` of Keras. Of `ModelCheckpoint` only `best`
    is saved: with an int for its own `save_freq`, it counts steps anew. After a restart
    in the middle of an epoch, callbacks see its last step a second time. `CSVLogger`
    needs `append=True`, or it begins its file anew, which `fit` warns of. Under a
    distribution strategy the metrics of that epoch are the same up to rounding.

    A backup of another training is refused: another network, optimizer, loss or other
    argument of `compile`, number of examples or of steps, or other arguments of
    `PruneSections`. What the examples hold is not compared, nor what callbacks of Keras
    are there; `epochs` may be more than before.

    The data must come in the same order when the script runs again:

    - Arrays: call `keras.utils.set_random_seed`, or pass `shuffle=False`. Either way
      Keras takes them in one and the same order in every epoch.
    - `tf.data.Dataset`: give `shuffle` a seed. It may reshuffle in each iteration, and
      then every epoch has an order of its own. Past epochs are not read again: what
      `map` draws must come from `Dataset.random(seed)`, not from a layer of Keras, and
      a set that is repeated needs `steps_per_epoch`.
    - `keras.utils.PyDataset`: shuffle in `on_epoch_end`, with a generator made from a
      seed, and with one worker.
    - With `steps_per_epoch`, and from generators, what was read before is read again,
      and thrown away.

    Args:
        directory: String or path, a folder for this one `fit`. Files of others in it
            are left alone. Several machines must share it.
        save_freq: `"epoch"`, or an int: after so many steps.
        delete_checkpoint: Whether the backup is deleted when `fit` ends by itself. If
            not, the script run again trains nothing and returns the same.

    Raises:
        TypeError: If the model that is trained is not a `GatedModel`, or an argument is
            not of its type.
        ValueError: If `save_freq` is below 1, the directory is an address such as
            `gs://...`, holds the backup of another training or of more epochs, or all
            its generations are damaged. Nothing is deleted.
        OSError: If the directory cannot be read or written; a backup that is there
            stays as it is.
        BlockingIOError: If another process is training with the directory.

    Example:

    >>> backup = keras_layer_prune.BackupAndRestore("backup", save_freq=500)
    >>> prune = keras_layer_prune.PruneSections()
    >>> model.fit(x, y, epochs=20, callbacks=[prune, backup])
    """

    # What `GatedModel.fit` looks for.
    runs_last = True

    def __init__(self, directory, save_freq="epoch", delete_checkpoint: bool = True):
        super().__init__()
        self.directory = Path(_checked_directory(directory))
        self.save_freq = _checked_save_freq(save_freq)
        self.delete_checkpoint = flag("delete_checkpoint", delete_checkpoint)
        # Set by `GatedModel.fit`.
        self.data: Any = None
        self.others: list = []

    # The methods of Keras's callback interface, in the order in which they are called.

    def on_train_begin(self, logs=None):
        """Go on where an earlier run was, or save the beginning."""
        self._check_model()
        self._store = Store(self.directory)
        self._is_chief = is_chief(self.model.distribute_strategy)
        self._epoch = self.data.first_epoch
        self._step = self._unsaved = 0
        self._resumed = None
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        self._about = self._describe()
        found = self._store.newest()
        if found is None:
            self._warn_of_chance()
            self._save()
        else:
            self._restore(*found)

    def on_epoch_begin(self, epoch, logs=None):
        """Note the random states from which the epoch's order of data follows."""
        resumed, self._resumed = self._resumed, None
        self._epoch_random = resumed or random_states()

    def on_train_batch_end(self, batch, logs=None):
        """Save if so many steps have passed."""
        # Keras takes every execution of several steps for a full one.
        done = min(batch + 1, self.data.batches or batch + 1)
        self._unsaved += done - self._step
        self._step = done
        # At the end of an epoch its validation comes first.
        is_last = self._step == self.data.batches
        if self._is_due() and not is_last:
            self._save(logs)

    def on_epoch_end(self, epoch, logs=None):
        """Save if it is time."""
        self._epoch, self._step = epoch + 1, 0
        if self.save_freq == "epoch" or self._is_due() or self._is_over():
            self._save()

    def on_train_end(self, logs=None):
        """Delete the backup of a training that is done."""
        if self.delete_checkpoint and self._is_chief:
            self._store.clear()

    def _check_model(self):
        if not isinstance(self.model, GatedModel):
            raise TypeError(
                "`BackupAndRestore` needs a `GatedModel`. Received a "
                f"{type(self.model).__name__} named `{self.model.name}`. Use "
                "`keras.callbacks.BackupAndRestore` for networks that stay as they are."
            )
        if self.data is None:
            raise ValueError(
                "`BackupAndRestore` works inside of `GatedModel.fit` only. Call "
                "`model.fit(..., callbacks=[BackupAndRestore(directory)])`."
            )

    def _describe(self) -> dict:
        """What this training is, and how it began."""
        return {
            "training": identity(self.model, self.params.get("steps"), self.others),
            "gates": [gate.name for gate in self.model.gates],
            "decided": len(self.model.pruning_log),
            "keras": keras.__version__,
        }

    def _warn_of_chance(self):
        if self.save_freq != "epoch" and self.data.order_is_random:
            warnings.warn(
                "The order of the training data is random and cannot be repeated: "
                "after a restart in the middle of an epoch, its rest would hold "
                "examples that it has seen. Call `keras.utils.set_random_seed(...)` at "
                'the top of the script, or use `save_freq="epoch"`.',
                stacklevel=2,
            )

    def _is_due(self) -> bool:
        return self.save_freq != "epoch" and self._unsaved >= self.save_freq

    def _is_over(self) -> bool:
        is_last = self._epoch >= self.params["epochs"]
        return not self._step and (self.model.stop_training or is_last)

    # Saving.

    def _save(self, logs=None):
        position = Position(
            self._epoch,
            self._step,
            self.data.first_epoch,
            self.data.batches,
            self.model.stop_training,
        )
        # Every worker reads its variables, which may need the others; one writes.
        state, arrays = capture(self.model, position, self.others, logs)
        state["about"] = self._about
        state["random of the epoch"] = self._epoch_random if self._step else None
        if self._is_chief:
            self._store.save(state, arrays)
        self._unsaved = 0

    # Restoring.

    def _restore(self, state, arrays):
        about = state["about"]
        self._check_identity(about)
        if self._about["decided"] == about["decided"]:
            state = with_names_of(self.model, about["gates"], state)
            about = {**about, "gates": self._about["gates"]}
        self._check_log(state)
        self._check_length(Position(**state["position"]))
        self._about = about
        if self._is_chief:
            self._store.tidy()
        restore_network(self.model, state)
        self._go_on(Position(**state["position"]), state, arrays)

    def _check_identity(self, about):
        """Raise if the backup is not of this training.

        Args:
            about: What `_describe` said when the backup's training began.
        """
        own, decided = self._about["training"], self._about["decided"]
        if decided < about["decided"]:
            raise ValueError(
                f"The backup in `{self.directory}` belongs to another training. Its "
                f"model began with {about['decided']} decided sections. Received: a "
                f"model with {decided}. Run the script that it was made with, or give "
                "`BackupAndRestore` another directory. Nothing has been changed."
            )
        if decided > about["decided"]:
            # Sections have left since, and the model is still the same one.
            own = {topic: own[topic] for topic in own if topic != "network"}
        is_trained = int(self.model.optimizer.iterations.numpy()) > 0
        check_identity(own, about["training"], self.directory, is_trained)

    def _check_log(self, state):
        """Raise if the model has been pruned in a way that the backup has not."""
        own = decisions(self.model.pruning_log)
        if own != decisions(state["pruning_log"])[: len(own)]:
            raise ValueError(
                f"The model has been pruned further than the backup in "
                f"`{self.directory}`, and sections do not come back. Make the model "
                "anew, as running the script again does, and call `fit` with it."
            )

    def _check_length(self, position):
        """Raise if this `fit` would end before the backup, and delete it."""
        epochs = self.params["epochs"]
        if (position.epoch, position.step) > (epochs, 0):
            raise ValueError(
                f"The backup in `{self.directory}` has trained for {position.epoch} "
                f"epochs and {position.step} steps. Received: epochs={epochs}. Train "
                "for more epochs, or give `BackupAndRestore` another directory. "
                "Nothing has been changed."
            )

    def _go_on(self, position, state, arrays):
        model, random = self.model, state["random"]

        def set_values(with_metrics=False):
            restore_values(model, arrays, with_metrics)
            restore_callbacks(model, self.others, state, arrays)
            set_random_states(random)

        def finish_step():
            check_metrics(model, state)
            set_values(with_metrics=True)
            model.stop_training = position.is_over

        set_values()
        restore_history(model, state, self._about["decided"])
        self._epoch, self._step = position.epoch, position.step
        is_over = position.is_over and not position.step
        private.start_at_epoch(
            model, self.params["epochs"] if is_over else position.epoch
        )
        self._resumed = state["random of the epoch"]
        self.data.resume(position, lambda: set_random_states(self._epoch_random))
        model.make_train_function(force=True)
        if position.step:
            model.train_function = RepeatedStep(
                model, self.data, finish_step, state["logs"]
            )

    def get_config(self):
        """The arguments of the constructor."""
        return {
            "directory": str(self.directory),
            "save_freq": self.save_freq,
            "delete_checkpoint": self.delete_checkpoint,
        }

    @classmethod
    def from_config(cls, config):
        """An object from the config of another one."""
        return cls(**checked_config(config))


def _checked_directory(directory) -> str:
    path = checked_folder("directory", directory)
    # It would be taken for a folder of this machine. `pathlib` leaves one slash of two,
    # and turns it round on Windows, where drives have one letter.
    if re.match(r"[a-zA-Z][\w+.-]+:[/\\]", path):
        raise ValueError(
            "`directory` must be a folder of a file system. Mount the storage, or copy "
            f"the folder to it. Received: directory={path!r}"
        )
    return path


def _checked_save_freq(save_freq):
    is_count = isinstance(save_freq, Integral) and not isinstance(save_freq, bool)
    is_word = isinstance(save_freq, str) and save_freq == "epoch"
    if is_word:
        return save_freq
    if is_count and save_freq >= 1:
        return int(save_freq)
    raise ValueError(
        '`save_freq` must be "epoch", or an int of at least 1: a number of steps. '
        f"Received: save_freq={save_freq!r}"
    )
