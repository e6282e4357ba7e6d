"""The flattening hyper-prior against searches and integrals over `pi`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from keras_layer_prune import FlatteningPrior
from keras_layer_prune.variational.flattening_prior import (
    flattening_cost,
)

LOG_GAMMAS = [-1.5, 0.0, 0.5, 4.0]
THETAS = [0.0, 0.1, 0.5, 0.9, 1.0]


def costs_over_pi(theta, log_gamma):
    """A fine grid of `pi`, and what the gate costs at each."""
    pi = np.linspace(0.0, 1.0, 200_001)[1:-1]
    divergence = special.rel_entr(theta, pi) + special.rel_entr(1.0 - theta, 1.0 - pi)
    return pi, divergence - log_density(log_gamma, pi)


def log_density(log_gamma, pi):
    return FlatteningPrior(log_gamma).hyper_prior().log_prob(pi).numpy()


def integral(function, upper=1.0):
    """Gauss-Legendre quadrature from 0 to `upper`."""
    nodes, weights = np.polynomial.legendre.leggauss(100)
    return np.sum(weights * function((nodes + 1.0) * upper / 2.0)) * upper / 2.0


def density(log_gamma):
    return lambda pi: np.exp(log_density(log_gamma, pi))


@pytest.mark.parametrize("log_gamma", LOG_GAMMAS)
@pytest.mark.parametrize("theta", THETAS)
def test_the_cost_equals_a_search_over_pi(theta, log_gamma):
    searched = costs_over_pi(theta, log_gamma)[1].min()
    closed = costs_over_pi(0.0, log_gamma)[1].min()
    cost = flattening_cost(theta, log_gamma)
    np.testing.assert_allclose(cost, searched - closed, atol=1e-3)


def test_the_cost_is_what_the_prior_says_and_keeps_the_shape():
    theta = tf.constant([[0.0, 0.25], [0.5, 1.0]])
    cost = FlatteningPrior(8.0).cost(theta)
    np.testing.assert_allclose(cost, [[0.0, 2.0], [4.0, 8.0]])


@pytest.mark.parametrize("log_gamma", LOG_GAMMAS)
def test_the_density_integrates_to_one(log_gamma):
    assert integral(density(log_gamma)) == pytest.approx(1.0, abs=1e-7)


@pytest.mark.parametrize("log_gamma", LOG_GAMMAS)
@pytest.mark.parametrize("pi", [0.01, 0.3, 0.99])
def test_the_cdf_is_the_integral_of_the_density(log_gamma, pi):
    cdf = FlatteningPrior(log_gamma).hyper_prior().cdf(pi)
    below = integral(density(log_gamma), upper=pi)
    assert float(cdf) == pytest.approx(below, abs=1e-7)


@pytest.mark.parametrize("log_gamma", [*LOG_GAMMAS, 1e-6, -1e-6, 5e-3, 2e-2])
def test_the_mean_is_the_first_moment_of_the_density(log_gamma):
    moment = integral(lambda pi: pi * density(log_gamma)(pi))
    mean = FlatteningPrior(log_gamma).hyper_prior().mean()
    assert float(mean) == pytest.approx(moment, abs=1e-7)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_mean_does_not_jump_where_the_series_ends(sign):
    prices = sign * 0.01 * np.array([1.0 - 1e-12, 1.0])
    below, above = (float(FlatteningPrior(x).hyper_prior().mean()) for x in prices)
    assert below == pytest.approx(above, abs=1e-12)


@pytest.mark.parametrize("log_gamma", LOG_GAMMAS)
def test_samples_have_the_mean(log_gamma):
    hyper_prior = FlatteningPrior(log_gamma).hyper_prior()
    samples = hyper_prior.sample(20_000, seed=1).numpy()
    four_standard_errors = 4.0 * samples.std() / np.sqrt(len(samples))
    assert abs(samples.mean() - float(hyper_prior.mean())) < four_standard_errors


@pytest.mark.parametrize("log_gamma", [-600.0, 600.0])
def test_numbers_stay_finite_at_usual_prices(log_gamma):
    hyper_prior = FlatteningPrior(log_gamma).hyper_prior()
    samples = hyper_prior.sample(1_000, seed=1).numpy()
    log_prob = hyper_prior.log_prob(tf.constant([1e-6, 0.5, 1.0 - 1e-6], "float64"))
    assert np.isfinite(log_prob).all()
    assert np.isfinite(samples).all()
    assert samples.min() >= 0.0
    assert samples.max() <= 1.0


@pytest.mark.parametrize("pi", [1e-6, 0.1, 0.5, 0.999])
def test_a_large_price_gives_a_uniform_logarithm(pi):
    # Where `gamma * pi` is huge, the density is `1 / (log_gamma * pi)`.
    hyper_prior = FlatteningPrior(600.0).hyper_prior()
    assert float(hyper_prior.cdf(pi)) == pytest.approx(1.0 + np.log(pi) / 600.0)
    log_prob = -np.log(600.0) - np.log(pi)
    assert float(hyper_prior.log_prob(pi)) == pytest.approx(log_prob)
    assert float(hyper_prior.mean()) == pytest.approx(1.0 / 600.0)


@pytest.mark.parametrize("pi", [0.001, 0.5, 0.9])
def test_opposite_prices_are_mirror_images(pi):
    closing = FlatteningPrior(600.0).hyper_prior()
    keeping = FlatteningPrior(-600.0).hyper_prior()
    mirrored = closing.log_prob(tf.constant(1.0 - pi, "float64"))
    assert float(keeping.log_prob(pi)) == pytest.approx(float(mirrored))
    assert float(keeping.mean()) == pytest.approx(1.0 - float(closing.mean()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_of_the_hyper_prior_is_the_one_asked_for(dtype):
    hyper_prior = FlatteningPrior(2.0).hyper_prior(dtype)
    assert hyper_prior.sample(seed=1).dtype == dtype
    assert hyper_prior.mean().dtype == dtype


@pytest.mark.parametrize("log_gamma", [float("nan"), float("inf"), -float("inf")])
def test_a_price_that_is_not_finite_is_an_error(log_gamma):
    with pytest.raises(ValueError, match="`log_gamma` must be finite"):
        FlatteningPrior(log_gamma)


@pytest.mark.parametrize("log_gamma", ["600", None, [1.0], True])
def test_a_price_that_is_not_a_number_is_an_error(log_gamma):
    with pytest.raises(TypeError, match="`log_gamma` must be a number"):
        FlatteningPrior(log_gamma)


def test_a_prior_survives_serialization():
    config = keras.saving.serialize_keras_object(FlatteningPrior(600))
    restored = keras.saving.deserialize_keras_object(config)
    assert isinstance(restored, FlatteningPrior)
    assert restored.log_gamma == 600.0
