"""`shortcut(x) + gate(section(x))`, computed once more in NumPy."""

import keras
import numpy as np
import pytest
from layers_of_users import LazyBlock

from keras_layer_prune import BernoulliGate, GatedLayer, GatedResidual

X = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")


def in_numpy(dense, x):
    kernel, bias = dense.get_weights()
    return x @ kernel + bias


def residual(theta, **kwargs):
    section = keras.layers.Dense(3, bias_initializer="ones")
    gate = BernoulliGate(initial_probability=theta, seed=1)
    return GatedResidual(section, gate=gate, **kwargs)


@pytest.mark.parametrize("theta", [0.0, 0.4, 1.0])
def test_inference_adds_the_expected_section(theta):
    layer = residual(theta)
    outputs = layer(X)
    expected = X + theta * in_numpy(layer.section, X)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


@pytest.mark.parametrize("theta", [0.0, 1.0])
def test_a_decided_gate_does_the_same_while_training(theta):
    layer = residual(theta)
    np.testing.assert_allclose(layer(X, training=True), layer(X), atol=1e-6)


def test_training_adds_the_section_to_some_rows_only():
    layer = residual(0.5)
    change = layer(X, training=True).numpy() - X
    section = in_numpy(layer.section, X)
    has_section = np.isclose(change, section, atol=1e-5).all(axis=1)
    has_nothing = np.isclose(change, 0.0, atol=1e-5).all(axis=1)
    assert np.all(has_section ^ has_nothing)
    assert 0 < has_section.sum() < len(X)


@pytest.mark.parametrize("theta", [0.0, 0.4])
def test_the_shortcut_is_always_there(theta):
    layer = GatedResidual(
        keras.layers.Dense(5),
        shortcut=keras.layers.Dense(5, bias_initializer="ones"),
        gate=BernoulliGate(initial_probability=theta),
    )
    outputs = layer(X)
    expected = in_numpy(layer.shortcut, X) + theta * in_numpy(layer.section, X)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_layers_inside_know_whether_the_network_trains():
    section = keras.layers.Dropout(0.5, seed=1)
    layer = GatedResidual(section, gate=BernoulliGate(initial_probability=1.0))
    np.testing.assert_allclose(layer(X), 2.0 * X)
    dropped = np.isclose(layer(X, training=True), X).mean()
    assert 0.2 < dropped < 0.8


def test_weights_of_both_paths_are_trained_and_the_gate_is_not():
    layer = GatedResidual(keras.layers.Dense(5), shortcut=keras.layers.Dense(5))
    layer.build((None, 3))
    inside = layer.section.trainable_variables + layer.shortcut.trainable_variables
    assert {id(v) for v in layer.trainable_variables} == {id(v) for v in inside}
    assert len(inside) == 4


def test_the_symbolic_shape_is_that_of_the_section():
    layer = GatedResidual(keras.layers.Dense(5), shortcut=keras.layers.Dense(5))
    assert layer(keras.Input((7, 3))).shape == (None, 7, 5)


def test_a_section_that_keras_has_to_trace_works_and_is_built_with_the_network():
    network = keras.Sequential([keras.Input((3,)), GatedResidual(LazyBlock(3))])
    assert network.count_params() == 3 * 3 + 3 + 4
    assert network(X).shape == X.shape


@pytest.mark.parametrize("kind", [GatedResidual, GatedLayer])
@pytest.mark.parametrize("scaled", [lambda x: 2.0 * x, lambda x: x / 2.0])
def test_what_is_multiplied_by_a_number_can_be_gated(kind, scaled):
    inputs = keras.Input((3,))
    outputs = kind(keras.layers.Dense(3), name="gated")(scaled(inputs))
    network = keras.Model(inputs, outputs)
    expected = network.get_layer("gated")(scaled(X))
    np.testing.assert_allclose(network(X), expected, rtol=1e-6)


def test_a_sparse_input_is_refused_when_the_network_is_made():
    with pytest.raises(TypeError, match="SparseTensor"):
        GatedResidual(keras.layers.Dense(3))(keras.Input((3,), sparse=True))


def test_the_given_gate_is_used_and_a_fresh_one_made_otherwise():
    gate = BernoulliGate()
    section = keras.layers.Dense(3)
    assert GatedResidual(section, gate=gate).gate is gate
    assert isinstance(GatedResidual(section).gate, BernoulliGate)


def test_paths_of_different_shapes_are_an_error_when_the_network_is_made():
    layer = GatedResidual(keras.layers.Dense(5, name="wide"), keras.layers.Dense(4))
    message = r"`wide` maps \(None, 3\) to \(None, 5\).*Give a `shortcut`"
    with pytest.raises(ValueError, match=message):
        layer(keras.Input((3,)))


def test_the_advice_for_paths_of_different_shapes_works():
    layer = GatedResidual(keras.layers.Dense(5), shortcut=keras.layers.Dense(5))
    assert layer(X).shape == (32, 5)


@pytest.mark.parametrize("argument", ["section", "shortcut"])
def test_what_is_not_a_layer_is_an_error_that_names_the_argument(argument):
    layers = {"section": keras.layers.Dense(3), argument: np.tanh}
    with pytest.raises(TypeError, match=f"`{argument}` must be a Keras layer"):
        GatedResidual(**layers)


def test_a_gate_of_another_kind_is_an_error():
    with pytest.raises(TypeError, match="`gate` must be a `BernoulliGate`.*0.5"):
        GatedResidual(keras.layers.Dense(3), gate=0.5)


@pytest.mark.parametrize(
    "wrapped", [lambda gate: gate, lambda gate: keras.Sequential([gate])]
)
def test_a_gate_in_the_place_of_the_shortcut_is_refused(wrapped):
    with pytest.raises(ValueError, match=r"GatedResidual\(section, gate=gate\)"):
        GatedResidual(keras.layers.Dense(4), wrapped(BernoulliGate()))


@pytest.mark.parametrize("kind", [GatedResidual, GatedLayer])
@pytest.mark.parametrize(
    "precisions", [("bfloat16", "float32"), ("float32", "bfloat16")]
)
def test_parts_may_have_precisions_of_their_own(kind, precisions):
    whole, part = precisions
    layer = kind(keras.layers.Dense(4, dtype=part), dtype=whole)
    inputs = keras.Input((4,))
    outputs = layer(inputs)
    assert outputs.dtype == whole
    assert keras.Model(inputs, outputs)(np.ones((2, 4), "float32")).dtype == whole


@pytest.mark.parametrize(
    "precisions", [("bfloat16", "float32"), ("float32", "bfloat16")]
)
def test_a_shortcut_may_have_a_precision_of_its_own(precisions):
    whole, part = precisions
    shortcut = keras.layers.Dense(4, dtype=part)
    layer = GatedResidual(keras.layers.Dense(4), shortcut, dtype=whole)
    assert layer(keras.Input((4,))).dtype == whole


def of_two_inputs():
    return keras.layers.Add(), [keras.Input((3,)), keras.Input((3,))]


def of_two_outputs():
    return keras.layers.LSTM(3, return_state=True), keras.Input((5, 3))


@pytest.mark.parametrize("kind", [GatedResidual, GatedLayer])
@pytest.mark.parametrize("make", [of_two_inputs, of_two_outputs])
def test_several_tensors_are_refused(kind, make):
    layer, inputs = make()
    with pytest.raises(TypeError, match="needs one tensor from .*`BernoulliGate`"):
        kind(layer)(inputs)
