"""What one step does to the gates, against the same step written in plain TensorFlow.

With a gate at exactly 0 or 1 and no exploration, the draws are known beforehand; with
any other, they are drawn again from the same seed.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import (
    StartClock,
    chain,
    compiled,
    data,
    freeze_weights,
    prune_idle,
    thetas,
    useful_and_idle,
    useful_and_idle_data,
    weights,
)

from keras_layer_prune import FlatteningPrior, PruneSections

LAYERS = 2
X, Y = data()


def slopes(network, openings):
    """Derivative of the loss by each example's gates, at given openings.

    Args:
        network: From `chain`, with as many sections as `openings` has columns.
        openings: Array of shape `(examples, gates)`.

    Returns:
        Array shaped like `openings`; the loss is the mean over the examples.
    """
    openings = tf.constant(openings, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(openings)
        hidden = tf.constant(X)
        for index in range(openings.shape[1]):
            kernel, bias = network.get_layer(f"section_{index}").get_weights()
            opening = openings[:, index : index + 1]
            hidden += opening * tf.tanh(hidden @ kernel + bias)
        kernel, bias = network.get_layer("head").get_weights()
        loss = tf.reduce_mean((hidden @ kernel + bias - Y) ** 2)
    return tape.gradient(loss, openings).numpy()


def one_step(network, gate_gradient="straight_through", step_size=0.01, **clock):
    model = compiled(
        freeze_weights(network),
        gate_step_size=step_size,
        gate_gradient=gate_gradient,
        train_size=64,
    )
    callbacks = [StartClock(**clock)] if clock else []
    model.fit(X, Y, shuffle=False, verbose=0, callbacks=callbacks)
    return thetas(model)


def projected(theta, gradient, step_size=0.01):
    return np.minimum(np.maximum(theta - step_size * gradient, 0.0), 1.0)


@pytest.mark.parametrize("price", [1.0, 2.5])
def test_open_gates_step_by_slope_plus_price(price):
    network = chain((1.0, 1.0), price=price + 10.0)
    slope = slopes(network, np.ones((len(X), LAYERS))).sum(axis=0)
    expected = projected(1.0, slope + price + 10.0)
    assert (expected < 1.0).all()
    np.testing.assert_allclose(one_step(network), expected, atol=1e-6)


def test_closed_gates_step_by_slope_plus_price():
    network = chain((0.0, 0.0), price=-10.0)
    slope = slopes(network, np.zeros((len(X), LAYERS))).sum(axis=0)
    expected = projected(0.0, slope - 10.0)
    assert (expected > 0.0).all()
    np.testing.assert_allclose(one_step(network), expected, atol=1e-6)


@pytest.mark.parametrize(("price", "end"), [(1e4, 0.0), (-1e4, 1.0)])
def test_the_step_ends_exactly_at_the_bounds(price, end):
    assert one_step(chain((0.5, 0.5), price=price)) == [end, end]


@pytest.mark.parametrize("theta", [0.7, 1.0])
def test_first_order_steps_weigh_open_and_closed_rows_equally(theta):
    network = chain((theta, theta), price=0.5)
    # Gates that learn are drawn closed now and then even at 1, to see what happens.
    chance = min(theta, 0.98)
    uniforms = [
        keras.random.uniform((len(X),), seed=keras.random.SeedGenerator(index))
        for index in range(LAYERS)
    ]
    is_open = np.stack(uniforms, axis=1) < chance
    weight = 0.5 / np.where(is_open, chance, 1.0 - chance)
    difference = (weight * slopes(network, is_open)).sum(axis=0)
    expected = projected(theta, difference + 0.5)
    assert (expected != theta).any()
    stepped = one_step(network, gate_gradient="first_order")
    np.testing.assert_allclose(stepped, expected, atol=1e-5)


def test_while_prices_rise_a_gate_is_charged_a_part():
    network = chain((1.0,), price=20.0)
    slope = slopes(network, np.ones((len(X), 1))).sum(axis=0)
    # Half of the moving phase is over, and the price is in full after seven tenths.
    expected = projected(1.0, slope + 20.0 * 0.5 / 0.7)
    stepped = one_step(network, now=50, first_step=0, last_step=100)
    np.testing.assert_allclose(stepped, expected, atol=1e-6)


@pytest.mark.parametrize("step_size", [0.01, None])
def test_gates_hold_until_their_clock_starts_them(step_size):
    network = chain((0.9, 0.5), price=20.0)
    held = one_step(network, step_size=step_size, now=4, first_step=5, last_step=9)
    assert held == [np.float32(0.9), 0.5]


def test_a_schedule_of_the_step_size_is_read_at_each_step():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2], [0.0, 0.01])
    model = compiled(
        freeze_weights(chain((1.0,), price=20.0)),
        gate_step_size=schedule,
        gate_gradient="straight_through",
        train_size=64,
    )
    slope = slopes(model.network, np.ones((len(X), 1))).sum(axis=0)
    model.fit(X, Y, epochs=3, verbose=0)
    assert thetas(model) == [1.0]
    model.fit(X, Y, verbose=0)
    np.testing.assert_allclose(thetas(model), projected(1.0, slope + 20.0), atol=1e-6)


def test_without_a_step_size_or_the_callback_gates_stay_and_weights_learn():
    model = compiled(chain((0.9, 0.5)))
    start = weights(model)
    with pytest.warns(UserWarning, match=r"Nothing moves the gates.*PruneSections"):
        model.fit(X, Y, batch_size=8, verbose=0)
    assert thetas(model) == [np.float32(0.9), 0.5]
    assert all((value != start[path]).any() for path, value in weights(model).items())


def test_frozen_gates_stay_while_others_move():
    network = chain((0.9, 0.5), price=20.0)
    model = compiled(network, gate_step_size=0.01, train_size=64)
    model.gates[1].trainable = False
    model.fit(X, Y, verbose=0)
    assert thetas(model)[0] < 0.9
    assert thetas(model)[1] == 0.5


def test_the_benefit_is_a_running_mean_of_what_sections_take_off_the_loss():
    network = chain((1.0, 1.0))
    difference = slopes(network, np.ones((len(X), LAYERS))).sum(axis=0)
    model = compiled(
        freeze_weights(network),
        gate_gradient="straight_through",
        gate_step_size=1e-12,
    )
    model.fit(X, Y, epochs=2, verbose=0)
    benefits = [float(gate.benefit.numpy()) for gate in model.gates]
    moments = [float(gate.second_moment.numpy()) for gate in model.gates]
    seen = 1.0 - 0.99**2
    np.testing.assert_allclose(benefits, -difference * seen, rtol=1e-4)
    np.testing.assert_allclose(moments, difference**2 * seen, rtol=1e-4)


@pytest.mark.parametrize(("noise", "scale"), [(0.0, 20.0), (39.0, 20.0), (80.0, 40.0)])
def test_gates_step_less_far_where_minibatches_differ_by_more_than_two_prices(
    noise, scale
):
    network = chain((1.0,), price=20.0)
    network.get_layer("gate_0").second_moment.assign(noise**2)
    gradient = slopes(network, np.ones((len(X), 1))).sum(axis=0) + 20.0
    # The last hundredth of the way that an idle gate could go in 1,000 steps.
    expected = projected(1.0, gradient, 2.0 * 10.0 * 0.1 / 1000 / scale)
    clock = {"now": 900, "first_step": 0, "last_step": 1000}
    stepped = one_step(network, step_size=None, **clock)
    np.testing.assert_allclose(stepped, expected, atol=1e-7)


@pytest.mark.parametrize("learning_rate", [0.0, 0.1])
@pytest.mark.parametrize("sample_weight", [None, np.linspace(0.0, 1.0, 48)])
def test_both_losses_of_a_flip_are_those_of_the_step(learning_rate, sample_weight):
    model = compiled(
        useful_and_idle(draws="batch"),
        keras.optimizers.SGD(learning_rate),
        gate_gradient="flip",
        gate_step_size=1e-12,
    )
    for _ in range(8):
        model.train_on_batch(*useful_and_idle_data(48), sample_weight)
    benefits = {gate.name: float(gate.benefit.numpy()) for gate in model.gates}
    assert benefits["gate_idle"] == 0.0
    assert benefits["gate_useful"] > 0.0


def test_a_gate_that_is_protected_slows_no_other():
    def path_of_the_idle_gate(log_gamma):
        network = useful_and_idle()
        network.get_layer("gate_useful").prior = FlatteningPrior(log_gamma)
        prune = PruneSections(verbose=0)
        prune_idle(compiled(network, keras.optimizers.SGD(0.0)), prune)
        return prune.trajectories["gate_idle"]

    with_protected = path_of_the_idle_gate(-1e6)
    assert with_protected == path_of_the_idle_gate(1.0)
    assert with_protected[-1][1] == 0.0


@pytest.mark.parametrize("log_gamma", [-1.0, 0.0])
def test_an_idle_section_that_costs_nothing_stays(log_gamma):
    network = useful_and_idle()
    network.get_layer("gate_idle").prior = FlatteningPrior(log_gamma)
    prune = PruneSections(verbose=0)
    prune_idle(compiled(network, keras.optimizers.SGD(0.0)), prune)
    assert prune.trajectories["gate_idle"][-1][1] == 1.0
