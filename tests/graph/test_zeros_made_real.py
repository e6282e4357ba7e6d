"""Where zeros cannot be left out, plain zeros stand in for a closed branch."""

import keras
import numpy as np
import pytest
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
    assert names_in(slim) - {"head"} == {network.inputs[0].name}


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


def test_an_unknown_size_is_an_error_whose_advice_works():
    def network(length):
        inputs = keras.Input((length, 4))
        closed = gate(0.0)(dense("gone")(inputs))
        return model(inputs, keras.layers.Concatenate()([inputs, closed]))

    with pytest.raises(ValueError, match=r"\(None, None, 4\).*Give.*a fixed size"):
        strip_gates(network(None))
    assert_same_without_the_section(network(6))


def test_nothing_but_keras_is_left_where_zeros_are_made_real():
    inputs = keras.Input((4,))
    operands = [inputs, gate(0.0)(dense("gone")(inputs)), gate(1.0)(dense()(inputs))]
    slim = strip_gates(model(inputs, keras.layers.Concatenate()(operands)))
    assert kinds_in(slim) == {"InputLayer", "Dense", "Concatenate"}
