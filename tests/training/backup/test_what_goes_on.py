"""What a restart brings back beside the weights, and in which trainings."""

import random

import keras
import numpy as np
import pytest
from killed import Kill, Killed, Script, X, Y, assert_same
from small_models import FEATURES, compiled, gate

from keras_layer_prune import BackupAndRestore
from keras_layer_prune.training.backup.arrays import assign, values_of
from keras_layer_prune.training.backup.randomness import (
    random_states,
    set_random_states,
)

SETTINGS = {"epochs": 3, "save_freq": 4}


class Noise(keras.layers.Layer):
    """Not registered, and draws from the generator that all layers share."""

    def call(self, inputs, training=False):
        if not training:
            return inputs
        return inputs + 0.1 * keras.random.normal(keras.ops.shape(inputs))


def make(**arguments):
    """A model with layers that cannot be loaded from a file without running code."""
    x = inputs = keras.Input((FEATURES,))
    for theta in (0.9, 0.2):
        branch = keras.layers.Dense(FEATURES, "tanh")(x)
        branch = keras.layers.Lambda(lambda tensor: tensor * 0.5)(branch)
        branch = gate(None, theta, 0.5)(Noise()(branch))
        x = keras.layers.Add()([x, branch])
    network = keras.Model(inputs, keras.layers.Dense(1)(x))
    arguments = {"optimizer": keras.optimizers.Adam(0.02), **arguments}
    return compiled(network, gate_step_size=0.03, **arguments)


def assert_goes_on(folder, *kills, make=make, callbacks=list, **settings):
    """A script that is killed ends as one that is not; return the two."""
    settings = {**SETTINGS, **settings}
    undisturbed = Script(None, make=make).run(*callbacks(), **settings)
    script = Script(folder, make=make)
    for kill in kills:
        with pytest.raises(Killed):
            script.run(kill, *callbacks(), **settings)
    script.run(*callbacks(), **settings)
    assert_same(script, undisturbed)
    return script, undisturbed


def test_lambdas_and_layers_that_are_not_registered_and_the_shared_generator(tmp_path):
    script, _ = assert_goes_on(tmp_path, Kill(1, 4))
    assert script.model.pruning_log


def test_what_callbacks_of_keras_have_seen(tmp_path):
    def callbacks():
        return [
            keras.callbacks.ReduceLROnPlateau("loss", 0.5, patience=2, min_delta=10.0),
            keras.callbacks.EarlyStopping("loss", patience=4, min_delta=10.0),
        ]

    script, _ = assert_goes_on(
        tmp_path, Kill(1), Kill(3), callbacks=callbacks, epochs=9
    )
    assert len(script.history.epoch) == 5
    assert float(script.model.optimizer.learning_rate) == pytest.approx(0.005)


def test_the_best_weights_that_early_stopping_has_seen(tmp_path):
    def callbacks():
        # Upside down, so that the best epoch is long ago when the script is killed.
        return [
            keras.callbacks.EarlyStopping(
                "loss",
                mode="max",
                patience=50,
                restore_best_weights=True,
                start_from_epoch=9,
            )
        ]

    script, _ = assert_goes_on(tmp_path, Kill(10), callbacks=callbacks, epochs=12)
    losses = script.history.history["loss"]
    assert max(losses[9:]) > losses[-1]


class Multiply(keras.callbacks.Callback):
    """A schedule that changes the rate that it finds."""

    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate = self.model.optimizer.learning_rate * 0.5


def test_a_schedule_is_not_stepped_twice_in_an_epoch_that_is_begun_again(tmp_path):
    assert_goes_on(tmp_path, Kill(1, 4), callbacks=lambda: [Multiply()])


# The second of four leaves an execution that is not full at the end of an epoch.
@pytest.mark.parametrize("steps", [2, 4])
def test_several_steps_in_one_execution(tmp_path, steps):
    def graph():
        return make(run_eagerly=False, steps_per_execution=steps)

    assert_goes_on(tmp_path, Kill(1, 3), make=graph, verbose=1)


def test_several_steps_of_accumulated_gradients_and_averaged_weights(tmp_path):
    def careful():
        return make(
            optimizer=keras.optimizers.AdamW(
                0.02, gradient_accumulation_steps=3, use_ema=True
            )
        )

    assert_goes_on(tmp_path, Kill(0, 4), Kill(2, 1), make=careful)


