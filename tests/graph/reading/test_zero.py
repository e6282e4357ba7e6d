"""Which operations keep zeros: what is claimed, against what they do."""

import keras
import numpy as np
import pytest
from gated_networks import randomized

import keras_layer_prune as klp
from keras_layer_prune.graph.reading.operations import (
    is_addition,
    is_product,
    is_rectifier,
)
from keras_layer_prune.graph.reading.zero import maps_zero_to_zero
from keras_layer_prune.layers.seam import Seam

layers = keras.layers
SEQUENCE, IMAGE = (6, 4), (6, 6, 4)

KEEP_ZERO = [
    (layers.Flatten(), IMAGE),
    (layers.Reshape((36, 4)), IMAGE),
    (layers.Permute((2, 1)), SEQUENCE),
    (layers.Cropping2D(1), IMAGE),
    (layers.ZeroPadding2D(1), IMAGE),
    (layers.UpSampling2D(2, interpolation="bilinear"), IMAGE),
    (layers.AveragePooling2D(2), IMAGE),
    (layers.AdaptiveAveragePooling1D(4), SEQUENCE),
    (layers.AdaptiveAveragePooling2D(4), IMAGE),
    (layers.AdaptiveAveragePooling3D(4), (6, 6, 6, 2)),
    (layers.MaxPooling2D(4, padding="same"), IMAGE),
    (layers.GlobalAveragePooling2D(), IMAGE),
    (layers.GlobalMaxPooling1D(), SEQUENCE),
    (layers.Dropout(0.5), SEQUENCE),
    (layers.SpatialDropout2D(0.5), IMAGE),
    (layers.GaussianDropout(0.5), SEQUENCE),
    (layers.LeakyReLU(), SEQUENCE),
    (layers.PReLU(), SEQUENCE),
    (layers.ELU(), SEQUENCE),
    (layers.ReLU(max_value=6.0, negative_slope=0.1), SEQUENCE),
    (layers.Activation("relu"), SEQUENCE),
    (layers.Activation("gelu"), SEQUENCE),
    (layers.Activation("silu"), SEQUENCE),
    (layers.Activation("tanh"), SEQUENCE),
    (layers.Rescaling(2.0), SEQUENCE),
    (layers.Dense(3, "tanh", use_bias=False), SEQUENCE),
    (layers.Conv1D(3, 2, use_bias=False), SEQUENCE),
    (layers.Conv2D(3, 2, use_bias=False, activation="relu"), IMAGE),
    (layers.DepthwiseConv2D(2, use_bias=False), IMAGE),
    (layers.SeparableConv2D(3, 2, use_bias=False), IMAGE),
    (layers.Conv2DTranspose(3, 2, use_bias=False), IMAGE),
    (layers.EinsumDense("abc,cd->abd", output_shape=(None, 3)), SEQUENCE),
    (klp.BernoulliGate(), SEQUENCE),
    (Seam(), SEQUENCE),
]
DO_NOT_KEEP_ZERO = [
    (layers.Dense(3), SEQUENCE),
    (layers.Dense(3, "sigmoid", use_bias=False), SEQUENCE),
    (layers.Dense(3, layers.Softmax(), use_bias=False), SEQUENCE),
    (layers.Conv2D(3, 2), IMAGE),
    (layers.EinsumDense("abc,cd->abd", (None, 3), bias_axes="d"), SEQUENCE),
    (layers.BatchNormalization(), SEQUENCE),
    (layers.LayerNormalization(), SEQUENCE),
    (layers.Rescaling(2.0, offset=1.0), SEQUENCE),
    (layers.Rescaling(2.0, offset=[0.0, 0.0, 0.0, 1.0]), SEQUENCE),
    (layers.Activation("sigmoid"), SEQUENCE),
    (layers.Activation("exponential"), SEQUENCE),
    (layers.Softmax(), SEQUENCE),
    (layers.ReLU(threshold=1.0, negative_slope=0.5), SEQUENCE),
]


