"""The scope in which gates report their draws and take others."""

import numpy as np
import pytest
import tensorflow as tf

from keras_layer_prune import BernoulliGate
from keras_layer_prune.layers._draws import Draws, active_draws


def call(gate, rows=6):
    return gate(np.ones((rows, 2), "float32"), training=True).numpy()[:, 0]


def gradient_for_theta(gate, draws):
    with tf.GradientTape() as tape, draws.active():
        theta = gate.probability.value
        tape.watch(theta)
        total = tf.reduce_sum(gate(tf.ones([4, 1]), training=True))
    return float(tape.gradient(total, theta))


def test_draws_record_what_each_gate_drew():
    first, second = (BernoulliGate(initial_probability=0.5) for _ in range(2))
    draws = Draws()
    with draws.active():
        outputs = {first: call(first), second: call(second)}
    for gate, output in outputs.items():
        np.testing.assert_array_equal(draws.samples[gate], output)
        np.testing.assert_array_equal(draws.uniforms[gate] < 0.5, output == 1.0)


def test_draws_hand_out_replacements_to_the_gates_they_name():
    replaced, free = (BernoulliGate(initial_probability=1.0) for _ in range(2))
    wanted = tf.constant([0.0, 1.0, 0.0])
    with Draws({replaced: wanted}).active():
        np.testing.assert_array_equal(call(replaced, rows=3), wanted)
        np.testing.assert_array_equal(call(free, rows=3), 1.0)


def test_a_replacement_is_recorded_as_the_sample():
    gate = BernoulliGate(initial_probability=1.0)
    draws = Draws({gate: tf.zeros([2])})
    with draws.active():
        call(gate, rows=2)
    np.testing.assert_array_equal(draws.samples[gate], [0.0, 0.0])


def test_gates_do_not_report_at_inference():
    gate, draws = BernoulliGate(), Draws()
    with draws.active():
        gate(np.ones((2, 1), "float32"))
    assert draws.samples == {}


def test_unbalanced_draws_give_the_plain_slope():
    gate = BernoulliGate(initial_probability=0.9)
    assert gradient_for_theta(gate, Draws(balanced=False)) == 4.0


def test_balanced_draws_weigh_rare_samples_more():
    gate = BernoulliGate(initial_probability=0.8)
    closed_rows = tf.constant([0.0, 0.0, 0.0, 0.0])
    gradient = gradient_for_theta(gate, Draws({gate: closed_rows}))
    # A closed row comes one time in five and has to count half of the total.
    np.testing.assert_allclose(gradient, 4.0 * 0.5 / 0.2, rtol=1e-5)


def test_the_innermost_scope_is_the_active_one_and_ends_with_its_block():
    outer, inner = Draws(), Draws()
    assert active_draws() is None
    with outer.active():
        with inner.active():
            assert active_draws() is inner
        assert active_draws() is outer
    assert active_draws() is None


def test_a_scope_ends_with_an_error_inside():
    try:
        with Draws().active():
            raise RuntimeError
    except RuntimeError:
        assert active_draws() is None


@pytest.mark.parametrize(("theta", "share"), [(0.0, 0.2), (0.5, 0.5), (1.0, 0.8)])
def test_exploration_is_the_least_chance_of_either_side(theta, share):
    gate = BernoulliGate(initial_probability=theta, seed=1)
    with Draws(exploration=0.2).active():
        outputs = call(gate, rows=4_000)
    assert abs(outputs.mean() - share) < 4.0 * np.sqrt(share * (1.0 - share) / 4_000)


@pytest.mark.parametrize("theta", [0.0, 1.0])
def test_a_gate_that_does_not_learn_does_not_explore(theta):
    gate = BernoulliGate(initial_probability=theta)
    gate.trainable = False
    with Draws(exploration=0.2).active():
        np.testing.assert_array_equal(call(gate, rows=100), theta)


@pytest.mark.parametrize("theta", [0.0, 1.0])
def test_an_exploring_gate_at_a_bound_has_the_right_gradient_on_average(theta):
    def loss(gates):
        return (3.0 * gates - 1.0) ** 2

    gate = BernoulliGate(initial_probability=theta, seed=1)
    with tf.GradientTape() as tape, Draws(exploration=0.2).active():
        variable = gate.probability.value
        tape.watch(variable)
        mean = tf.reduce_mean(loss(gate(tf.ones([20_000, 1]), training=True)))
    difference = loss(1.0) - loss(0.0)
    np.testing.assert_allclose(tape.gradient(mean, variable), difference, atol=0.2)
