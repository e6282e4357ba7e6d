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
    useful_and_idle,
    useful_and_idle_data,
)

from keras_layer_prune import GatedModel, PruneSections
from keras_layer_prune.training.step import training_step

STEPS = 1600
# Sections, of which each step says something of few.
MANY = 12
THETAS = (0.3, 0.6, 0.8)
X, Y = data()


class Recorder:
    """Stands in for `move_gates`: adds the estimates up and leaves the gates alone."""

    def __init__(self):
        self.total = tf.Variable(tf.zeros(len(THETAS)))
        self.squares = tf.Variable(tf.zeros(len(THETAS)))

    def __call__(self, gates, differences, prices, step, is_usable):
        self.total.assign_add(differences)
        self.squares.assign_add(differences**2)

    def mean(self):
        return self.total.numpy() / STEPS

    def standard_error(self):
        variance = self.squares.numpy() / STEPS - self.mean() ** 2
        return np.sqrt(variance / STEPS)


def estimate(monkeypatch, network, target, gate_gradient):
    """Mean and standard error of what `gate_gradient` says of each gate."""
    recorder = Recorder()
    monkeypatch.setattr(training_step, "move_gates", recorder)
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


@pytest.mark.parametrize("gate_gradient", ["flip", "antithetic"])
def test_two_passes_hold_frozen_gates_that_draw_per_example(gate_gradient):
    """Else what they change would be taken for what the section that moves does."""
    network = useful_and_idle(draws="batch")
    frozen, idle = (network.get_layer(f"gate_{name}") for name in ("useful", "idle"))
    frozen.draws, frozen.trainable = "row", False
    model = compiled(
        network,
        keras.optimizers.SGD(0.0),
        gate_step_size=1e-6,
        gate_gradient=gate_gradient,
    )
    model.fit(*useful_and_idle_data(), batch_size=8, verbose=0)
    assert float(idle.benefit.numpy()) == 0.0
    assert float(frozen.probability.numpy()) == 0.5


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


class MustBeToldOfTraining(GatedModel):
    def compute_loss(self, x, y, y_pred, sample_weight, training):
        self.told.append(training)
        return super().compute_loss(x, y, y_pred, sample_weight, training)


class KnowsNothingOfTraining(GatedModel):
    def compute_loss(self, x, y, y_pred, sample_weight=None):
        self.told.append(None)
        return super().compute_loss(x, y, y_pred, sample_weight)


@pytest.mark.parametrize(("gate_gradient", "passes"), [("first_order", 1), ("flip", 2)])
@pytest.mark.parametrize(
    ("kind", "told"),
    [(MustBeToldOfTraining, [True, False]), (KnowsNothingOfTraining, [None, None])],
)
def test_the_loss_of_a_subclass_is_told_of_training_if_it_asks(
    gate_gradient, passes, kind, told
):
    model = kind(chain(THETAS, draws="batch"))
    model.told = []
    model.compile("sgd", "mse", gate_gradient=gate_gradient, run_eagerly=True)
    model.train_on_batch(X, Y)
    model.test_on_batch(X, Y)
    assert model.told == [told[0]] * passes + told[1:]


def prices(model):
    return model.gate_cost() + model.weight_cost()


def sections_of_known_worth(theta, draws):
    """Each takes as much off the loss of its own output, whatever the others do."""
    inputs = keras.Input((MANY,))
    parts = [fixed_layer(np.zeros((MANY, MANY)))(inputs)]
    for index in range(MANY):
        picked = np.zeros((MANY, MANY))
        picked[index, index] = 1.0
        name = f"gate_{index}"
        own = gate(name, theta, price=0.1, train_size=32, seed=index, draws=draws)
        parts.append(own(fixed_layer(picked)(inputs)))
    return keras.Model(inputs, keras.layers.Add()(parts))


def kept_of_known_worth(worth, gate_gradient, theta):
    draws = "batch" if gate_gradient in ("flip", "antithetic") else "row"
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (32, MANY))
    model = compiled(
        sections_of_known_worth(theta, draws),
        keras.optimizers.SGD(0.0),
        loss=lambda y, output: worth * tf.reduce_sum((y - output) ** 2, -1),
        run_eagerly=False,
        gate_gradient=gate_gradient,
        train_size=32,
    )
    x = tf.data.Dataset.from_tensors((signs, signs)).repeat(50)
    prune = PruneSections(hold=0.05, settle_by=0.5, verbose=0)
    model.fit(x, epochs=12, shuffle=False, verbose=0, callbacks=[prune])
    return [e["action"] for e in model.pruning_log].count("kept")


@pytest.mark.parametrize(
    ("gate_gradient", "theta"),
    [
        ("first_order", 0.0),
        ("first_order", 0.9),
        ("flip", 0.0),
        ("flip", 0.9),
        # At 0 a pair of draws says something once in 25 steps.
        ("antithetic", 0.05),
        ("antithetic", 0.9),
    ],
)
def test_sections_worth_much_more_than_their_price_stay(gate_gradient, theta):
    """The clock's own steps, no longer than it lets them be."""
    assert kept_of_known_worth(1.0, gate_gradient, theta) == MANY


@pytest.mark.parametrize("gate_gradient", ["first_order", "flip", "antithetic"])
def test_sections_worth_less_than_their_price_leave(gate_gradient):
    assert kept_of_known_worth(0.02, gate_gradient, 0.9) == 0


@pytest.mark.parametrize("gate_gradient", ["flip", "antithetic"])
def test_the_second_pass_is_in_no_metric(gate_gradient):
    """Keras follows the loss of each of several outputs by itself."""
    network = chain(THETAS, draws="batch")
    heads = {name: network.output for name in ("left", "right")}
    model = compiled(
        keras.Model(network.input, heads),
        keras.optimizers.SGD(0.0),
        gate_step_size=1e-6,
        gate_gradient=gate_gradient,
    )
    targets = {"left": Y, "right": 2.0 * Y}
    history = model.fit(X, targets, batch_size=4, verbose=0).history
    parts = history["left_loss"][0] + history["right_loss"][0]
    assert parts == pytest.approx(history["data_loss"][0], rel=1e-5)


@pytest.mark.parametrize("gate_gradient", ["flip", "antithetic"])
@pytest.mark.parametrize("precision", ["float64", "bfloat16"])
def test_two_passes_work_in_other_precisions(gate_gradient, precision):
    before = keras.config.floatx()
    keras.config.set_floatx(precision)
    try:
        model = compiled(
            chain(THETAS, draws="batch"),
            gate_step_size=1e-3,
            gate_gradient=gate_gradient,
        )
        model.fit(X, Y, batch_size=4, verbose=0)
    finally:
        keras.config.set_floatx(before)
    assert any(float(gate.benefit.numpy()) for gate in model.gates)
