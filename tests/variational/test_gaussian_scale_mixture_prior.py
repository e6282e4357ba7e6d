"""The scale mixture against integrals, and its cost against SciPy's normal."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, stats

from keras_layer_prune import GaussianScaleMixturePrior

CASES = [(0.25, 1.0), (0.5, 4.0), (0.9, 0.1), (1.0, 2.0), (0.0, 1.0)]


def mixture(pi, precision):
    return GaussianScaleMixturePrior(precision).distribution(pi)


def integral(function, upper, precision):
    """Integral up to `upper`, on a grid that is as fine as the spike at 0 needs."""
    slab = precision**-0.5
    fine = np.geomspace(1e-7, 12.0, 40_000) * slab
    grid = np.concatenate([-fine[::-1], fine])
    grid = np.append(grid[grid < upper], upper)
    return integrate.trapezoid(function(grid), grid)


@pytest.mark.parametrize(("pi", "precision"), CASES)
def test_the_density_integrates_to_one(pi, precision):
    prob = mixture(pi, precision).prob
    assert integral(prob, 100.0, precision) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(("pi", "precision"), CASES)
@pytest.mark.parametrize("weight", [-0.7, 0.3, 2.0])
def test_the_cdf_is_the_integral_of_the_density(pi, precision, weight):
    distribution = mixture(pi, precision)
    below = integral(distribution.prob, weight, precision)
    assert float(distribution.cdf(weight)) == pytest.approx(below, abs=1e-4)


@pytest.mark.parametrize(("pi", "precision"), CASES)
def test_the_variance_is_that_of_a_gate_times_a_normal(pi, precision):
    # `E[(xi * w)**2] = pi / precision`; the spike adds a millionth of the slab's.
    distribution = mixture(pi, precision)
    assert float(distribution.mean()) == 0.0
    expected = pytest.approx(pi / precision, rel=1e-4, abs=2e-6 / precision)
    assert float(distribution.variance()) == expected


@pytest.mark.parametrize("precision", [0.1, 4.0])
def test_the_spike_is_a_thousandth_as_wide_as_the_slab(precision):
    spike, slab = (mixture(pi, precision).stddev() for pi in (0.0, 1.0))
    assert float(spike) == pytest.approx(1e-3 * float(slab))


def test_samples_are_a_gate_times_a_normal():
    generator = np.random.default_rng(0)
    gates = generator.random(20_000) < 0.3
    effective = gates * generator.normal(scale=0.5, size=20_000)
    samples = mixture(0.3, 4.0).sample(20_000, seed=1).numpy()
    # Beyond the spike the two have the same distribution.
    for threshold in (-0.5, -0.1, 0.1, 0.5):
        drawn, expected = np.mean(samples < threshold), np.mean(effective < threshold)
        assert drawn == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("precision", [0.1, 1.0, 7.0])
def test_the_cost_is_the_negative_log_density_up_to_a_constant(precision):
    weights = np.array([[0.3, -2.0], [1.1, 0.0]])
    slab = stats.norm(scale=precision**-0.5)
    expected = np.sum(slab.logpdf(0.0) - slab.logpdf(weights))
    cost = GaussianScaleMixturePrior(precision).cost(tf.constant(weights))
    assert float(cost) == pytest.approx(expected)


def test_the_gradient_of_the_cost_is_the_precision_times_the_weights():
    weights = tf.constant([0.5, -1.5, 0.0])
    with tf.GradientTape() as tape:
        tape.watch(weights)
        cost = GaussianScaleMixturePrior(3.0).cost(weights)
    gradient = tape.gradient(cost, weights)
    np.testing.assert_allclose(gradient, [1.5, -4.5, 0.0], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_of_the_distribution_is_the_one_asked_for(dtype):
    prior = GaussianScaleMixturePrior(1.0)
    assert prior.distribution(0.5, dtype).sample(seed=1).dtype == dtype


@pytest.mark.parametrize("precision", [0.0, -1.0])
def test_a_precision_that_is_not_above_zero_is_an_error(precision):
    with pytest.raises(ValueError, match="`precision` must be greater than 0"):
        GaussianScaleMixturePrior(precision)


@pytest.mark.parametrize("precision", [float("nan"), float("inf")])
def test_a_precision_that_is_not_finite_is_an_error(precision):
    with pytest.raises(ValueError, match="`precision` must be finite"):
        GaussianScaleMixturePrior(precision)


@pytest.mark.parametrize("precision", ["1", None])
def test_a_precision_that_is_not_a_number_is_an_error(precision):
    with pytest.raises(TypeError, match="`precision` must be a number"):
        GaussianScaleMixturePrior(precision)


@pytest.mark.parametrize("pi", [-0.1, 1.1])
def test_a_gate_probability_outside_of_its_range_is_an_error(pi):
    with pytest.raises(ValueError, match="`pi` must be between 0 and 1"):
        GaussianScaleMixturePrior(1.0).distribution(pi)


def test_a_prior_survives_serialization():
    config = keras.saving.serialize_keras_object(GaussianScaleMixturePrior(0.5))
    restored = keras.saving.deserialize_keras_object(config)
    assert isinstance(restored, GaussianScaleMixturePrior)
    assert restored.precision == 0.5
