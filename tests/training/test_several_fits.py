"""What users do between and after trainings."""

import keras
import numpy as np
import pytest
from small_models import (
    actions,
    chain,
    compiled,
    data,
    gates_by_name,
    idle_model,
    prune_idle,
    thetas,
    useful_and_idle,
    useful_and_idle_data,
    weights,
)

from keras_layer_prune import (
    FlatteningPrior,
    GatedModel,
    PruneSections,
    strip_gates,
)
from keras_layer_prune.training.step.gate_update import DEFAULT_PRICE

OUTCOME = {"gate_useful": "kept", "gate_idle": "removed"}


@pytest.fixture
def pruned():
    model = idle_model(optimizer=keras.optimizers.SGD(1e-4))
    prune_idle(model, PruneSections(verbose=0))
    return model


def test_a_second_fit_goes_on_with_what_is_left(pruned):
    log, iterations = list(pruned.pruning_log), int(pruned.optimizer.iterations)
    history = prune_idle(pruned, PruneSections(), epochs=2)
    assert list(pruned.pruning_log) == log
    assert pruned.optimizer.iterations == iterations + 12
    assert history["sections"] == history["expected_sections"] == [1.0, 1.0]
    assert history["removed"] == [0.0, 0.0]


def test_without_gates_left_training_is_that_of_keras(pruned):
    twin = keras.models.clone_model(pruned.network)
    twin.set_weights(pruned.network.get_weights())
    x, y = useful_and_idle_data()
    for model in (pruned, twin):
        model.compile(keras.optimizers.Adam(0.01), "mse", run_eagerly=True)
        model.fit(x, y, shuffle=False, verbose=0)
    for mine, its in zip(pruned.network.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(mine, its, atol=1e-6)


def test_compiling_again_after_pruning_starts_a_new_optimizer(pruned):
    pruned.compile(keras.optimizers.Adam(0.01), "mae", run_eagerly=True)
    before = weights(pruned)
    prune_idle(pruned, epochs=1)
    assert pruned.optimizer.iterations == 6
    assert actions(pruned) == OUTCOME
    assert all((v != before[path]).any() for path, v in weights(pruned).items())


def test_evaluate_and_predict_before_between_and_after_fits():
    model = idle_model(run_eagerly=False)
    x, y = useful_and_idle_data()
    for epochs in (0, 8, 1):
        if epochs:
            prune_idle(model, PruneSections(verbose=0), epochs=epochs)
        expected = model.network(x, training=False).numpy()
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-6)
        logs = model.evaluate(x, y, verbose=0, return_dict=True)
        error = np.mean((expected - y) ** 2)
        assert logs["loss"] == pytest.approx(error, abs=1e-5)
        assert logs["data_loss"] == pytest.approx(error, abs=1e-5)
    assert actions(model) == OUTCOME


def test_evaluating_moves_no_gate_and_needs_no_train_size():
    model = idle_model()
    model.evaluate(*useful_and_idle_data(), verbose=0)
    assert thetas(model) == [0.5, 0.5]
    assert model.clock.step == 0
    assert model.train_size is None


def test_the_network_from_before_sections_left_is_told_apart():
    model = compiled(chain((1.0, 0.0)), train_size=16)
    before = model.network
    assert strip_gates(before)
    model.decide(closed=[model.gates[1]])
    with pytest.warns(UserWarning, match=r"before sections left.*`model\.network`"):
        strip_gates(before)
    assert strip_gates(model.network)


def test_a_fit_of_no_epochs_changes_nothing():
    model = idle_model()
    prune_idle(model, PruneSections(), epochs=0)
    assert thetas(model) == [0.5, 0.5]
    assert list(model.pruning_log) == []


def test_a_fit_that_was_over_already_changes_nothing():
    model = idle_model()
    prune_idle(model, PruneSections(), epochs=3, initial_epoch=3)
    assert thetas(model) == [0.5, 0.5]


def test_a_stopped_fit_leaves_gates_that_a_second_one_decides():
    model = idle_model()

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    prune_idle(model, PruneSections(verbose=0), Stop())
    assert len(model.gates) == 2
    prune_idle(model, PruneSections(verbose=0))
    assert actions(model) == OUTCOME


