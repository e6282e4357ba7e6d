"""A batch whose loss or gradient is NaN or infinite moves no gate, and is reported."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import (
    FEATURES,
    StartClock,
    Watch,
    chain,
    compiled,
    data,
    freeze_weights,
    gate,
    thetas,
)

from keras_layer_prune import PruneSections

X, Y = data(32)
BAD_BATCH = slice(8, 16)


def bad_inputs(value):
    x = X.copy()
    x[BAD_BATCH] = value
    return x, Y


def bad_targets(value):
    y = Y.copy()
    y[BAD_BATCH] = value
    return X, y


def model(gate_gradient="first_order"):
    draws = "row" if gate_gradient == "first_order" else "batch"
    return compiled(
        freeze_weights(chain((0.5, 0.5), draws=draws)),
        gate_gradient=gate_gradient,
        gate_step_size=1e-3,
        train_size=32,
    )


def fit(model, x, y, epochs=1, **arguments):
    watch = Watch(lambda model: [*thetas(model), *averages(model)])
    # All gates are settled after the last batch; the watch comes first.
    callbacks = [watch, PruneSections(settle_by=1.0, hold=0.0, verbose=0)]
    options = {"batch_size": 8, "shuffle": False, "verbose": 0, **arguments}
    model.fit(x, y, epochs=epochs, callbacks=callbacks, **options)
    return watch.seen


def averages(model):
    known = [(gate.benefit, gate.second_moment) for gate in model.gates]
    return [float(variable.numpy()) for both in known for variable in both]


@pytest.mark.parametrize("gate_gradient", ["first_order", "flip", "antithetic"])
@pytest.mark.parametrize(
    ("make_data", "value"),
    [
        (bad_inputs, np.nan),
        (bad_targets, np.nan),
        (bad_targets, np.inf),
        # The squares are infinite, and the slopes are not.
        (bad_targets, 1e20),
    ],
    ids=["nan_inputs", "nan_targets", "infinite_targets", "infinite_loss"],
)
def test_gates_move_in_all_batches_but_the_bad_one(gate_gradient, make_data, value):
    with pytest.warns(UserWarning, match="NaN or infinite"):
        first, second, third, fourth = fit(model(gate_gradient), *make_data(value))
    assert second == first
    assert third != second
    assert fourth != third


def test_estimates_whose_squares_are_not_finite_are_not_remembered():
    network = freeze_weights(chain((0.5, 0.5)))
    huge = compiled(network, loss="mae", gate_step_size=1e-3)
    sample_weight = np.ones(len(X))
    sample_weight[BAD_BATCH] = 1e25
    with pytest.warns(UserWarning, match="1 batches of epoch 1 .* NaN or infinite"):
        first, second, third, _ = fit(huge, X, Y, sample_weight=sample_weight)
    assert second == first
    assert third != second


def infinitely_steep(y, predicted):
    """Finite where the target is met, and with a gradient that is not."""
    return tf.sqrt(tf.abs(y - predicted))


def test_a_gradient_that_is_not_finite_is_enough():
    steep = compiled(
        freeze_weights(chain((1.0, 1.0), price=100.0)),
        loss=infinitely_steep,
        gate_gradient="straight_through",
        gate_step_size=1e-3,
        train_size=64,
    )
    y = Y.copy()
    y[BAD_BATCH] = steep.network(X[BAD_BATCH]).numpy()
    # Nothing moves before the second batch, whose prediction is then the target.
    watch = Watch(thetas)
    both = [StartClock(now=0, first_step=1, last_step=100), watch]
    steep.fit(X, y, batch_size=8, shuffle=False, verbose=0, callbacks=both)
    assert watch.seen[0] == watch.seen[1] == [1.0, 1.0]
    assert watch.seen[2] != watch.seen[1]
    assert steep.clock.skipped == 1


def steep_at_zero():
    """Where the inputs are zeros, the slope of the first gate is not finite."""
    x = inputs = keras.Input((FEATURES,))
    first = gate("gate_0", 0.5, seed=0)(keras.layers.Dense(FEATURES, "tanh")(x))
    x = x + keras.ops.sqrt(keras.ops.abs(first) + keras.ops.abs(x))
    offset = {"bias_initializer": "ones"}
    second = keras.layers.Dense(FEATURES, "tanh", **offset)(x)
    x = x + gate("gate_1", 0.5, seed=1)(second)
    return keras.Model(inputs, keras.layers.Dense(1)(x))


def test_one_slope_that_is_not_finite_holds_all_gates():
    steep = compiled(
        freeze_weights(steep_at_zero()), gate_step_size=1e-3, train_size=32
    )
    with pytest.warns(UserWarning, match="1 batches of epoch 1 .* NaN or infinite"):
        first, second, third, _ = fit(steep, *bad_inputs(0.0))
    assert second == first
    assert third != second


def test_the_report_counts_the_batches_and_says_what_to_do():
    message = r"1 batches of epoch 1 had a loss or gradient that is NaN.*learning rate"
    with pytest.warns(UserWarning, match=message):
        fit(model(), *bad_inputs(np.nan))


def test_good_batches_are_not_reported():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(model(), X, Y)


def epochs_reported(recorded):
    texts = [str(warning.message) for warning in recorded]
    return [text[:20] for text in texts if "NaN or infinite" in text]


def test_each_epoch_reports_its_own_batches():
    with pytest.warns(UserWarning) as recorded:
        fit(model(), *bad_inputs(np.nan), epochs=2)
    assert epochs_reported(recorded) == ["1 batches of epoch 1", "1 batches of epoch 2"]


def test_each_epoch_of_unknown_length_reports_its_own_batches():
    batches = tf.data.Dataset.from_tensor_slices(bad_inputs(np.nan)).batch(8)
    prune = PruneSections(settle_by=1.0, verbose=0)
    with pytest.warns(UserWarning) as recorded:
        model().fit(
            batches.filter(lambda x, y: True),
            epochs=3,
            shuffle=False,
            verbose=0,
            callbacks=[prune],
        )
    expected = [f"1 batches of epoch {epoch}" for epoch in (1, 2, 3)]
    assert epochs_reported(recorded) == expected
