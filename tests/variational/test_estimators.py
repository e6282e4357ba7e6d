"""Estimators of what a gate changes, against a sum over all settings of all gates."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_layer_prune.variational.estimators import (
    antithetic_difference,
    balancing_weight,
    flip_difference,
    straight_through,
)

GATES = 4
THETA = np.array([0.2, 0.5, 0.7, 0.9], "float32")
SETTINGS = np.array(list(itertools.product([0, 1], repeat=GATES)), "float32")
# Any loss at all is a table with one entry for each setting.
TABLE = np.random.default_rng(0).normal(size=(2,) * GATES).astype("float32")


def loss_of(settings):
    return TABLE[tuple(np.moveaxis(settings.astype(int), -1, 0))]


def chances(theta):
    """The probability of each setting."""
    return np.prod(np.where(SETTINGS == 1.0, theta, 1.0 - theta), axis=-1)


def exact_differences(theta):
    """`E[C | xi_l = 1] - E[C | xi_l = 0]`, by summing over the settings."""
    differences = []
    for gate in range(GATES):
        forced = [theta.copy(), theta.copy()]
        forced[0][gate], forced[1][gate] = 0.0, 1.0
        closed, opened = (np.sum(chances(t) * loss_of(SETTINGS)) for t in forced)
        differences.append(opened - closed)
    return np.array(differences)


def test_flipping_one_gate_at_random_is_unbiased():
    expected = np.zeros(GATES)
    for setting, chance in zip(SETTINGS, chances(THETA), strict=True):
        for was_flipped in np.eye(GATES, dtype="float32"):
            flipped = np.abs(setting - was_flipped)
            estimate = flip_difference(
                loss_of(setting), loss_of(flipped), setting, was_flipped, GATES
            )
            expected += chance / GATES * estimate
    np.testing.assert_allclose(expected, exact_differences(THETA), atol=1e-5)


def test_a_flip_says_nothing_of_the_gates_that_were_held():
    estimate = flip_difference(
        2.0, 5.0, tf.constant([1.0, 0.0, 1.0]), tf.constant([0.0, 1.0, 0.0]), 3
    )
    np.testing.assert_allclose(estimate, [0.0, 9.0, 0.0])


def antithetic_estimates(uniforms, theta):
    sample = (uniforms < theta).astype("float32")
    mirrored = (1.0 - uniforms < theta).astype("float32")
    losses = (loss_of(x)[..., np.newaxis] for x in (sample, mirrored))
    return antithetic_difference(*losses, sample, mirrored, theta).numpy()


def test_antithetic_pairs_are_unbiased_over_a_grid_of_uniforms():
    # With probabilities that are multiples of 0.1, ten uniforms per gate at the
    # middles of their tenths stand for all: the average is the expectation.
    tenths = np.arange(10) / 10.0 + 0.05
    uniforms = np.array(list(itertools.product(tenths, repeat=GATES)), "float32")
    averages = antithetic_estimates(uniforms, THETA).mean(axis=0)
    np.testing.assert_allclose(averages, exact_differences(THETA), atol=1e-4)


def test_antithetic_pairs_are_unbiased_over_random_uniforms():
    theta = np.array([0.13, 0.38, 0.61, 0.97], "float32")
    uniforms = np.random.default_rng(1).random((50_000, GATES), "float32")
    estimates = antithetic_estimates(uniforms, theta)
    four_standard_errors = 4.0 * estimates.std(axis=0) / np.sqrt(len(estimates))
    errors = np.abs(estimates.mean(axis=0) - exact_differences(theta))
    assert (errors < four_standard_errors).all()


def test_antithetic_pairs_say_nothing_of_decided_gates():
    theta = np.array([0.0, 1.0, 0.5, 0.5], "float32")
    uniforms = np.random.default_rng(1).random((100, GATES), "float32")
    estimates = antithetic_estimates(uniforms, theta)
    np.testing.assert_array_equal(estimates[:, :2], 0.0)
    assert np.abs(estimates[:, 2:]).max() > 0.0


def through(sample, theta, weight=1.0):
    """The sample itself, with its gradient."""
    sample = tf.constant(sample, tf.float32)
    return straight_through(tf.ones_like(sample), sample, theta, weight)


def gradient_of(loss, sample, theta, weigh):
    theta = tf.constant(theta)
    with tf.GradientTape() as tape:
        tape.watch(theta)
        weight = balancing_weight(sample, theta) if weigh else 1.0
        cost = loss(through([sample], theta, weight)[0])
    return float(tape.gradient(cost, theta))


def expected_gradient(loss, theta, weigh):
    """Average of the gradients at an open and at a closed gate."""
    opened = gradient_of(loss, 1.0, theta, weigh)
    closed = gradient_of(loss, 0.0, theta, weigh)
    return theta * opened + (1.0 - theta) * closed


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_straight_through_returns_the_sample(weight):
    sample = [0.0, 1.0, 1.0]
    np.testing.assert_array_equal(through(sample, tf.constant(0.7), weight), sample)


@pytest.mark.parametrize("theta", [0.1, 0.5, 0.9])
def test_straight_through_is_biased_where_the_loss_is_smallest_at_an_open_gate(theta):
    def loss(xi):
        return 3.0 * (xi - 1.0) ** 2 + 0.5

    difference = loss(1.0) - loss(0.0)
    biased = pytest.approx(2.0 * (1.0 - theta) * difference, rel=1e-5)
    assert expected_gradient(loss, theta, weigh=False) == biased


@pytest.mark.parametrize("theta", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("curvature", [-2.0, 0.0, 5.0])
@pytest.mark.parametrize("slope", [-3.0, 1.0])
def test_balanced_straight_through_is_exact_on_quadratics(theta, curvature, slope):
    def loss(xi):
        return curvature * xi**2 + slope * xi + 7.0

    difference = pytest.approx(loss(1.0) - loss(0.0), rel=1e-5, abs=1e-5)
    assert expected_gradient(loss, theta, weigh=True) == difference


def test_the_weight_of_straight_through_scales_the_gradient():
    theta = tf.constant(0.4)
    with tf.GradientTape() as tape:
        tape.watch(theta)
        weight = tf.constant([2.0, 3.0])
        gates = through([1.0, 0.0], theta, weight)
        cost = tf.reduce_sum(gates * tf.constant([10.0, 1.0]))
    assert float(tape.gradient(cost, theta)) == pytest.approx(23.0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_slopes_in_half_precision_are_summed_in_full(dtype):
    # More ones than either dtype can count.
    inputs, theta = tf.ones([70_000], dtype), tf.constant(0.5)
    with tf.GradientTape() as tape:
        tape.watch(theta)
        outputs = straight_through(inputs, tf.ones([70_000]), theta)
    assert float(tape.gradient(outputs, theta)) == 70_000.0


@pytest.mark.parametrize(
    "shape", [(6,), (6, 3), (6, 4, 3), (6, 2, 5, 3), (6, 2, 1, 3, 2)]
)
@pytest.mark.parametrize("draws", [6, 1])
@pytest.mark.parametrize("jit", [True, False])
def test_the_gradients_are_those_of_automatic_differentiation(shape, draws, jit):
    rng = np.random.default_rng(0)
    inputs = tf.constant(rng.normal(size=shape), tf.float32)
    sample = tf.constant(rng.integers(0, 2, draws), tf.float32)
    weight = tf.constant(rng.uniform(0.5, 3.0, draws), tf.float32)

    def differentiated(inputs, sample, theta, weight):
        xi = sample + weight * (theta - tf.stop_gradient(theta))
        return inputs * tf.reshape(xi, (-1, *(1 for _ in shape[1:])))

    def gradients(product):
        theta = tf.constant(0.3)
        with tf.GradientTape() as tape:
            tape.watch([inputs, theta])
            cost = tf.reduce_sum(tf.sin(product(inputs, sample, theta, weight)))
        return tape.gradient(cost, [inputs, theta])

    expected = gradients(differentiated)
    found = tf.function(lambda: gradients(straight_through), jit_compile=jit)()
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("theta", [0.2, 0.5, 0.8])
def test_open_and_closed_samples_weigh_the_same_on_average(theta):
    opened, closed = balancing_weight(tf.constant([1.0, 0.0]), tf.constant(theta))
    assert theta * float(opened) == pytest.approx(0.5)
    assert (1.0 - theta) * float(closed) == pytest.approx(0.5)


@pytest.mark.parametrize(("theta", "sample"), [(0.0, 0.0), (1.0, 1.0)])
def test_decided_gates_have_finite_weights(theta, sample):
    weight = balancing_weight(tf.constant(sample), tf.constant(theta))
    assert float(weight) == 0.5
