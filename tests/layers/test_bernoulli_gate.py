"""What a gate does to its input, and that each of its arguments acts."""

from fractions import Fraction

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_layer_prune import BernoulliGate, FlatteningPrior

ROWS = 64


def draws_of(gate, calls=1):
    """What `calls` training steps multiply each of `ROWS` rows by."""
    ones = np.ones((ROWS, 3), "float32")
    outputs = np.stack([gate(ones, training=True) for _ in range(calls)])
    np.testing.assert_array_equal(outputs[..., :1], outputs[..., 1:2])
    return outputs[..., 0]


@pytest.mark.parametrize("theta", [0.0, 0.3, 1.0])
def test_inference_multiplies_by_the_probability(theta):
    x = np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32")
    gate = BernoulliGate(initial_probability=theta)
    np.testing.assert_allclose(gate(x), theta * x, rtol=1e-6)


def test_inference_follows_the_probability():
    gate = BernoulliGate(initial_probability=0.3)
    gate.probability.assign(0.75)
    np.testing.assert_array_equal(gate(np.ones((2, 1), "float32")), [[0.75], [0.75]])


@pytest.mark.parametrize("theta", [0.2, 0.5, 0.9])
def test_training_multiplies_by_ones_and_zeros_with_the_probability_as_mean(theta):
    draws = draws_of(BernoulliGate(initial_probability=theta, seed=1), calls=50)
    assert set(np.unique(draws)) == {0.0, 1.0}
    four_standard_errors = 4.0 * np.sqrt(theta * (1.0 - theta) / draws.size)
    assert abs(draws.mean() - theta) < four_standard_errors


@pytest.mark.parametrize("theta", [0.0, 1.0])
@pytest.mark.parametrize("draws", ["row", "batch"])
def test_decided_gates_draw_the_same_every_time(theta, draws):
    gate = BernoulliGate(initial_probability=theta, draws=draws)
    np.testing.assert_array_equal(draws_of(gate, calls=20), theta)


def test_a_closed_gate_stays_closed_for_the_smallest_uniform(monkeypatch):
    def smallest(shape, **_):
        return keras.ops.zeros(shape)

    monkeypatch.setattr(keras.random, "uniform", smallest)
    closed, ajar = (BernoulliGate(initial_probability=x) for x in (0.0, 1e-6))
    np.testing.assert_array_equal(draws_of(closed), 0.0)
    np.testing.assert_array_equal(draws_of(ajar), 1.0)


def test_row_draws_differ_between_rows():
    draws = draws_of(BernoulliGate(initial_probability=0.5, draws="row"))
    assert 0.0 < draws.mean() < 1.0


def test_batch_draws_are_the_same_for_all_rows_and_differ_between_calls():
    draws = draws_of(BernoulliGate(initial_probability=0.5, draws="batch"), calls=20)
    np.testing.assert_array_equal(draws.min(axis=1), draws.max(axis=1))
    assert 0.0 < draws.mean() < 1.0


def test_equal_seeds_draw_alike_and_other_seeds_do_not():
    gates = (BernoulliGate(initial_probability=0.5, seed=seed) for seed in (1, 1, 2))
    first, again, other = map(draws_of, gates)
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_gates_without_a_seed_draw_independently():
    first, other = (draws_of(BernoulliGate(initial_probability=0.5)) for _ in range(2))
    assert np.any(first != other)


def test_the_prior_is_kept():
    prior = FlatteningPrior(5.0)
    assert BernoulliGate(prior=prior).prior is prior
    assert BernoulliGate().prior is None


def test_the_probability_is_there_before_the_first_call_and_is_no_optimizers_business():
    gate = BernoulliGate(initial_probability=0.25)
    assert float(gate.probability) == 0.25
    assert gate.probability.dtype == "float32"
    assert gate.probability.shape == ()
    assert gate.trainable_variables == []
    assert any(variable is gate.probability for variable in gate.variables)


def test_the_benefit_starts_at_zero():
    assert float(BernoulliGate().benefit) == 0.0


@pytest.mark.parametrize("shape", [(5,), (5, 2), (5, 2, 3), (5, 2, 3, 4)])
def test_inputs_of_any_rank_keep_their_shape(shape):
    gate = BernoulliGate(initial_probability=0.5)
    x = np.ones(shape, "float32")
    assert gate(x).shape == shape
    assert gate(x, training=True).shape == shape
    assert gate(keras.Input(shape[1:])).shape == (None, *shape[1:])


def test_batches_of_unknown_size_are_drawn_row_by_row():
    gate = BernoulliGate(initial_probability=0.5)

    @tf.function(input_signature=[tf.TensorSpec([None, 1])])
    def train(x):
        return gate(x, training=True)

    draws = train(tf.ones([ROWS, 1])).numpy()
    assert 0.0 < draws.mean() < 1.0


def gradient_for_theta(gate, x):
    """Gradient of the sum of the outputs of one training step."""
    with tf.GradientTape() as tape:
        theta = gate.probability.value
        tape.watch(theta)
        total = tf.reduce_sum(gate(x, training=True))
    return float(tape.gradient(total, theta))


@pytest.mark.parametrize("draws", ["row", "batch"])
@pytest.mark.parametrize("theta", [0.3, 0.8])
def test_the_gradient_for_the_probability_is_right_on_average(theta, draws):
    # The loss is linear in the gate, so opening it adds exactly the sum of `x`.
    x = np.arange(8, dtype="float32")[:, np.newaxis]
    gate = BernoulliGate(initial_probability=theta, draws=draws, seed=1)
    gradients = [gradient_for_theta(gate, x) for _ in range(300)]
    four_standard_errors = 4.0 * np.std(gradients) / np.sqrt(len(gradients))
    assert abs(np.mean(gradients) - x.sum()) < four_standard_errors


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_an_initial_probability_out_of_range_is_an_error(value):
    with pytest.raises(ValueError, match="`initial_probability` must be between"):
        BernoulliGate(initial_probability=value)


def test_an_initial_probability_that_is_not_a_number_is_an_error():
    with pytest.raises(TypeError, match="`initial_probability` must be a number"):
        BernoulliGate(initial_probability="high")


def test_an_initial_probability_may_be_a_fraction():
    assert BernoulliGate(initial_probability=Fraction(9, 10)).probability == 0.9


def test_an_unknown_way_to_draw_is_an_error_that_lists_the_ways():
    with pytest.raises(ValueError, match="`draws` must be one of.*row.*batch.*'pixel'"):
        BernoulliGate(draws="pixel")


def test_a_prior_of_another_kind_is_an_error_that_shows_how_to_write_it():
    with pytest.raises(TypeError, match=r"`prior` must be.*600\.0.*log_gamma=600\.0"):
        BernoulliGate(prior=600.0)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "numbers",
    [keras.Input((3,), dtype="int32"), tf.constant([[10, 20, 30]])],
    ids=["symbolic", "eager"],
)
def test_whole_numbers_are_refused(numbers, training):
    with pytest.raises(TypeError, match="cannot weigh int32 numbers.*`keras.ops.cast"):
        BernoulliGate()(numbers, training=training)
