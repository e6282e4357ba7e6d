"""`x + xi * (layer(x) - x)`, computed once more in NumPy."""

import keras
import numpy as np
import pytest
from layers_of_users import LazyBlock, MaskedBlock, UnknownShape

from keras_layer_prune import BernoulliGate, GatedLayer

X = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")


def gated(layer, theta):
    gate = BernoulliGate(initial_probability=theta, seed=1)
    return GatedLayer(layer, gate=gate)


@pytest.mark.parametrize("theta", [0.0, 0.4, 1.0])
def test_inference_goes_part_of_the_way_from_the_input_to_the_layer(theta):
    layer = gated(keras.layers.Dense(3, bias_initializer="ones"), theta)
    outputs = layer(X)
    kernel, bias = layer.layer.get_weights()
    expected = (1.0 - theta) * X + theta * (X @ kernel + bias)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_a_closed_gate_leaves_the_input_as_it_is_while_training():
    layer = gated(keras.layers.Dense(3), 0.0)
    np.testing.assert_array_equal(layer(X, training=True), X)


def test_training_passes_each_row_through_the_layer_or_around_it():
    layer = gated(keras.layers.Rescaling(-1.0), 0.5)
    ratio = layer(X, training=True).numpy() / X
    assert set(np.unique(ratio.round(4))) == {-1.0, 1.0}
    np.testing.assert_array_equal(ratio.min(axis=1), ratio.max(axis=1))


def test_layers_inside_know_whether_the_network_trains():
    layer = gated(keras.layers.Dropout(0.5, seed=1), 1.0)
    np.testing.assert_allclose(layer(X), X)
    dropped = np.isclose(layer(X, training=True), 0.0).mean()
    assert 0.2 < dropped < 0.8


@pytest.mark.parametrize("pass_on", ["by position", "by name"])
@pytest.mark.parametrize("theta", [0.0, 1.0])
def test_masks_are_passed_on_to_the_layer(pass_on, theta):
    x = np.ones((2, 4, 3), "float32")
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 1]])
    layer = gated(MaskedBlock(), theta)
    if pass_on == "by position":
        outputs = layer(x, mask)
    else:
        outputs = layer(x, attention_mask=mask)
    expected = 2.0 * x * mask[..., np.newaxis] if theta == 1.0 else x
    np.testing.assert_array_equal(outputs, expected)


def test_masks_are_passed_on_in_a_functional_network():
    inputs, mask = keras.Input((4, 3)), keras.Input((4,), dtype="bool")
    outputs = gated(MaskedBlock(), 1.0)(inputs, attention_mask=mask)
    network = keras.Model([inputs, mask], outputs)
    x, kept = np.ones((1, 4, 3), "float32"), np.array([[True, False, True, True]])
    np.testing.assert_array_equal(network([x, kept])[0, :, 0], [2.0, 0.0, 2.0, 2.0])


def test_a_layer_of_several_inputs_can_be_gated():
    attention = keras.layers.MultiHeadAttention(num_heads=2, key_dim=2)
    inputs, context = keras.Input((4, 3)), keras.Input((5, 6))
    network = keras.Model([inputs, context], gated(attention, 1.0)(inputs, context))
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    other = np.random.default_rng(1).normal(size=(2, 5, 6)).astype("float32")
    np.testing.assert_allclose(network([x, other]), attention(x, other), atol=1e-5)


def test_a_layer_that_keras_has_to_trace_works_and_is_built_with_the_network():
    network = keras.Sequential([keras.Input((3,)), GatedLayer(LazyBlock(3))])
    assert network.count_params() == 3 * 3 + 3 + 4
    assert network(X).shape == X.shape


def test_a_shape_that_is_not_known_is_not_taken_for_a_change():
    inputs = keras.Input((3,))
    network = keras.Model(inputs, gated(UnknownShape(), 1.0)(inputs))
    network.compile(loss="mse")
    np.testing.assert_allclose(network.predict(X, verbose=0), X, atol=1e-6)


def test_the_weights_of_the_layer_are_trained_and_the_gate_is_not():
    layer = GatedLayer(keras.layers.Dense(3))
    layer.build((None, 3))
    inside = {id(v) for v in layer.layer.trainable_variables}
    assert {id(v) for v in layer.trainable_variables} == inside
    assert len(inside) == 2


def test_the_given_gate_is_used_and_a_fresh_one_made_otherwise():
    gate = BernoulliGate()
    assert GatedLayer(keras.layers.Dense(3), gate=gate).gate is gate
    assert isinstance(GatedLayer(keras.layers.Dense(3)).gate, BernoulliGate)


@pytest.mark.parametrize("x", [X, keras.Input((3,))], ids=["eager", "symbolic"])
def test_a_layer_that_changes_the_shape_is_an_error(x):
    layer = GatedLayer(keras.layers.Dense(5, name="wide"))
    with pytest.raises(ValueError, match=r"`wide` maps .*3\) to .*5\).*GatedResidual"):
        layer(x)


def test_what_is_not_a_layer_is_an_error():
    with pytest.raises(TypeError, match="`layer` must be a Keras layer"):
        GatedLayer(np.tanh)


def test_a_gate_of_another_kind_is_an_error():
    with pytest.raises(TypeError, match="`gate` must be a `BernoulliGate`.*0.5"):
        GatedLayer(keras.layers.Dense(3), gate=0.5)
