"""When a closed gate stays closed, against what projected steps do to it."""

import numpy as np
import pytest
import tensorflow as tf

from keras_layer_prune.variational.attraction import closed_state_attracts
from keras_layer_prune.variational.projection import projected_step


def late_theta(benefit, price):
    """Where noisy projected steps leave a gate that starts closed, on average."""
    noise = np.random.default_rng(0).normal(scale=0.01, size=300)
    theta, visited = tf.constant(0.0, "float64"), []
    for error in noise:
        theta = projected_step(theta, price - benefit + error, step_size=0.5)
        visited.append(float(theta))
    return np.mean(visited[-100:])


@pytest.mark.parametrize("benefit", [-0.05, 0.0, 0.01, 0.03, 0.2])
def test_a_closed_gate_is_attracted_exactly_where_projected_steps_keep_it(benefit):
    stays = late_theta(benefit, price=0.02) < 0.1
    assert closed_state_attracts(0.0, benefit, price=0.02) == stays


@pytest.mark.parametrize("theta", [1e-7, 0.01, 1.0])
def test_a_gate_that_is_not_closed_may_recover(theta):
    assert not closed_state_attracts(theta, benefit=0.0, price=0.02)


def test_a_section_that_just_pays_its_price_is_not_attracted():
    assert not closed_state_attracts(0.0, benefit=0.02, price=0.02)
