"""Every callback of Keras, and what becomes of it when sections leave during `fit`.

    python tests/training/callback_cases.py --write

writes the table in `docs/callbacks.md`; the tests run every row of it.
"""

import argparse
import pathlib
import sys
from typing import NamedTuple

import keras
import numpy as np
from small_models import compiled, useful_and_idle, useful_and_idle_data

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "callbacks.md"
# Epochs of two steps; the section leaves after the second epoch.
EPOCHS, STEPS, EVENT = 4, 2, 1
X, Y = useful_and_idle_data()
callbacks = keras.callbacks


class Case(NamedTuple):
    """A callback of Keras with some arguments.

    Attributes:
        name: String, the class.
        arguments: String, as they are written.
        make: Function from a folder to a new callback.
        says: String, what the table says.
        refusal: Regular expression that the error matches, or None if it works.
        warning: Regular expression that the warning matches, or None.
        needs: String, a module without which it cannot run.
    """

    name: str
    arguments: str
    make: object
    says: str
    refusal: str | None = None
    warning: str | None = None
    needs: str | None = None

    def __str__(self):
        return f"{self.name}({self.arguments})"


def every_epoch(folder):
    return callbacks.ModelCheckpoint(folder / "epoch-{epoch}.keras")


def falling(epoch, rate):
    return rate * 0.5


CASES = [
    Case(
        "ModelCheckpoint",
        "'epoch-{epoch}.keras'",
        every_epoch,
        "works; each file holds the network of its time, gates and optimizer included",
    ),
    Case(
        "ModelCheckpoint",
        "'last.keras', save_freq=3",
        lambda folder: callbacks.ModelCheckpoint(folder / "last.keras", save_freq=3),
        "works",
    ),
    Case(
        "ModelCheckpoint",
        "'best.keras', save_best_only=True",
        lambda folder: callbacks.ModelCheckpoint(
            folder / "best.keras", save_best_only=True
        ),
        "works, with a warning: the best may be a network whose gates are undecided",
        warning="compares networks of different sizes",
    ),
    Case(
        "ModelCheckpoint",
        "'w.weights.h5', save_weights_only=True",
        lambda folder: callbacks.ModelCheckpoint(
            folder / "w.weights.h5", save_weights_only=True
        ),
        "refused: weights by position; use `ModelCheckpoint('model.keras')`",
        refusal=r"position.*sections will leave.*ModelCheckpoint\('model.keras",
    ),
    Case(
        "ModelCheckpoint",
        "'model.h5'",
        lambda folder: callbacks.ModelCheckpoint(folder / "model.h5"),
        "refused: `load_model` knows no `GatedModel` in that format; use `.keras`",
        refusal=r"does not read one by itself.*Write `.keras`",
    ),
    Case(
        "EarlyStopping",
        "patience=1",
        lambda folder: callbacks.EarlyStopping(patience=1, min_delta=1e6),
        "works; a `fit` stopped before `settle_by` leaves gates undecided",
    ),
    Case(
        "EarlyStopping",
        "restore_best_weights=True",
        lambda folder: callbacks.EarlyStopping(patience=9, restore_best_weights=True),
        "refused: weights by position; use `start_from_epoch`, as below",
        refusal=r"would not fit at the end.*`start_from_epoch=\d.*ModelCheckpoint",
    ),
    Case(
        "EarlyStopping",
        "restore_best_weights=True, start_from_epoch=...",
        lambda folder: callbacks.EarlyStopping(
            patience=9, restore_best_weights=True, start_from_epoch=EVENT
        ),
        "works, from the epoch on at whose end all gates are decided",
    ),
    Case(
        "ReduceLROnPlateau",
        "",
        lambda folder: callbacks.ReduceLROnPlateau(patience=1, min_delta=1e6),
        "works",
    ),
    Case(
        "LearningRateScheduler",
        "schedule",
        lambda folder: callbacks.LearningRateScheduler(falling),
        "works",
    ),
    Case(
        "TensorBoard",
        "histogram_freq=1, write_images=True, update_freq=1",
        lambda folder: callbacks.TensorBoard(
            folder,
            histogram_freq=1,
            write_graph=True,
            write_images=True,
            write_steps_per_second=True,
            update_freq=1,
        ),
        "works; histograms of a removed section end where it left; gates and "
        "decisions: add `keras_layer_prune.TensorBoardGates(log_dir)`",
        needs="tensorboard",
    ),
    Case(
        "CSVLogger",
        "",
        lambda folder: callbacks.CSVLogger(folder / "log.csv"),
        "works; the same columns in every row; beside a backup it needs `append=True`",
    ),
    Case(
        "SwapEMAWeights",
        "",
        lambda folder: callbacks.SwapEMAWeights(),
        "works; averages of the removed section leave with it",
    ),
    Case(
        "SwapEMAWeights",
        "swap_on_epoch=True",
        lambda folder: callbacks.SwapEMAWeights(swap_on_epoch=True),
        "works",
    ),
    Case(
        "BackupAndRestore",
        "directory",
        lambda folder: callbacks.BackupAndRestore(folder / "backup"),
        "refused: weights by position; use `keras_layer_prune.BackupAndRestore`",
        refusal=r"by their position.*keras_layer_prune.BackupAndRestore\(directory\)",
    ),
    Case(
        "TerminateOnNaN",
        "",
        lambda folder: callbacks.TerminateOnNaN(),
        "works",
    ),
    Case(
        "RemoteMonitor",
        "root=...",
        lambda folder: callbacks.RemoteMonitor(root="http://127.0.0.1:9"),
        "works (tried with a server that does not answer)",
        warning="Could not reach RemoteMonitor",
        needs="requests",
    ),
    Case("LambdaCallback", "", lambda folder: callbacks.LambdaCallback(), "works"),
    Case("History", "", lambda folder: callbacks.History(), "works"),
    Case("ProgbarLogger", "", lambda folder: callbacks.ProgbarLogger(), "works"),
    Case(
        "OrbaxCheckpoint",
        "directory",
        lambda folder: callbacks.OrbaxCheckpoint(folder / "orbax"),
        "works; each step holds the network of its time, gates and optimizer included",
        needs="orbax",
    ),
    Case(
        "OrbaxCheckpoint",
        "directory, save_weights_only=True",
        lambda folder: callbacks.OrbaxCheckpoint(folder, save_weights_only=True),
        "refused: weights without their network; use `ModelCheckpoint('model.keras')`",
        refusal="writes weights without the network",
        needs="orbax",
    ),
]


