"""Keras's own callbacks work through a pruning event, or are refused before it."""

import contextlib
import csv
import importlib.util
import itertools
import re

import callback_cases
import keras
import numpy as np
import pytest
from callback_cases import (
    CASES,
    EPOCHS,
    EVENT,
    OF_GATES,
    PAGE,
    STEPS,
    Case,
    X,
    Y,
    assert_equal_histories,
    table,
    train,
)
from small_models import (
    chain,
    compiled,
    data,
    freeze_gates,
    idle_model,
    prune_idle,
    weights,
)

from keras_layer_prune import PruneSections
from keras_layer_prune.training.guards.other_callbacks import check_callbacks

REFUSED = [case for case in CASES if case.refusal]
WORKING = [case for case in CASES if not case.refusal]


def by_text(text) -> Case:
    return next(case for case in CASES if str(case) == text)


def has_module(case):
    return not case.needs or importlib.util.find_spec(case.needs) is not None


def skip_without_module(case):
    if not has_module(case):
        pytest.skip(f"{case.needs} is not installed")


def expecting(case):
    skip_without_module(case)
    if case.warning:
        return pytest.warns(UserWarning, match=case.warning)
    return contextlib.nullcontext()


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_cannot_work_is_refused_before_the_first_batch(case, tmp_path):
    skip_without_module(case)
    model = compiled(chain(), "adam")
    before = weights(model)
    both = [case.make(tmp_path), PruneSections(verbose=0)]
    with pytest.raises(ValueError, match=case.refusal):
        model.fit(*data(), epochs=4, verbose=0, callbacks=both)
    for path, value in weights(model).items():
        np.testing.assert_array_equal(value, before[path])
    assert not model.optimizer.built
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", WORKING, ids=str)
def test_the_training_is_that_of_a_network_that_keeps_the_section(case, tmp_path):
    def trained(name, epoch, **options):
        folder = tmp_path / name
        folder.mkdir()
        with expecting(case):
            return train(case.make(folder), epoch, **options)

    whole, expected = trained("whole", None)
    before = trained("before", EVENT, is_first=True)
    behind = trained("behind", EVENT, is_first=False)
    for cut, history in (before, behind):
        assert_equal_histories(history, expected)
        for path, value in weights(whole).items():
            np.testing.assert_allclose(weights(cut)[path], value, atol=1e-6)
        assert len(cut.pruning_log) == 2
    assert list(whole.pruning_log) == []


def test_each_checkpoint_holds_the_network_of_its_time(tmp_path):
    case = by_text("ModelCheckpoint('epoch-{epoch}.keras')")
    _, history = train(case.make(tmp_path), EVENT)
    for epoch in range(EPOCHS):
        loaded = keras.saving.load_model(tmp_path / f"epoch-{epoch + 1}.keras")
        assert len(loaded.gates) == (2 if epoch < EVENT else 0)
        logs = loaded.evaluate(X, Y + 1.0, verbose=0, return_dict=True)
        assert logs["loss"] == pytest.approx(history["val_loss"][epoch], rel=1e-5)
        assert loaded.optimizer.iterations == STEPS * (epoch + 1)


def test_the_checkpoint_between_steps_can_be_trained_on(tmp_path):
    train(by_text("ModelCheckpoint('last.keras', save_freq=3)").make(tmp_path), EVENT)
    loaded = keras.saving.load_model(tmp_path / "last.keras")
    assert loaded.optimizer.iterations == 6
    loaded.fit(X, Y, batch_size=24, verbose=0)
    assert loaded.optimizer.iterations == 8


def test_orbax_holds_the_last_network(tmp_path):
    case = by_text("OrbaxCheckpoint(directory)")
    skip_without_module(case)
    _, history = train(case.make(tmp_path), EVENT)
    loaded = keras.saving.load_model(tmp_path / "orbax")
    assert loaded.gates == [] and len(loaded.pruning_log) == 2
    logs = loaded.evaluate(X, Y + 1.0, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-5)
    assert loaded.optimizer.iterations == STEPS * EPOCHS


def test_early_stopping_stops_in_the_same_epoch():
    _, history = train(by_text("EarlyStopping(patience=1)").make(None), EVENT)
    assert len(history["loss"]) == 2


def test_the_best_weights_are_those_of_an_epoch_after_the_event(tmp_path):
    stopping = keras.callbacks.EarlyStopping(
        patience=9,
        restore_best_weights=True,
        start_from_epoch=EVENT,
        monitor="val_loss",
        # The worst is the best, so that it is not the last.
        mode="max",
    )
    seen = {}
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.update({epoch: weights(model_of())})
    )

    def model_of():
        return stopping.model

    model, history = train(keras.callbacks.CallbackList([keep, stopping]), EVENT)
    best = EVENT + int(np.argmax(history["val_loss"][EVENT:]))
    assert best < EPOCHS - 1
    for path, value in weights(model).items():
        np.testing.assert_array_equal(value, seen[best][path])


@pytest.mark.parametrize(
    ("settle_by", "epochs", "advised"), [(0.5, 4, 1), (0.5, 5, 2), (0.1, 3, 0)]
)
def test_the_first_epoch_that_is_advised_is_accepted(settle_by, epochs, advised):
    prune = PruneSections(settle_by=settle_by, hold=0.0)

    def stopping(start):
        return keras.callbacks.EarlyStopping(
            restore_best_weights=True, start_from_epoch=start
        )

    check_callbacks([prune, stopping(advised)], True, epochs)
    with pytest.raises(ValueError, match=f"`start_from_epoch={advised}`"):
        check_callbacks([prune, stopping(advised - 1)], True, epochs)


