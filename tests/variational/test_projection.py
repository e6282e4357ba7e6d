"""The projected step against a search over the unit interval."""

import numpy as np
import pytest
import tensorflow as tf

from keras_layer_prune.variational.projection import projected_step


@pytest.mark.parametrize("theta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("gradient", [-5.0, -0.4, 0.0, 0.2, 5.0])
@pytest.mark.parametrize("step_size", [0.1, 1.0])
def test_projected_step_is_the_nearest_probability(theta, gradient, step_size):
    grid = np.linspace(0.0, 1.0, 100_001)
    nearest = grid[np.argmin(np.abs(grid - (theta - step_size * gradient)))]
    step = projected_step(tf.constant(theta), gradient, step_size)
    assert float(step) == pytest.approx(nearest, abs=1e-5)


@pytest.mark.parametrize(("gradient", "bound"), [(0.3, 0.0), (-0.3, 1.0)])
def test_projected_step_reaches_the_bounds_exactly(gradient, bound):
    theta = tf.constant(0.5)
    for _ in range(20):
        theta = projected_step(theta, gradient, step_size=0.1)
    assert float(theta) == bound


def test_projected_steps_stay_in_the_unit_interval_whatever_the_gradients():
    generator = np.random.default_rng(0)
    theta = tf.constant(generator.random(8), "float32")
    for _ in range(50):
        gradient = tf.constant(generator.normal(scale=10.0, size=8), "float32")
        theta = projected_step(theta, gradient, step_size=0.1)
        assert np.all((theta >= 0.0) & (theta <= 1.0))


def test_projected_step_goes_against_the_gradient():
    theta = projected_step(tf.constant([0.5, 0.5]), tf.constant([1.0, -1.0]), 0.1)
    np.testing.assert_allclose(theta, [0.4, 0.6], rtol=1e-6)