class PruneAt(keras.callbacks.Callback):
    """Removes the idle section at the end of an epoch, as `PruneSections` would.

    What it removes gives exactly zero, so that a training with it and one without
    (`epoch=None`) have the same losses and weights.
    """

    moves_gates = True
    latest_settling = (EVENT + 1) / EPOCHS

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        is_last = batch + 1 == self.params["steps"]
        if is_last and self.now == self.epoch:
            useful, idle = self.model.gates
            self.model.decide(closed=[idle], opened=[useful], epoch=self.now)

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch


def train(callback, epoch, is_first=False, **options):
    """A training with or without a pruning event; the model and its history."""
    keras.utils.set_random_seed(0)
    model = compiled(
        useful_and_idle(theta=1.0),
        keras.optimizers.Adam(0.03, use_ema=True, ema_momentum=0.5),
        # Open gates stay open: nothing is random.
        gate_gradient="straight_through",
        metrics=["mae"],
        **options,
    )
    both = [callback, PruneAt(epoch)] if is_first else [PruneAt(epoch), callback]
    history = model.fit(
        X,
        Y + 1.0,
        batch_size=24,
        epochs=EPOCHS,
        validation_data=(X, Y + 1.0),
        shuffle=False,
        verbose=0,
        callbacks=both,
    ).history
    return model, history


# They say of the gates what is different between the two.
OF_GATES = {"loss", "sections", "expected_sections"}


def assert_equal_histories(history, expected):
    assert history.keys() == expected.keys()
    for name in history.keys() - OF_GATES:
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-5)


def table() -> str:
    """The rows as Markdown."""
    lines = [HEAD, "| callback of Keras | arguments | when a section leaves |"]
    lines.append("| --- | --- | --- |")
    for case in CASES:
        arguments = f"`{case.arguments}`" if case.arguments else ""
        lines.append(f"| `{case.name}` | {arguments} | {case.says} |")
    return "\n".join([*lines, ""])


HEAD = """\
# Keras's callbacks beside `PruneSections`

Made by `python tests/training/callback_cases.py --write`; the tests run every row,
before and behind the callback that prunes, and compare with a training in which the
section stays and gives nothing. `OrbaxCheckpoint` runs where `orbax-checkpoint` is
installed (tried with 0.12.8).

"Refused" says that `fit` raises a `ValueError` before the first batch, if gates can
move in it. A model whose gates are all decided, or frozen, trains with all of them but
the one that writes `.h5`.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}")
    if parser.parse_args().write:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(table())
    sys.stdout.write(table())


if __name__ == "__main__":
    main()
