"""Layers that hand on the very tensor they get: attention behind them unmasks that."""

import keras
import numpy as np
import pytest
from gated_networks import gate, model
from masked_sequences import TOKENS, attended, masks_of

import keras_layer_prune as klp
from keras_layer_prune import max_difference, strip_gates

layers = keras.layers
ROWS = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")

pytestmark = pytest.mark.filterwarnings("ignore:.*does not support masking")


def without_its_branch(x):
    return layers.Add()([x, gate(0.0)(layers.Dense(4, "tanh")(x))])


def model_of_nothing():
    inputs = keras.Input((6, 4))
    return keras.Model(inputs, without_its_branch(inputs))


def row_of_nothing():
    return keras.Sequential([klp.GatedResidual(layers.Dense(4), gate=gate(0.0))])


def open_layer_of_nothing():
    return klp.GatedLayer(model_of_nothing(), gate(1.0))


HAND_ON = {
    "Dropout": lambda: layers.Dropout(0.1),
    "SpatialDropout1D": lambda: layers.SpatialDropout1D(0.1),
    "AlphaDropout": lambda: layers.AlphaDropout(0.1),
    "GaussianDropout": lambda: layers.GaussianDropout(0.1),
    "GaussianNoise": lambda: layers.GaussianNoise(0.1),
    "ActivityRegularization": lambda: layers.ActivityRegularization(l2=0.1),
    "Identity": layers.Identity,
    "Activation": lambda: layers.Activation("linear"),
}
HOLLOW = [model_of_nothing, row_of_nothing, open_layer_of_nothing]


OF_IMAGES = {
    "SpatialDropout2D": lambda: layers.SpatialDropout2D(0.1),
    "SpatialDropout3D": lambda: layers.SpatialDropout3D(0.1),
}


@pytest.mark.parametrize("make", [*HAND_ON.values(), *OF_IMAGES.values()])
def test_such_a_layer_returns_its_very_input(make):
    layer = make()
    axes = layer.input_spec.ndim if layer.input_spec else 3
    x = keras.ops.ones((2,) * axes)
    assert layer(x) is x


@pytest.mark.parametrize("name", HAND_ON)
def test_attention_behind_it_leaves_the_mask_of_what_its_operand_has_become(name):
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    y = attended(HAND_ON[name]()(without_its_branch(x)))
    network = model(tokens, attended(layers.Subtract()([x, y])))
    assert max_difference(network, strip_gates(network), TOKENS) < 1e-5


@pytest.mark.parametrize("make", HOLLOW)
def test_so_does_attention_behind_a_model_of_which_nothing_is_left(make):
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    y = attended(make()(without_its_branch(x)))
    network = model(tokens, attended(layers.Subtract()([x, y])))
    assert max_difference(network, strip_gates(network), TOKENS) < 1e-5


@pytest.mark.parametrize("name", ["Dropout", "Identity"])
def test_what_attention_that_left_had_unmasked_behind_it_stays_unmasked(name):
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    y = HAND_ON[name]()(x)
    y = layers.Add()([y, gate(0.0)(attended(y))])
    network = model(tokens, [attended(x), layers.ReLU()(y)])
    slim = strip_gates(network)
    assert max_difference(network, slim, TOKENS) < 1e-5
    assert masks_of(network, TOKENS) == masks_of(slim, TOKENS)


def sum_of_layers(x, branch):
    return layers.Add()([x, branch])


def raw_sum(x, branch):
    return x + branch


@pytest.mark.parametrize("add", [sum_of_layers, raw_sum])
def test_a_mask_may_be_an_argument_of_a_nested_model(add):
    inputs = keras.Input((6, 4))
    branch = layers.Conv1D(4, 3, padding="same")(inputs)
    block = keras.Model(inputs, add(inputs, gate(0.0)(branch)))
    x, mask = keras.Input((6, 4)), keras.Input((6,), dtype="bool")
    y = layers.GlobalAveragePooling1D()(block(x, mask=mask))
    network = model([x, mask], y)
    assert max_difference(network, strip_gates(network), [ROWS, TOKENS > 0]) < 1e-5
