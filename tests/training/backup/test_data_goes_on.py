"""After a restart the data goes on where it was, whatever it is."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from killed import Kill, Killed, Script, X, Y, assert_same
from small_models import chain, compiled

SETTINGS = {"epochs": 3, "validation_data": None, "save_freq": 4}


def reshuffled():
    data = tf.data.Dataset.from_tensor_slices((X, Y))
    return data.shuffle(100, seed=3, reshuffle_each_iteration=True).batch(8)


def of_unknown_length():
    return reshuffled().filter(lambda x, y: True)


def endless():
    return reshuffled().repeat()


def generator():
    dice = np.random.default_rng(5)
    while True:
        rows = dice.permutation(len(X))[:8]
        yield X[rows], Y[rows]


class Shuffled(keras.utils.PyDataset):
    """Shuffles by Keras, and once more at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.dice = np.random.default_rng(5)
        self.order = np.arange(len(X))

    def __len__(self):
        return 6

    def __getitem__(self, index):
        rows = self.order[8 * index : 8 * index + 8]
        return X[rows], Y[rows]

    def on_epoch_end(self):
        self.dice.shuffle(self.order)


CASES = {
    "reshuffled": (reshuffled, {}),
    "of unknown length": (of_unknown_length, {}),
    "endless": (endless, {"steps_per_epoch": 6}),
    "epochs of half the data": (reshuffled, {"steps_per_epoch": 3}),
    "generator": (generator, {"steps_per_epoch": 6}),
    "PyDataset": (Shuffled, {}),
}


def make():
    return compiled(
        chain((0.9, 0.3)),
        keras.optimizers.Adam(0.01),
        gate_step_size=0.02,
        metrics=["mae"],
        train_size=45,
    )


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")
@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
@pytest.mark.parametrize("name", CASES)
def test_it_goes_on(name, tmp_path):
    data, arguments = CASES[name]
    arguments = {**SETTINGS, **arguments, "data": data}
    undisturbed = Script(None, make=make).run(**arguments)
    script = Script(tmp_path, make=make)
    script.run_until_done(Kill(1, 2), Kill(2, 1), **arguments)
    assert_same(script, undisturbed)


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")
def test_data_that_has_become_shorter_is_an_error(tmp_path):
    arguments = {**SETTINGS, "save_freq": 1}
    script = Script(tmp_path, make=make)
    with pytest.raises(Killed):
        script.run(Kill(0, 4), data=of_unknown_length, **arguments)
    with pytest.raises(ValueError, match="ended before the step"):
        script.run(data=lambda: of_unknown_length().take(2), **arguments)
