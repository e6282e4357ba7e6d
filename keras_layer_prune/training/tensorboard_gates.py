"""The callback that shows gates and decisions in TensorBoard: `TensorBoardGates`."""

import importlib.util
import os

import keras
import tensorflow as tf

from keras_layer_prune._checks import checked_config, checked_folder
from keras_layer_prune.graph.costs.anatomy import (
    count_macs,
    count_parameters,
    layers_at_work,
)
from keras_layer_prune.graph.gates import theta_of
from keras_layer_prune.training.gated_model import GatedModel
from keras_layer_prune.training.shrinking.decisions import describe
from keras_layer_prune.training.step.replicas import is_chief

# A run of its own, beside Keras's `train` and `validation`: where TensorBoard has no
# data server it follows the newest file of a run only, and the loss would stand still.
_RUN = "gates"


@keras.saving.register_keras_serializable("keras_layer_prune")
class TensorBoardGates(keras.callbacks.Callback):
    """Shows gates, the network's size and every decision beside the loss.

    Writes what TensorBoard reads, once an epoch, with the number of the epoch as step,
    as `keras.callbacks.TensorBoard` does:

    - `gates/<name of the gate>`: scalar, the probability that the gate is open at the
      end of the epoch; the line of a gate that is decided ends at 0 or 1.
    - `network/sections`, `network/parameters`, `network/MACs per example`: scalars,
      what the network has at the end of the epoch.
    - `decisions/<name of the gate>`: text, whether the section left, when, its benefit
      against its price, and what it costs.

    They stand in the folder `gates` in `log_dir`, which TensorBoard shows as a run
    beside those of Keras's callback, `train` and `validation`. Where it stands among
    the callbacks does not matter. Of several machines one writes. After a restart by
    `BackupAndRestore` what had not been backed up is written again, and shown once.

    Args:
        log_dir: String or path, the folder that `keras.callbacks.TensorBoard` has.

    Raises:
        ImportError: If tensorboard is not installed; before the first batch.
        TypeError: If the model that is trained is not a `GatedModel`, or `log_dir` is
            no path.
        ValueError: If `log_dir` is a file.

    Example:

    >>> callbacks = [
    ...     keras_layer_prune.PruneSections(),
    ...     keras.callbacks.TensorBoard("logs"),
    ...     keras_layer_prune.TensorBoardGates("logs"),
    ... ]
    >>> model.fit(x, y, epochs=20, callbacks=callbacks)
    """

    # What `GatedModel.fit` looks for.
    shows_decisions = True

    def __init__(self, log_dir="logs"):
        super().__init__()
        self.log_dir = checked_folder("log_dir", log_dir)

    def on_train_begin(self, logs=None):
        """Check the model, and what writing needs."""
        if not isinstance(self.model, GatedModel):
            raise TypeError(
                "`TensorBoardGates` needs a `GatedModel`, whose gates it shows. "
                f"Received a {type(self.model).__name__} named `{self.model.name}`. "
                "Write `model = keras_layer_prune.GatedModel(network)`, compile and "
                "fit it, or leave the callback out."
            )
        if importlib.util.find_spec("tensorboard") is None:
            raise ImportError(
                "`TensorBoardGates` needs tensorboard: `pip install tensorboard`, or "
                "leave the callback out; `plot_gates` draws the gates without it."
            )
        self._writer = None
        # What was decided before this `fit` is not its to tell.
        self._told = len(self.model.pruning_log)

    def on_epoch_begin(self, epoch, logs=None):
        """Pass over what a backup has brought back: the earlier run has told it."""
        new = self.model.pruning_log[self._told :]
        self._told += sum(_is_before(entry, epoch) for entry in new)

    def on_epoch_end(self, epoch, logs=None):
        """Write what there is and what was decided."""
        new = self.model.pruning_log[self._told :]
        self._told += len(new)
        # All workers read their variables, which may need the others; one writes.
        scalars = {**_gates(self.model.gates, new), **_costs(self.model)}
        if is_chief(self.model.distribute_strategy):
            self._write(epoch, scalars, new)

    def on_train_end(self, logs=None):
        """Close the file."""
        if self._writer is not None:
            self._writer.close()

    def _write(self, epoch, scalars, entries):
        if self._writer is None:
            folder = os.path.join(self.log_dir, _RUN)
            self._writer = tf.summary.create_file_writer(folder)
        # Keras's callback may have said that most steps are not to be recorded.
        with self._writer.as_default(epoch), tf.summary.record_if(True):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
            for entry in entries:
                tf.summary.text(f"decisions/{entry['section']}", _text(entry))
        # Before a backup says that the epoch is done.
        self._writer.flush()

    def __getstate__(self):
        # Copies have no file open. An interrupted `fit` leaves one, and to copy that
        # would reach into TensorFlow's own state.
        return {**vars(self), "_writer": None}

    def get_config(self):
        """The arguments of the constructor."""
        return {"log_dir": self.log_dir}

    @classmethod
    def from_config(cls, config):
        """An object from the config of another one."""
        return cls(**checked_config(config))


def _is_before(entry, epoch) -> bool:
    return entry["epoch"] is not None and entry["epoch"] < epoch


def _gates(gates, entries) -> dict:
    """Probabilities of gates, those included that have just been decided."""
    decided = {entry["section"]: float(entry["action"] == "kept") for entry in entries}
    thetas = {**decided, **{gate.name: theta_of(gate) for gate in gates}}
    return {f"gates/{name}": theta for name, theta in thetas.items()}


def _costs(model) -> dict:
    uses = layers_at_work(model.network)
    return {
        "network/sections": model.sections,
        "network/parameters": count_parameters(uses),
        "network/MACs per example": count_macs(uses),
    }


def _text(entry) -> str:
    """When and what, for TensorBoard, which reads Markdown."""
    # The console counts epochs from 1, TensorBoard's steps from 0.
    is_known = entry["epoch"] is not None
    epoch = f" in epoch {entry['epoch'] + 1} of the console" if is_known else ""
    return f"Training step {entry['step']}{epoch}: {describe(entry)}"
