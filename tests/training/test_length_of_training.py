"""The gates' clock follows the length of the training, also when it shows late."""

import functools
import re
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


def of_unknown_length(rows=48):
    """The data of `prune_idle` in batches that have to be counted."""
    batches = tf.data.Dataset.from_tensor_slices(useful_and_idle_data(rows)).batch(8)
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
    # Half of 8 epochs, 6 + 4 + 4 + 4, and not of 8 as long as the first.
    assert {(entry["epoch"], entry["step"]) for entry in model.pruning_log} == {(3, 18)}
    for points in prune.trajectories.values():
        epochs = [epoch for epoch, _ in points]
        assert epochs == sorted(epochs)
        assert 3.0 < epochs[-1] < 4.0


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


def test_a_training_that_starts_late_says_so_once(capsys):
    model = idle_model()
    prune_idle(model, PruneSections(), initial_epoch=5)
    printed = capsys.readouterr().out
    assert "begins after the gates' time" in printed
    assert "all gates decided" in printed
    assert "hovered" not in printed and "steps to move in" not in printed
    prune_idle(model, PruneSections(), initial_epoch=6)
    assert capsys.readouterr().out == ""


def fit_unknown(epochs, initial_epoch=0, rows=48, **pruning):
    """A training on data of unknown length; what was seen of the gates."""
    model = idle_model(train_size=48)
    watch = Watch(thetas)
    with warnings.catch_warnings():
        # Keras reports that it met the end of the data.
        warnings.simplefilter("ignore")
        model.fit(
            of_unknown_length(rows),
            epochs=epochs,
            initial_epoch=initial_epoch,
            shuffle=False,
            verbose=0,
            callbacks=[watch, PruneSections(verbose=0, **pruning)],
        )
    return watch.seen


def advised_epochs(train, epochs):
    """The number of epochs that is named when these are too few."""
    with pytest.raises(ValueError, match=r"before any could move") as refusal:
        train(epochs)
    return int(re.search(r"(\d+) or more `epochs`", str(refusal.value)).group(1))


@pytest.mark.parametrize(
    ("epochs", "advised", "arguments"),
    [
        (1, 3, {}),
        (2, 3, {}),
        (2, 3, {"rows": 8}),
        (4, 5, {"settle_by": 0.25}),
        (1, 2, {"settle_by": 0.8}),
        (4, 7, {"initial_epoch": 2}),
        (2, 11, {"settle_by": 0.5, "hold": 0.45, "rows": 8}),
    ],
)
def test_gates_move_in_the_epochs_that_are_advised_where_the_length_shows_late(
    epochs, advised, arguments
):
    train = functools.partial(fit_unknown, **arguments)
    assert advised_epochs(train, epochs) == advised
    seen = train(advised)
    assert seen[0] == [0.5, 0.5]
    assert any(gates and gates != [0.5, 0.5] for gates in seen)


def test_gates_move_in_the_epochs_that_are_advised_where_hold_leaves_no_step():
    def train(epochs):
        watch = Watch(thetas)
        prune = PruneSections(settle_by=0.5, hold=0.49, verbose=0)
        prune_idle(idle_model(), watch, prune, epochs=epochs)
        return watch.seen

    assert advised_epochs(train, 1) == 9
    assert advised_epochs(train, 8) == 9
    assert any(gates and gates != [0.5, 0.5] for gates in train(9))


@pytest.mark.parametrize(("epochs", "initial_epoch"), [(1, 0), (2, 0), (3, 2)])
def test_a_training_in_which_no_gate_could_move_is_refused_before_any_work(
    epochs, initial_epoch
):
    model = idle_model(train_size=48)
    message = r"known at its end only.*`steps_per_epoch`.* or more `epochs`"
    with pytest.raises(ValueError, match=message):
        model.fit(
            of_unknown_length(),
            epochs=epochs,
            initial_epoch=initial_epoch,
            shuffle=False,
            verbose=0,
            callbacks=[PruneSections(verbose=0)],
        )
    assert model.optimizer.iterations == model.clock.now() == 0
    assert thetas(model) == [0.5, 0.5]


@pytest.mark.parametrize("epochs", [1, 2])
def test_with_the_advised_steps_per_epoch_gates_move(epochs):
    model = idle_model(train_size=48)
    watch = Watch(thetas)
    model.fit(
        of_unknown_length().repeat(),
        steps_per_epoch=6,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[watch, PruneSections(verbose=0)],
    )
    assert any(gates and gates != [0.5, 0.5] for gates in watch.seen)
    assert model.gates == []


def test_without_gates_to_decide_one_epoch_of_unknown_length_is_enough():
    model = idle_model(train_size=48)
    closed, opened = model.gates
    model.decide(closed=[closed], opened=[opened])
    with warnings.catch_warnings():
        # Keras reports that it met the end of the data.
        warnings.simplefilter("ignore")
        model.fit(of_unknown_length(), verbose=0, callbacks=[PruneSections(verbose=0)])
    assert model.optimizer.iterations == 6