class Odd(keras.callbacks.Callback):
    def get_state(self):
        return {"model": self.model}

    def set_state(self, state):
        pass


def test_a_state_that_is_not_plain_is_an_error_before_the_first_step(tmp_path):
    script = Script(tmp_path, make=make)
    with pytest.raises(TypeError, match="Received a GatedModel.*`get_state"):
        script.run(Odd(), **SETTINGS)
    assert int(script.model.optimizer.iterations) == 0


class Stop(keras.callbacks.Callback):
    """Ends the training, and then the process before anything else is done."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == 1


class KillAtTheEnd(keras.callbacks.Callback):
    def on_train_end(self, logs=None):
        raise Killed


def test_a_training_that_was_stopped_is_not_taken_up_again(tmp_path):
    script = Script(tmp_path, make=make)
    with pytest.raises(Killed):
        script.run(Stop(), KillAtTheEnd(), **SETTINGS)
    weights = script.model.get_weights()
    assert script.run(**SETTINGS).history.epoch == [0, 1]
    np.testing.assert_equal(script.model.get_weights(), weights)


def test_fit_called_again_after_an_error_with_the_same_model(tmp_path):
    undisturbed = Script(None, make=make).run(**SETTINGS)
    script = Script(tmp_path, make=make)
    with pytest.raises(Killed):
        script.run(Kill(1, 4), **SETTINGS)
    backup = BackupAndRestore(tmp_path, save_freq=4)
    script.history = script.model.fit(
        X,
        Y,
        batch_size=8,
        epochs=3,
        validation_data=(X[:9], Y[:9]),
        callbacks=[backup, script.prune],
        verbose=0,
    )
    assert_same(script, undisturbed)
    assert list(tmp_path.iterdir()) == []


def test_a_fit_after_it_begins_at_its_own_epoch(tmp_path):
    script = Script(tmp_path, make=make)
    script.run_until_done(Kill(1, 4), **SETTINGS)
    history = script.model.fit(X, Y, epochs=2, verbose=0, callbacks=[script.prune])
    assert history.epoch == [0, 1]


@pytest.mark.parametrize("save_freq", ["epoch", 4])
def test_with_more_epochs_than_before_gates_have_the_time_that_these_give(
    save_freq, tmp_path
):
    script = Script(tmp_path, make=make)
    with pytest.raises(Killed):
        script.run(Kill(1, 3), epochs=6, save_freq=save_freq)
    script.run(epochs=12, save_freq=save_freq)
    # Of 72 steps `hold` is a twentieth, and `settle_by` 0.8.
    clock = script.model.clock
    phase = int(clock.first_step.numpy()), int(clock.last_step.numpy())
    assert phase == (4, 58)
    assert int(clock.step.numpy()) == 72


def test_an_error_in_the_repeated_step_leaves_no_trace_in_the_next_fit(tmp_path):
    script = Script(tmp_path, make=make)
    with pytest.raises(Killed):
        script.run(Kill(1, 4), **SETTINGS)
    with pytest.raises(Killed):
        # Before the step that is repeated.
        script.run(KillBefore(), **SETTINGS)
    iterations = int(script.model.optimizer.iterations)
    script.model.fit(X, Y, batch_size=8, verbose=0, callbacks=[script.prune])
    assert script.model.optimizer.iterations == iterations + 6


class KillBefore(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        raise Killed


def test_random_states_are_those_that_were_saved():
    keras.random.uniform(())
    states = random_states()

    def draws():
        return random.random(), np.random.normal(), float(keras.random.uniform(()))

    first = draws()
    set_random_states(states)
    assert draws() == first


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "int64", "bool"])
@pytest.mark.parametrize("shape", [(), (3, 2), (0, 4)])
def test_values_of_any_kind_and_shape_come_back(dtype, shape):
    values = np.random.default_rng(0).normal(size=shape) > 0
    source = keras.Variable(values, dtype=dtype, trainable=False)
    target = keras.Variable(np.zeros(shape), dtype=dtype, trainable=False)
    (value,) = values_of([source])
    assert value.dtype.kind in "biuf"
    assign([target], [value])
    np.testing.assert_array_equal(target.numpy(), source.numpy())