def outputs_for_zeros(layer, shape, training):
    network = keras.Sequential([keras.Input(shape), layer])
    randomized(network)
    return np.asarray(network(np.zeros((2, *shape), "float32"), training=training))


def describe(value):
    return value.name if isinstance(value, layers.Layer) else ""


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("layer", "shape"), KEEP_ZERO, ids=describe)
def test_layers_that_are_said_to_keep_zeros_do(layer, shape, training):
    outputs = outputs_for_zeros(layer, shape, training)
    assert maps_zero_to_zero(layer)
    np.testing.assert_array_equal(outputs, 0.0)


@pytest.mark.parametrize(("layer", "shape"), DO_NOT_KEEP_ZERO, ids=describe)
def test_layers_that_make_something_of_zeros_are_not_said_to_keep_them(layer, shape):
    outputs = outputs_for_zeros(layer, shape, training=False)
    assert np.any(outputs != 0.0)
    assert not maps_zero_to_zero(layer)


def test_a_custom_layer_is_not_trusted_whatever_its_name():
    class Dropout(keras.layers.Dropout):
        def call(self, inputs, training=False):
            return inputs + 1.0

    layer = Dropout(0.5)
    layer.build((None, 3))
    assert not maps_zero_to_zero(layer)


def test_a_custom_activation_is_not_trusted_whatever_its_name():
    def relu(x):
        return keras.ops.relu(x) + 1.0

    assert not maps_zero_to_zero(layers.Activation(relu))
    assert maps_zero_to_zero(layers.Activation(keras.activations.relu))


def operation_behind(tensor):
    return tensor._keras_history.operation


MOVES = {
    "swapaxes": lambda x: keras.ops.swapaxes(x, 1, 2),
    "moveaxis": lambda x: keras.ops.moveaxis(x, 1, 2),
    "flip": lambda x: keras.ops.flip(x, axis=1),
    "roll": lambda x: keras.ops.roll(x, 1, axis=1),
    "tile": lambda x: keras.ops.tile(x, (1, 2, 1)),
    "repeat": lambda x: keras.ops.repeat(x, 2, axis=1),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_raw_operations_that_move_values_or_copy_them_keep_zeros(move):
    x = inputs = keras.Input((4, 4))
    closed = klp.BernoulliGate(initial_probability=0.0)(layers.Dense(4, "relu")(x))
    moved = move(closed)
    network = keras.Model(inputs, [move(x) + moved, moved])
    assert maps_zero_to_zero(operation_behind(moved))
    slim = klp.strip_gates(network)
    assert slim.count_params() == 0
    assert klp.max_difference(network, slim) == 0.0


def test_additions_and_products_are_known_as_layers_and_as_raw_operations():
    x, y = keras.Input((3,)), keras.Input((3,))
    assert is_addition(layers.Add())
    assert is_addition(operation_behind(x + y))
    assert is_product(layers.Multiply())
    assert is_product(operation_behind(x * y))
    for other in (layers.Subtract(), layers.Average(), operation_behind(x - y)):
        assert not is_addition(other)
        assert not is_product(other)


RECTIFIERS = [layers.ReLU(), layers.Activation("relu")]
OTHERS = [
    layers.ReLU(max_value=6.0),
    layers.ReLU(negative_slope=0.1),
    layers.ReLU(threshold=1.0),
    layers.LeakyReLU(),
    layers.Activation("gelu"),
]


@pytest.mark.parametrize("layer", RECTIFIERS + OTHERS, ids=describe)
def test_a_rectifier_is_known_by_cutting_negative_values_and_nothing_else(layer):
    x = np.linspace(-8.0, 8.0, 33).astype("float32")
    cuts_only = np.array_equal(layer(x), np.maximum(x, 0.0))
    assert is_rectifier(layer) == cuts_only


def test_raw_rectifiers_are_known():
    assert is_rectifier(operation_behind(keras.ops.relu(keras.Input((3,)))))
