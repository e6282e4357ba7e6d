"""Layers behind a removed section see the mask that they saw before."""

import keras
import numpy as np
import pytest
from gated_networks import gate, model, names_in

import keras_layer_prune as klp
from keras_layer_prune import max_difference, strip_gates

layers = keras.layers
TOKENS = np.array([[1, 2, 3, 0, 0, 0], [4, 0, 0, 0, 0, 0], [5, 6, 7, 8, 9, 1]])


def network_of(branch_of, add, theta):
    """A network whose last layer averages over the steps that are not masked."""
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(inputs)
    x = add(x, gate(theta)(branch_of(x)))
    return model(inputs, layers.GlobalAveragePooling1D()(layers.Dense(4)(x)))


def with_mask(x):
    return layers.Dense(4, "tanh", name="section")(x)


def without_mask(x):
    return keras.ops.tanh(layers.Dense(4, name="section")(x))


def layer_add(x, branch):
    return layers.Add()([branch, x])


def raw_add(x, branch):
    return x + branch


@pytest.mark.filterwarnings("ignore:.*does not support masking")
@pytest.mark.parametrize("theta", [0.0, 1.0])
@pytest.mark.parametrize("branch_of", [with_mask, without_mask])
@pytest.mark.parametrize("add", [layer_add, raw_add])
def test_sums_pass_on_the_mask_that_they_passed_on_before(branch_of, add, theta):
    network = network_of(branch_of, add, theta)
    slim = strip_gates(network)
    assert max_difference(network, slim, TOKENS) < 1e-5
    assert ("section" in names_in(slim)) == (theta == 1.0)


@pytest.mark.parametrize("length", [6, None])
def test_sequences_may_be_of_any_length(length):
    inputs = keras.Input((length,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(inputs)
    x = x + gate(0.0)(layers.Dense(4, name="section")(x))
    network = model(inputs, layers.GlobalAveragePooling1D()(layers.Dense(4)(x)))
    slim = strip_gates(network)
    assert max_difference(network, slim, TOKENS) < 1e-5
    assert "section" not in names_in(slim)


@pytest.mark.filterwarnings("ignore:.*does not support masking")
def test_a_shorter_sequence_does_not_get_the_mask_of_the_longer_one():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(inputs)
    x = klp.GatedResidual(layers.Conv1D(8, 3, 2, "same"), gate=gate(0.0))(x)
    network = model(inputs, layers.GlobalAveragePooling1D()(x))
    assert max_difference(network, strip_gates(network), TOKENS) < 1e-5
