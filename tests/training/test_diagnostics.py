"""Each diagnosis appears where it should, and nowhere else."""

import keras
import numpy as np
import pytest

import keras_layer_prune as klp
from keras_layer_prune.training import diagnostics


def fit(
    capsys, log_gammas, epochs=20, step_size=None, start=0.9, frozen=False, **pruning
):
    """What a training of one gate for each price prints.

    Sections of frozen weights are zero: they are worth nothing.
    """
    kernel = {"kernel_initializer": "zeros", "trainable": False} if frozen else {}
    x = inputs = keras.Input((4,))
    for log_gamma in log_gammas:
        gate = klp.BernoulliGate(klp.FlatteningPrior(log_gamma), start)
        x = keras.layers.Add()([x, gate(keras.layers.Dense(4, **kernel)(x))])
    model = klp.GatedModel(keras.Model(inputs, keras.layers.Dense(1)(x)))
    model.compile("sgd", "mse", gate_step_size=step_size)
    data = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    prune = klp.PruneSections(**pruning)
    model.fit(
        data, data[:, :1], batch_size=4, epochs=epochs, callbacks=[prune], verbose=0
    )
    return capsys.readouterr().out


HEALTHY = [1e6, -1e6, -1e6, -1e6]
SIGNS = ("hardly moved", "fall at once", "hovered", "only", "little time")


def test_a_healthy_training_hears_nothing(capsys):
    printed = fit(capsys, HEALTHY)
    assert not [sign for sign in SIGNS if sign in printed]
    assert "all gates decided" in printed


@pytest.mark.parametrize(
    "sign, change",
    [
        ("hardly moved in half of their time", {"step_size": 1e-12, "start": 0.7}),
        ("4 gates hovered, ", {"step_size": 1e-12, "start": 0.7}),
        ("what stays has little time to train", {"settle_by": 0.9}),
        ("gates have only 7 steps to move in", {"epochs": 1}),
    ],
)
def test_a_training_that_goes_wrong_is_told_why(capsys, sign, change):
    assert sign in fit(capsys, HEALTHY, **change)


def test_sections_that_fall_together_are_told_with_their_price(capsys):
    printed = fit(capsys, [640.0] * 4, min_saving=0.9)
    assert "4 of 4 sections fall at once" in printed
    assert "price of 10 nats per example" in printed


def test_gates_that_are_pressed_against_a_bound_have_not_failed_to_move():
    assert not diagnostics.of_no_movement([1.0, 0.98], [1.0, 1.0])
    assert diagnostics.of_no_movement([0.5, 0.98], [0.51, 1.0])


def test_few_sections_may_fall_together():
    assert not diagnostics.of_a_removal(2, 2, 0.1)
    assert not diagnostics.of_a_removal(7, 12, 0.1)
    assert diagnostics.of_a_removal(10, 12, 0.1)


def test_only_gates_between_the_ends_hover():
    (line,) = diagnostics.of_hovering({"a": 0.05, "b": 0.6, "c": 0.97}, True)
    assert "{'b': 0.6}" in line
    assert "were decided by where they were going" in line
    assert not diagnostics.of_hovering({"a": 0.0, "c": 1.0}, True)
    assert "were rounded" in diagnostics.of_hovering({"b": 0.6}, False)[0]


def test_gates_that_are_gone_have_moved(capsys):
    """The last one is worth what it costs: nothing."""
    log_gammas = [1e6, 1e6, 1e6, 0.0]
    printed = fit(capsys, log_gammas, start=0.7, every=1, min_saving=0.0, frozen=True)
    assert printed.count("removed") == 3
    assert "hovered" in printed
    assert "hardly moved" not in printed
