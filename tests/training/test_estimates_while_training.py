"""What a training step tells its gates, against all settings of all gates.

The gates of these networks never move, so that thousands of steps estimate the same
thing: what opening a gate changes in the expected loss.
"""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import (
    FEATURES,
    chain,
    compiled,
    data,
    fixed_layer,
    gate,
)

from keras_layer_prune import GatedModel

STEPS = 1600
THETAS = (0.3, 0.6, 0.8)
X, Y = data()


class Recorder:
    """Stands in for `move_gates`: adds the estimates up and leaves the gates alone."""

    def __init__(self):
        self.total = tf.Variable(tf.zeros(len(THETAS)))
        self.squares = tf.Variable(tf.zeros(len(THETAS)))

    def __call__(self, gates, differences, prices, step, is_usable):
        estimate = tf.stack(differences)
        self.total.assign_add(estimate)
        self.squares.assign_add(estimate**2)

    def mean(self):
        return self.total.numpy() / STEPS

    def standard_error(self):
        variance = self.squares.numpy() / STEPS - self.mean() ** 2
        return np.sqrt(variance / STEPS)


def estimate(monkeypatch, network, target, gate_gradient):
    """Mean and standard error of what `gate_gradient` says of each gate."""
    recorder = Recorder()
    monkeypatch.setattr("keras_layer_prune.training.training_step.move_gates", recorder)
    model = compiled(
        network,
        keras.optimizers.SGD(0.0),
        run_eagerly=False,
        steps_per_execution=100,
        train_size=len(X),
        gate_step_size=1.0,
        gate_gradient=gate_gradient,
    )
    batches = tf.data.Dataset.from_tensors((X, target)).repeat(STEPS)
    model.fit(batches, shuffle=False, verbose=0)
    return recorder.mean(), recorder.standard_error()


def enumerate_differences(network, target):
    """`E[C | open] - E[C | closed]` of every gate, by evaluating all 2^L settings."""
    gates = [network.get_layer(f"gate_{index}") for index in range(len(THETAS))]
    losses = {}
    for setting in itertools.product((0.0, 1.0), repeat=len(gates)):
        for layer, value in zip(gates, setting, strict=True):
            layer.probability.assign(value)
        losses[setting] = np.mean((network(X, training=False) - target) ** 2)
    for layer, theta in zip(gates, THETAS, strict=True):
        layer.probability.assign(theta)
    return np.array([_difference(losses, index) for index in range(len(gates))])


def _difference(losses, index):
    total = 0.0
    for setting, loss in losses.items():
        others = [
            theta if value else 1.0 - theta
            for i, (value, theta) in enumerate(zip(setting, THETAS, strict=True))
            if i != index
        ]
        total += np.prod(others) * loss * (1.0 if setting[index] else -1.0)
    return total


def side_by_side(**gate_arguments):
    """Sections that all read the input: the loss is quadratic in their gates."""
    x = inputs = keras.Input((FEATURES,))
    branches = [
        gate(f"gate_{i}", theta, seed=i, **gate_arguments)(
            keras.layers.Dense(FEATURES, "tanh")(x)
        )
        for i, theta in enumerate(THETAS)
    ]
    x = keras.layers.Add()([x, *branches])
    return keras.Model(inputs, keras.layers.Dense(1)(x))


@pytest.mark.parametrize("gate_gradient", ["flip", "antithetic"])
def test_two_passes_are_unbiased_on_any_network(monkeypatch, gate_gradient):
    network = chain(THETAS, draws="batch")
    exact = enumerate_differences(network, Y)
    mean, error = estimate(monkeypatch, network, Y, gate_gradient)
    assert (error < 0.2 * np.abs(exact).max()).all()
    assert (np.abs(mean - exact) < 4.0 * error).all()


@pytest.mark.parametrize("draws", ["row", "batch"])
def test_first_order_has_no_bias_where_the_loss_is_quadratic(monkeypatch, draws):
    network = side_by_side(draws=draws)
    exact = enumerate_differences(network, Y)
    mean, error = estimate(monkeypatch, network, Y, "first_order")
    assert (error < 0.2 * np.abs(exact).max()).all()
    assert (np.abs(mean - exact) < 4.0 * error).all()


def test_straight_through_sees_too_little_where_open_gates_are_best(monkeypatch):
    # Each section gives one feature of the target and nothing else does: the loss is
    # a sum of `c * (1 - xi)**2`.
    x = inputs = keras.Input((FEATURES,))
    branches = []
    for index, theta in enumerate(THETAS):
        kernel = np.zeros((FEATURES, FEATURES))
        kernel[index, index] = index + 1.0
        part = gate(f"gate_{index}", theta, seed=index)
        branches.append(part(fixed_layer(kernel)(x)))
    network = keras.Model(inputs, keras.layers.Add()([x, *branches]))
    target = X * np.array([2.0, 3.0, 4.0, 1.0], "float32")
    exact = enumerate_differences(network, target)

    mean, error = estimate(monkeypatch, network, target, "straight_through")

    biased = 2.0 * (1.0 - np.array(THETAS)) * exact
    assert (np.abs(mean - biased) < 4.0 * error).all()
    # Where gates are nearly open, most of what a section gives is not seen.
    assert (np.abs(mean - exact) > 4.0 * error)[[0, 2]].all()


class AddsToTheLoss(GatedModel):
    def compute_loss(self, *args, **kwargs):
        return super().compute_loss(*args, **kwargs) + 3.0


@pytest.mark.parametrize("gate_gradient", ["flip", "antithetic"])
def test_both_passes_have_the_loss_of_a_subclass(gate_gradient):
    """What is added to all losses alike says nothing of any gate."""
    benefits = []
    for kind in (GatedModel, AddsToTheLoss):
        keras.utils.set_random_seed(0)
        model = kind(chain(THETAS, draws="batch"))
        model.compile(
            keras.optimizers.SGD(0.0),
            "mse",
            gate_step_size=1e-6,
            gate_gradient=gate_gradient,
        )
        history = model.fit(X, Y, batch_size=4, verbose=0).history
        benefits.append([float(gate.benefit.numpy()) for gate in model.gates])
        added = 3.0 if kind is AddsToTheLoss else 0.0
        gates = history["loss"][0] - history["data_loss"][0] - added
        assert gates == pytest.approx(float(prices(model)), abs=1e-4)
    np.testing.assert_allclose(benefits[1], benefits[0], atol=1e-4)
    assert np.any(np.abs(benefits[0]) > 1e-3)


def prices(model):
    return model.gate_cost() + model.weight_cost()
