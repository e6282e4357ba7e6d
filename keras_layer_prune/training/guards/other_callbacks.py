"""Callbacks of Keras that cannot follow a network that gets smaller.

They are refused before the first batch, with what to use instead. All others of
Keras work through a pruning event: `docs/callbacks.md`.
"""

import warnings

import keras

from keras_layer_prune.training.fit_callbacks import gate_movers
from keras_layer_prune.training.schedule import settling_epoch


def check_callbacks(callbacks, will_shrink, epochs):
    """Raise if a callback would fail, or do something else, in the middle of a `fit`.

    Args:
        callbacks: List of callbacks.
        will_shrink: Whether sections may leave during this `fit`.
        epochs: Int, the epochs of this `fit`.

    Raises:
        TypeError: If one is a class.
        ValueError: If a callback keeps weights by their position in the network, or
            several would move the gates.
    """
    movers = gate_movers(callbacks)
    if len(movers) > 1:
        raise ValueError(
            f"`callbacks` holds {len(movers)} of `PruneSections`, each with a schedule "
            "of its own for the same gates. Leave one."
        )
    for callback in callbacks:
        if isinstance(callback, type):
            raise TypeError(
                f"`callbacks` holds the class `{callback.__name__}`. Make an object of "
                f"it: `{callback.__name__}(...)`."
            )
        for kind, check in _CHECKS.items():
            if isinstance(callback, kind):
                check(callback)
        if will_shrink:
            _check_shrinking(callback, callbacks, epochs)


def _check_shrinking(callback, callbacks, epochs):
    for kind, check in _CHECKS_OF_SHRINKING.items():
        if isinstance(callback, kind):
            check(callback)
    if isinstance(callback, keras.callbacks.EarlyStopping):
        _check_stopping(callback, _settling_epoch(callbacks, epochs))


def _settling_epoch(callbacks, epochs) -> int:
    movers = gate_movers(callbacks)
    latest = max(getattr(mover, "latest_settling", 1.0) for mover in movers)
    return settling_epoch(latest, epochs)


def _check_format(checkpoint):
    if checkpoint.filepath.endswith(".h5") and not checkpoint.save_weights_only:
        raise ValueError(
            "`ModelCheckpoint` would write a `GatedModel` as `.h5`, and from that "
            "format `keras.saving.load_model` does not read one by itself: it does "
            "not know the class. Received: "
            f"filepath={checkpoint.filepath!r}. Write `.keras` instead, which holds "
            "the network as it is then, the gates and the optimizer."
        )


def _check_checkpoint(checkpoint):
    if checkpoint.save_weights_only:
        raise ValueError(
            "`ModelCheckpoint(save_weights_only=True)` writes weights by their "
            "position in the network, and sections will leave it: what was written "
            "before could not be loaded after. Received: "
            f"filepath={checkpoint.filepath!r}. Use "
            "`ModelCheckpoint('model.keras')`, which holds the network too, or "
            "`keras_layer_prune.BackupAndRestore(directory)` to go on after a crash."
        )
    if checkpoint.save_best_only:
        warnings.warn(
            "`ModelCheckpoint(save_best_only=True)` compares networks of different "
            f"sizes by `{checkpoint.monitor}`: the best one may be from before the "
            "gates were decided, and `strip_gates` then refuses it. To keep the last "
            "network as well, add a `ModelCheckpoint('last.keras')`.",
            stacklevel=6,
        )


def _check_stopping(stopping, settling_epoch):
    if stopping.restore_best_weights and stopping.start_from_epoch < settling_epoch:
        raise ValueError(
            "`EarlyStopping(restore_best_weights=True)` keeps weights by their "
            "position in the network, and sections will leave it: the best weights "
            "would not fit at the end. Let it look at epochs after all gates are "
            f"decided, `start_from_epoch={settling_epoch}`, or leave "
            "`restore_best_weights` out and keep the networks with "
            "`ModelCheckpoint('epoch-{epoch}.keras')`. Received: start_from_epoch="
            f"{stopping.start_from_epoch}"
        )


def _check_backup(backup):
    raise ValueError(
        "`keras.callbacks.BackupAndRestore` writes weights by their position in the "
        "network, and sections will leave it: after a crash they would not fit. "
        f"Received: backup_dir={str(backup.backup_dir)!r}. Use "
        "`keras_layer_prune.BackupAndRestore(directory)`, which holds the network, the "
        "gates, the optimizer and the random states."
    )


def _check_orbax(checkpoint):
    if checkpoint.save_weights_only:
        raise ValueError(
            "`OrbaxCheckpoint(save_weights_only=True)` writes weights without the "
            "network that they belong to, and sections will leave it. Received: "
            f"directory={str(checkpoint.directory)!r}. Use "
            "`ModelCheckpoint('model.keras')`."
        )


_CHECKS = {keras.callbacks.ModelCheckpoint: _check_format}
_CHECKS_OF_SHRINKING = {
    keras.callbacks.ModelCheckpoint: _check_checkpoint,
    keras.callbacks.BackupAndRestore: _check_backup,
    keras.callbacks.OrbaxCheckpoint: _check_orbax,
}