def test_best_weights_fit_from_the_advised_epoch_on():
    stopping = keras.callbacks.EarlyStopping(
        monitor="data_loss",
        mode="min",
        patience=9,
        restore_best_weights=True,
        start_from_epoch=1,
    )
    model = compiled(chain(), "adam")
    both = [stopping, PruneSections(verbose=0)]
    # It raises at the end if they do not fit.
    model.fit(*data(), epochs=4, verbose=0, callbacks=both)
    assert model.gates == []
    assert stopping.best_epoch >= 1


def test_best_weights_fit_from_the_advised_epoch_on_where_floats_are_not_exact():
    # In floats, 0.68 * 25 is 17, and 0.68 * 75 a bit more than 51.
    def fit(start_from_epoch):
        stopping = keras.callbacks.EarlyStopping(
            monitor="data_loss",
            # The noise of undecided gates makes the first epoch that counts the best.
            mode="max",
            patience=25,
            restore_best_weights=True,
            start_from_epoch=start_from_epoch,
        )
        model = idle_model(gate_step_size=1e-12)
        both = [stopping, PruneSections(settle_by=0.68, verbose=0)]
        # It raises at the end if the best weights do not fit.
        prune_idle(model, *both, epochs=25, rows=24)
        return model, stopping

    with pytest.raises(ValueError, match="start_from_epoch=") as refusal:
        fit(0)
    advised = int(re.search(r"start_from_epoch=(\d+)", str(refusal.value)).group(1))
    model, stopping = fit(advised)
    assert model.gates == []
    assert stopping.best_epoch == advised == 16
    assert {entry["step"] for entry in model.pruning_log} == {17 * 3}


@pytest.mark.parametrize(
    "text", ["ReduceLROnPlateau()", "LearningRateScheduler(schedule)"]
)
def test_learning_rates_go_on_falling(text):
    _, history = train(by_text(text).make(None), EVENT)
    rates = history["learning_rate"]
    assert all(after < before for before, after in itertools.pairwise(rates[1:]))


def test_the_csv_has_a_row_of_the_same_columns_for_each_epoch(tmp_path):
    _, history = train(by_text("CSVLogger()").make(tmp_path), EVENT)
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == EPOCHS
    found = [float(row["val_loss"]) for row in rows]
    np.testing.assert_allclose(found, history["val_loss"], rtol=1e-6)
    assert [float(row["sections"]) for row in rows][-1] == 1.0


@pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="needs tensorboard"
)
def test_tensorboard_shows_every_epoch_and_the_histograms_of_what_is_there(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    case = next(case for case in CASES if case.name == "TensorBoard")
    train(case.make(tmp_path), EVENT)
    events = EventAccumulator(str(tmp_path / "train"), {"tensors": 0})
    events.Reload()

    def epochs_of(tag):
        return [event.step for event in events.Tensors(tag)]

    assert epochs_of("epoch_data_loss") == [*range(EPOCHS)]
    assert epochs_of("head/kernel/histogram") == [*range(EPOCHS)]
    assert epochs_of("idle/kernel/histogram") == [*range(EVENT)]


def test_swapped_averages_are_those_that_are_validated():
    averaged, _ = train(by_text("SwapEMAWeights()").make(None), EVENT), None
    plain = train(keras.callbacks.History(), EVENT)
    assert averaged[1]["val_loss"] != plain[1]["val_loss"]
    np.testing.assert_allclose(
        averaged[1]["data_loss"], plain[1]["data_loss"], rtol=1e-5
    )


def test_a_loss_that_is_no_number_ends_the_training_after_an_event_too():
    model, _ = train(keras.callbacks.TerminateOnNaN(), EVENT)
    iterations = int(model.optimizer.iterations)
    model.fit(
        X,
        np.full_like(Y, np.nan),
        batch_size=24,
        verbose=0,
        callbacks=[keras.callbacks.TerminateOnNaN()],
    )
    assert model.optimizer.iterations == iterations + 1


def trains_with_anything(model, folder):
    for case in CASES:
        is_format = "h5" in case.arguments and "weights" not in case.arguments
        if case.refusal and not is_format and has_module(case):
            # Keras's early stopping needs something to look at.
            validation = {"validation_data": data()}
            both = [case.make(folder), PruneSections(verbose=0)]
            model.fit(*data(), verbose=0, callbacks=both, **validation)


def test_where_no_gate_can_move_nothing_is_refused(tmp_path):
    with pytest.warns(UserWarning, match="Frozen gates"):
        trains_with_anything(compiled(freeze_gates(chain()), "adam"), tmp_path)


def test_where_all_gates_are_decided_nothing_is_refused(tmp_path):
    model = compiled(chain(), "adam", train_size=16)
    model.decide(closed=[model.gates[0]], opened=[model.gates[1]])
    trains_with_anything(model, tmp_path)


def test_the_page_lists_what_is_tested():
    assert PAGE.read_text() == table()


def test_every_callback_of_keras_has_a_row():
    found = {
        name
        for name, value in vars(keras.callbacks).items()
        if isinstance(value, type) and issubclass(value, keras.callbacks.Callback)
    }
    # A base class, and the list that `fit` makes of the others.
    assert found - {"Callback", "CallbackList"} == {case.name for case in CASES}


def test_what_says_something_of_the_gates_is_told_apart():
    _, history = train(keras.callbacks.History(), EVENT)
    assert OF_GATES <= history.keys()
    assert callback_cases.EVENT < EPOCHS
