"""Where zeros cannot be left out, plain zeros stand in for a closed branch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from gated_networks import dense, gate, kinds_in, model, names_in

from keras_layer_prune import max_difference, strip_gates


def assert_same_without_the_section(network, inputs=None):
    slim = strip_gates(network)
    assert max_difference(network, slim, inputs) < 1e-5
    assert "gone" not in names_in(slim)
    return slim


@pytest.mark.parametrize("order", [1, -1])
def test_a_concatenation_keeps_its_width(order):
    inputs = keras.Input((4,))
    operands = [dense("kept")(inputs), gate(0.0)(dense("gone", units=3)(inputs))]
    network = model(inputs, dense()(keras.layers.Concatenate()(operands[::order])))
    slim = assert_same_without_the_section(network)
    assert slim.layers[-1].kernel.shape == (7, 4)


def test_a_concatenation_of_images_keeps_its_shape():
    inputs = keras.Input((5, 6, 2))
    branch = keras.layers.Conv2D(3, 3, padding="same", name="gone")(inputs)
    x = keras.layers.Concatenate()([gate(0.0)(branch), inputs])
    network = model(inputs, keras.layers.Conv2D(2, 3)(x))
    assert_same_without_the_section(network)


def test_a_network_can_return_a_closed_branch():
    inputs = keras.Input((4,))
    network = model(inputs, [gate(0.0)(dense("gone")(inputs)), dense()(inputs)])
    slim = assert_same_without_the_section(network)
    zeros, _ = slim(np.ones((3, 4), "float32"))
    np.testing.assert_array_equal(zeros, np.zeros((3, 4)))


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Dense(4, name="after"),
        keras.layers.Dense(4, "sigmoid", use_bias=False, name="after"),
        keras.layers.BatchNormalization(name="after"),
        keras.layers.LayerNormalization(name="after"),
        keras.layers.Softmax(name="after"),
        keras.layers.Rescaling(2.0, offset=np.ones(4), name="after"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_that_makes_something_of_zeros_stays_behind_the_gate(layer):
    inputs = keras.Input((4,))
    branch = layer(gate(0.0)(dense("gone")(inputs)))
    network = model(inputs, keras.layers.Add()([inputs, branch]))
    slim = assert_same_without_the_section(network)
    assert "after" in names_in(slim)


def test_a_layer_that_keeps_zeros_goes_with_the_branch_before_it():
    inputs = keras.Input((4,))
    linear = keras.layers.Dense(4, use_bias=False, name="after")
    branch = linear(gate(0.0)(dense("gone")(inputs)))
    network = model(inputs, dense("head")(keras.layers.Add()([inputs, branch])))
    slim = assert_same_without_the_section(network)
    assert names_in(slim) - {"head"} == {network.layers[0].name}


@pytest.mark.parametrize("merge", [keras.layers.Average, keras.layers.Maximum])
def test_merges_other_than_additions_get_zeros(merge):
    inputs = keras.Input((4,))
    closed = gate(0.0)(dense("gone")(inputs))
    network = model(inputs, merge()([dense("kept")(inputs) - 0.5, closed]))
    assert_same_without_the_section(network)


def test_zeros_do_not_carry_bad_numbers_of_the_input():
    inputs = keras.Input((4,))
    closed = gate(0.0)(dense("gone")(keras.ops.nan_to_num(inputs)))
    network = model(inputs, keras.layers.Concatenate()([closed, closed]))
    x = np.full((2, 4), np.nan, "float32")
    slim = assert_same_without_the_section(network, x)
    np.testing.assert_array_equal(slim(x), np.zeros((2, 8)))


def test_zeros_take_the_batch_of_an_integer_input():
    inputs = keras.Input((5,), dtype="int32")
    x = keras.layers.Embedding(10, 4)(inputs)
    closed = gate(0.0)(dense("gone")(x))
    network = model(inputs, [x, closed])
    tokens = np.random.default_rng(0).integers(0, 10, (3, 5))
    slim = assert_same_without_the_section(network, tokens)
    assert [y.dtype for y in slim(tokens)] == ["float32", "float32"]


def test_zeros_take_the_batch_of_an_input_without_further_axes():
    inputs = keras.Input(())
    x = keras.layers.Reshape((1,))(inputs)
    x = keras.layers.Concatenate()([x, gate(0.0)(dense("gone")(x))])
    assert_same_without_the_section(model(inputs, x))


def concatenated(x, closed):
    return keras.layers.Concatenate()([dense("kept", units=3)(x), closed])


def averaged(x, closed):
    return keras.layers.Average()([x, closed])


def taken_from(x, closed):
    return closed - x


@pytest.mark.parametrize("join", [concatenated, averaged, taken_from])
@pytest.mark.parametrize("shape", [(None, 4), (None, None, 4)])
def test_zeros_take_unknown_sizes_from_what_they_are_joined_with(join, shape):
    inputs = keras.Input(shape)
    closed = gate(0.0)(dense("gone", units=4)(inputs))
    network = model(inputs, dense()(join(inputs, closed)))
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 4)[-len(shape) - 1 :])
    assert_same_without_the_section(network, x.astype("float32"))


def test_zeros_keep_their_precision_beside_integers():
    inputs = keras.Input((4,), dtype="int32")
    closed = gate(0.0)(dense("gone")(inputs))
    network = model(inputs, closed - inputs)
    x = np.ones((2, 4), "int32")
    slim = assert_same_without_the_section(network, x)
    assert slim(x).dtype == "float32"


def test_zeros_are_not_made_from_what_has_fewer_axes():
    inputs = keras.Input((4,))
    closed = gate(0.0)(dense("gone")(inputs))
    # From every example to every other one.
    network = model(inputs, keras.ops.expand_dims(closed, 1) - inputs)
    assert_same_without_the_section(network)


class MadeSparse(keras.layers.Layer):
    def call(self, inputs):
        return tf.sparse.from_dense(inputs)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, inputs.dtype, sparse=True)


SPARSE = {
    "input": lambda odd, _: odd,
    "scaled": lambda odd, _: 0.5 * odd,
    "scaled and more": lambda odd, _: keras.ops.abs(0.5 * odd),
    "masked": lambda odd, x: keras.ops.relu(x) * odd,
    "made sparse": lambda _, x: MadeSparse()(x),
    "one-hot": lambda _, x: keras.ops.one_hot(keras.ops.argmax(x, -1), 4, sparse=True),
}


@pytest.mark.parametrize("make", SPARSE.values(), ids=SPARSE)
def test_zeros_are_not_made_from_what_is_sparse(make):
    odd, inputs = keras.Input((4,), sparse=True), keras.Input((4,))
    closed = gate(0.0)(dense("gone")(inputs))
    x = keras.layers.Concatenate()([make(odd, inputs), closed])
    network = model([odd, inputs], x)
    x = [tf.sparse.from_dense(tf.ones((2, 4))), tf.ones((2, 4))]
    np.testing.assert_array_equal(network(x), strip_gates(network)(x))


@pytest.mark.parametrize("scale", [0.5, np.full(3, 2.0, "float32")], ids=type)
@pytest.mark.parametrize("after", [lambda x: x, keras.ops.abs], ids=["as_is", "abs"])
def test_what_is_scaled_is_not_taken_for_sparse(scale, after):
    inputs = keras.Input((None, 4))
    closed = gate(0.0)(dense("gone")(inputs))
    scaled = after(keras.ops.multiply(dense("kept", units=3)(inputs), scale))
    network = model(inputs, keras.layers.Concatenate()([scaled, closed]))
    assert_same_without_the_section(network, np.ones((2, 5, 4), "float32"))


def joined_along_the_steps(length):
    inputs = keras.Input((length, 4))
    closed = gate(0.0)(dense("gone")(inputs))
    return model(inputs, keras.layers.Concatenate(axis=1)([inputs, closed]))


def test_an_unknown_size_is_an_error_whose_advice_works():
    with pytest.raises(ValueError, match=r"\(None, None, 4\).*Give.*a fixed size"):
        strip_gates(joined_along_the_steps(None))
    assert_same_without_the_section(joined_along_the_steps(6))


def test_zeros_take_a_batch_that_is_not_that_of_the_inputs():
    inputs = keras.Input((5, 4))
    x = keras.ops.reshape(inputs, (-1, 4))
    closed = gate(0.0)(dense("gone")(x))
    network = model(inputs, keras.layers.Concatenate()([x, closed]))
    assert_same_without_the_section(network)


@pytest.mark.parametrize(
    "first",
    [
        {"dtype": "string"},
        {"optional": True},
        {"sparse": True},
        {"batch_size": 1},
    ],
    ids=lambda kind: next(iter(kind)),
)
def test_zeros_do_not_take_the_batch_of_an_input_that_cannot_tell_it(first):
    """An output of zeros, which stands beside nothing."""
    odd, inputs = keras.Input((4,), **first), keras.Input((4,))
    closed = gate(0.0)(dense("gone")(inputs))
    slim = strip_gates(model([odd, inputs], [inputs, closed]))
    given = {"string": "a", "float32": 0.0}[odd.dtype]
    x = [tf.fill((1, 4), given), tf.ones((3, 4))]
    x[0] = None if first.get("optional") else x[0]
    x[0] = tf.sparse.from_dense(x[0]) if first.get("sparse") else x[0]
    _, zeros = slim(x)
    np.testing.assert_array_equal(zeros, np.zeros((3, 4)))


def test_pythons_sum_begins_with_a_zero_that_goes_too():
    inputs = keras.Input((None, 4))
    branches = [gate(0.0)(dense(name)(inputs)) for name in ("gone", "gone_too")]
    network = model(inputs, dense("head")(inputs + sum(branches)))
    x = np.ones((2, 3, 4), "float32")
    slim = assert_same_without_the_section(network, x)
    assert operations_in(slim) == ["Dense"]


@pytest.mark.parametrize("subtract", [keras.ops.subtract, keras.layers.Subtract()])
def test_nothing_is_taken_away_where_a_branch_is_closed(subtract):
    inputs = keras.Input((None, 4))
    operands = [inputs, gate(0.0)(dense("gone")(inputs))]
    is_layer = isinstance(subtract, keras.layers.Layer)
    x = subtract(operands) if is_layer else subtract(*operands)
    network = model(inputs, dense("head")(x))
    slim = assert_same_without_the_section(network, np.ones((2, 3, 4), "float32"))
    assert operations_in(slim) == ["Dense"]


DIVISORS = {
    "number": 2.0,
    "integer": 2,
    "array": np.array([1.0, -2.0, 3.0, 4.0], "float32"),
    "tensor": tf.constant(4.0),
}


@pytest.mark.parametrize("divide", [keras.ops.divide, keras.ops.true_divide])
@pytest.mark.parametrize("divisor", DIVISORS.values(), ids=DIVISORS)
def test_a_closed_branch_that_is_divided_goes_with_what_it_is_divided_by(
    divisor, divide
):
    inputs = keras.Input((None, 4))
    closed = gate(0.0)(dense("gone")(inputs))
    network = model(inputs, dense("head")(inputs + divide(closed, divisor)))
    slim = assert_same_without_the_section(network, np.ones((2, 3, 4), "float32"))
    assert operations_in(slim) == ["Dense"]


NO_ZEROS = {
    "by zero": lambda x, _: x / 0.0,
    "by a zero among others": lambda x, _: x / np.array([1.0, 0.0, 2.0, 3.0]),
    "a number": lambda x, _: 2.0 / x,
    "by a tensor": lambda x, other: x / other,
    "by itself": lambda x, _: x / x,
    "by a variable": lambda x, _: x / keras.Variable(0.0, name="divisor"),
}


@pytest.mark.parametrize("divide", NO_ZEROS.values(), ids=NO_ZEROS)
def test_a_quotient_that_need_not_be_zero_is_computed(divide):
    inputs = keras.Input((4,))
    closed = gate(0.0)(dense("gone")(inputs))
    network = model(inputs, inputs + divide(closed, inputs))
    x = np.zeros((2, 4), "float32")
    # Infinite, or no number, as it was.
    np.testing.assert_array_equal(strip_gates(network)(x), network(x))
    assert not np.all(np.isfinite(network(x)))


def test_a_sum_in_another_precision_is_cast_and_not_added_to():
    inputs = keras.Input((None, 4))
    x = keras.layers.Dense(4, dtype="float16")(inputs)
    x = x + gate(0.0)(dense("gone")(x))
    network = model(inputs, keras.layers.GlobalAveragePooling1D()(x))
    slim = assert_same_without_the_section(network, np.ones((2, 3, 4), "float32"))
    assert operations_in(slim) == ["Dense", "Cast", "GlobalAveragePooling1D"]


def operations_in(network):
    return [type(operation).__name__ for operation in network.operations][1:]


def test_nothing_but_keras_is_left_where_zeros_are_made_real():
    inputs = keras.Input((4,))
    operands = [inputs, gate(0.0)(dense("gone")(inputs)), gate(1.0)(dense()(inputs))]
    slim = strip_gates(model(inputs, keras.layers.Concatenate()(operands)))
    assert kinds_in(slim) == {"InputLayer", "Dense", "Concatenate"}