class StopAfterAStep(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = True


class Interrupt(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        raise KeyboardInterrupt


def stopped(model, folder, **pruning):
    prune_idle(model, PruneSections(verbose=0, **pruning), StopAfterAStep(), epochs=60)
    return model


def interrupted(model, folder, **pruning):
    with pytest.raises(KeyboardInterrupt):
        prune_idle(model, PruneSections(verbose=0, **pruning), Interrupt(), epochs=60)
    return model


def loaded(model, folder, **pruning):
    stopped(model, folder, **pruning).save(folder / "stopped.keras")
    return keras.saving.load_model(folder / "stopped.keras")


UNFINISHED = pytest.mark.parametrize("leave", [stopped, interrupted, loaded])


@UNFINISHED
def test_after_an_unfinished_schedule_gates_rest_without_the_callback(leave, tmp_path):
    model = leave(idle_model(gate_step_size=None), tmp_path, hold=0.0)
    before = thetas(model)
    prune_idle(model, epochs=2)
    assert thetas(model) == before


@UNFINISHED
@pytest.mark.parametrize("hold", [0.0, 0.4])
def test_after_an_unfinished_schedule_a_step_size_acts_at_full_price(
    leave, hold, tmp_path
):
    model = leave(idle_model(), tmp_path, hold=hold)
    assert thetas(model)[1] == 0.5
    prune_idle(model, epochs=1, rows=8)
    # Its section gives nothing: a step of size 1 takes off the price.
    assert thetas(model)[1] == pytest.approx(0.5 - DEFAULT_PRICE)


def test_a_schedule_can_be_begun_after_a_fit_in_which_gates_rested():
    model = idle_model(gate_step_size=None)
    prune_idle(model, epochs=1)
    prune_idle(model, PruneSections(verbose=0), epochs=12)
    assert actions(model) == OUTCOME


def test_a_model_can_be_pruned_by_hand_without_any_training():
    model = GatedModel(useful_and_idle(theta=1.0))
    x, _ = data()
    outputs = model(x).numpy()
    useful, idle = model.gates
    entries = model.decide(closed=[idle], opened=[useful])
    assert [entry["section"] for entry in entries] == ["gate_idle", "gate_useful"]
    np.testing.assert_allclose(model(x), outputs, atol=1e-6)
    assert model.gates == []


def test_two_models_share_nothing():
    first, second = compiled(useful_and_idle()), compiled(useful_and_idle())
    first.decide(closed=first.gates)
    assert len(second.gates) == 2
    assert list(second.pruning_log) == []
    assert second.optimizer is not first.optimizer


def test_a_gate_that_is_named_twice_is_decided_once():
    model = compiled(chain((0.5, 0.5)), train_size=16)
    first, second = model.gates
    entries = model.decide(closed=[first, first], opened=[second, second])
    assert [entry["section"] for entry in entries] == ["gate_0", "gate_1"]
    assert model.sections == 1


def test_a_gate_that_is_thawed_moves_in_the_next_fit():
    model = idle_model(run_eagerly=False)
    gates_by_name(model)["gate_idle"].trainable = False
    with pytest.warns(UserWarning, match="Frozen gates"):
        prune_idle(model, PruneSections(verbose=0), epochs=2)
    assert thetas(model) == [0.5]

    gates_by_name(model)["gate_idle"].trainable = True
    prune = PruneSections(verbose=0)
    prune_idle(model, prune)
    (points,) = prune.trajectories.values()
    assert any(0.0 < theta < 0.5 for _, theta in points)
    assert actions(model) == OUTCOME


def test_a_price_that_is_changed_counts_in_the_next_fit():
    model = idle_model(run_eagerly=False)
    prune_idle(model, epochs=1)
    # Now a section that gives nothing is paid for being there.
    for gate in model.gates:
        gate.probability.assign(0.5)
        gate.prior = FlatteningPrior(-1e3)
    prune_idle(model, epochs=1)
    assert thetas(model) == [1.0, 1.0]


def test_another_fit_of_the_same_model_does_not_trace_again():
    model = idle_model(run_eagerly=False)
    prune_idle(model, PruneSections(verbose=0), epochs=4)
    step = model.train_function
    prune_idle(model, PruneSections(verbose=0), epochs=4)
    assert model.train_function is step
