"""The gates' clock follows the length of the training, also when it shows late."""

import warnings

import pytest
import tensorflow as tf
from small_models import (
    Watch,
    actions,
    compiled,
    idle_model,
    prune_idle,
    thetas,
    useful_and_idle,
    useful_and_idle_data,
)

from keras_layer_prune import PruneSections


def of_unknown_length():
    """The data of `prune_idle` in batches that have to be counted."""
    batches = tf.data.Dataset.from_tensor_slices(useful_and_idle_data()).batch(8)
    return batches.filter(lambda x, y: True)


def test_gates_hold_until_the_length_of_an_epoch_is_known():
    model = idle_model(train_size=48)
    watch = Watch(thetas)
    callbacks = [watch, PruneSections(hold=0.0, verbose=0)]
    with warnings.catch_warnings():
        # Keras reports that it met the end of the data.
        warnings.simplefilter("ignore")
        model.fit(
            of_unknown_length(),
            epochs=8,
            shuffle=False,
            verbose=0,
            callbacks=callbacks,
        )
    assert watch.seen[:6] == [[0.5] * 2] * 6
    assert watch.seen[6] != watch.seen[5]
    assert actions(model) == {"gate_useful": "kept", "gate_idle": "removed"}
    assert max(entry["step"] for entry in model.pruning_log) == 24


@pytest.mark.parametrize("batches", [10, None])
def test_steps_per_epoch_are_the_length_that_counts(batches):
    endless = tf.data.Dataset.from_tensors(useful_and_idle_data()).repeat(batches)
    model = compiled(useful_and_idle(), train_size=48)
    model.fit(
        endless,
        steps_per_epoch=2,
        epochs=4,
        shuffle=False,
        verbose=0,
        callbacks=[PruneSections(verbose=0)],
    )
    assert {entry["step"] for entry in model.pruning_log} == {4}


def executions_that_end_before_they_are_full(is_known):
    """A training of 11 steps an epoch, run ten at a time: 10 and 1."""
    x, y = useful_and_idle_data(rows=88)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    if not is_known:
        batches = batches.filter(lambda x, y: True)
    # Too slow for any gate to decide itself.
    model = idle_model(
        gate_step_size=1e-12,
        train_size=88,
        run_eagerly=False,
        steps_per_execution=10,
        jit_compile=False,
    )
    prune = PruneSections(hold=0.0, verbose=0)
    with warnings.catch_warnings():
        # Keras reports that it met the end of the data.
        warnings.simplefilter("ignore")
        model.fit(batches, epochs=8, shuffle=False, verbose=0, callbacks=[prune])
    return model, prune


@pytest.mark.parametrize("is_known", [True, False])
def test_executions_that_end_before_they_are_full_do_not_hurry_the_schedule(is_known):
    model, prune = executions_that_end_before_they_are_full(is_known)
    assert {(entry["epoch"], entry["step"]) for entry in model.pruning_log} == {(3, 44)}
    for points in prune.trajectories.values():
        epochs = [epoch for epoch, _ in points]
        assert epochs == sorted(epochs)
        # Decided, and noted never again.
        assert epochs[-1] == 4.0


def test_epochs_that_differ_in_length_are_counted_as_they_are():
    model = idle_model(gate_step_size=1e-12, train_size=32)

    def shrinking():
        is_first = model.optimizer.iterations == 0
        yield from [useful_and_idle_data(rows=8)] * (6 if is_first else 4)

    signature = tuple(tf.TensorSpec((8, n)) for n in (4, 1))
    batches = tf.data.Dataset.from_generator(shrinking, output_signature=signature)
    prune = PruneSections(hold=0.0, verbose=0)
    with warnings.catch_warnings():
        # Keras reports that it met the end of the data.
        warnings.simplefilter("ignore")
        model.fit(batches, epochs=8, verbose=0, callbacks=[prune])
    # Half of 8 epochs as long as the first: 6 + 4 + 4 + 4 + 4 + 2.
    assert {(entry["epoch"], entry["step"]) for entry in model.pruning_log} == {(5, 24)}
    for points in prune.trajectories.values():
        epochs = [epoch for epoch, _ in points]
        assert epochs == sorted(epochs)
        assert 5.0 < epochs[-1] < 6.0


def test_a_training_in_two_parts_has_one_schedule():
    whole = idle_model()
    prune_idle(whole, PruneSections(verbose=0))
    parts = idle_model()
    for initial_epoch, epochs in ((0, 1), (1, 8)):
        # What is meant for eight epochs, stopped after the first.
        stop = Watch(lambda model, last=epochs: stop_after(model, last))
        prune_idle(parts, stop, PruneSections(verbose=0), initial_epoch=initial_epoch)
    assert list(parts.pruning_log) == list(whole.pruning_log)


def stop_after(model, epochs):
    if epochs == 1 and model.optimizer.iterations == 6:
        model.stop_training = True


def test_a_training_that_starts_late_decides_at_once():
    model = idle_model(gate_step_size=1e-12)
    prune_idle(model, PruneSections(verbose=0), initial_epoch=5)
    assert {entry["step"] for entry in model.pruning_log} == {31}
    assert model.gates == []


@pytest.mark.parametrize("initial_epoch", [0, 2])
def test_gates_that_would_hold_to_the_end_are_an_error(initial_epoch):
    model = idle_model(train_size=48)
    message = r"known at its end only.*`steps_per_epoch`.*two or more `epochs`"
    with pytest.raises(ValueError, match=message):
        model.fit(
            of_unknown_length(),
            epochs=initial_epoch + 1,
            initial_epoch=initial_epoch,
            shuffle=False,
            verbose=0,
            callbacks=[PruneSections(verbose=0)],
        )
    assert not model.optimizer.built
    assert thetas(model) == [0.5, 0.5]


def test_without_gates_to_decide_one_epoch_of_unknown_length_is_enough():
    model = idle_model(train_size=48)
    closed, opened = model.gates
    model.decide(closed=[closed], opened=[opened])
    with warnings.catch_warnings():
        # Keras reports that it met the end of the data.
        warnings.simplefilter("ignore")
        model.fit(of_unknown_length(), verbose=0, callbacks=[PruneSections(verbose=0)])
    assert model.optimizer.iterations == 6
