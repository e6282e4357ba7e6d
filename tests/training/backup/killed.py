"""A script that trains, killed at any step and run again, and what became of it."""

import keras
import numpy as np
from small_models import FEATURES, compiled, data, gate

from keras_layer_prune import BackupAndRestore, PruneSections

STEPS = 6
EPOCHS = 6
X, Y = data(rows=8 * STEPS - 3)  # the last batch is ragged


class Killed(BaseException):
    """Like SIGKILL: no handler of the script sees it."""


class Kill(keras.callbacks.Callback):
    """Ends the process at the end of a step; of an epoch, if `step` is None."""

    def __init__(self, epoch, step=None):
        super().__init__()
        self.epoch, self.step = epoch, step

    def on_epoch_begin(self, epoch, logs=None):
        self._now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self._now, batch) == (self.epoch, self.step):
            raise Killed

    def on_epoch_end(self, epoch, logs=None):
        if self.step is None and epoch == self.epoch:
            raise Killed


def network(sections=5, dropout=0.2):
    """Sections that differ in what they start with, noise and statistics in between."""
    x = inputs = keras.Input((FEATURES,))
    for index in range(sections):
        branch = keras.layers.Dense(FEATURES, "tanh")(x)
        branch = keras.layers.BatchNormalization()(branch)
        branch = keras.layers.Dropout(dropout)(branch)
        branch = gate(None, 0.9 - 0.15 * index, 0.5)(branch)
        x = keras.layers.Add()([x, branch])
    return keras.Model(inputs, keras.layers.Dense(1)(x))


def make_model(optimizer=None, **arguments):
    return compiled(
        network(),
        optimizer
        or keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 40)),
        **{"metrics": ["mae"], "gate_step_size": 0.02, **arguments},
    )


class Script:
    """What a user runs again and again; every run makes everything anew.

    Args:
        directory: Where the backup is, or None for a run without one.
        seed: Of the process.
        **arguments: Of `make_model`.
    """

    def __init__(self, directory, seed=0, make=make_model, **arguments):
        self.directory = directory
        self.seed = seed
        self.make = make
        self.arguments = arguments

    def run(self, *callbacks, save_freq="epoch", delete=False, data=None, **fit):
        """Run the script; return the model, its history and its `PruneSections`."""
        keras.utils.set_random_seed(self.seed)
        self.model = self.make(**self.arguments)
        self.prune = PruneSections(settle_by=0.8, every=4, min_saving=0.0, verbose=0)
        callbacks = [*callbacks, self.prune]
        if self.directory is not None:
            backup = BackupAndRestore(
                self.directory, save_freq=save_freq, delete_checkpoint=delete
            )
            callbacks.insert(len(callbacks) // 2, backup)
        fit = {"batch_size": 8, "epochs": EPOCHS, "verbose": 0, **fit}
        if data is None:
            fit = {"y": Y, "validation_data": (X[:9], Y[:9]), **fit}
        else:
            del fit["batch_size"]
        self.history = self.model.fit(
            X if data is None else data(), callbacks=callbacks, **fit
        )
        return self

    def run_until_done(self, *kills, **arguments):
        """Run the script, killed once by each of some callbacks, until it ends."""
        for kill in kills:
            try:
                self.run(kill, **arguments)
            except Killed:
                continue
            raise AssertionError(f"not killed at {vars(kill)}")
        return self.run(**arguments)


def outcome(script):
    """Everything that a training has made, to be compared to the bit."""
    model = script.model
    names = {e["section"]: i for i, e in enumerate(model.pruning_log)}
    return {
        "network": [v.numpy() for v in model.network.variables],
        "optimizer": [v.numpy() for v in model.optimizer.variables],
        "clock": [v.numpy() for v in model.clock.variables],
        "seed": model.estimator_seed.state.numpy(),
        "log": [{**e, "section": names[e["section"]]} for e in model.pruning_log],
        "trajectories": [script.prune.trajectories[name] for name in names],
        "history": script.history.history,
        "epochs": script.history.epoch,
        "shapes": [w.shape for w in model.network.weights],
    }


def assert_same(one, other):
    """Two outcomes are equal to the bit."""
    mine, its = outcome(one), outcome(other)
    assert mine.keys() == its.keys()
    for key in mine:
        np.testing.assert_equal(mine[key], its[key], err_msg=key)
