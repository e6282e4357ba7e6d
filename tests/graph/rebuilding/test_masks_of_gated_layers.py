"""A layer with a gate has the mask that the network without the gate would have."""

import keras
import numpy as np
import pytest
from gated_networks import gate, kinds_in, model
from masked_sequences import TOKENS, attended, masks_of

import keras_layer_prune as klp
from keras_layer_prune import max_difference, strip_gates

layers = keras.layers

pytestmark = pytest.mark.filterwarnings("ignore:.*does not support masking")


class RawSum(layers.Layer):
    """A block of a user's own, which does not hand on masks."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(4, "tanh")

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, inputs):
        return inputs + self.dense(inputs)


class NoMask(layers.Layer):
    """Takes masks, and hands none on."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        return 1.0 * inputs

    def compute_mask(self, inputs, mask=None):
        return None


class Shifted(NoMask):
    """Makes of each mask another one."""

    def compute_mask(self, inputs, mask=None):
        return None if mask is None else keras.ops.roll(mask, 1, axis=1)


class Attends(layers.Layer):
    """A block of a user's own, which calls attention on what it is called on."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.attention = layers.MultiHeadAttention(2, 2)

    def build(self, input_shape):
        self.attention.build(input_shape, input_shape)

    def call(self, inputs):
        return inputs + self.attention(inputs, inputs)


def convolution():
    return layers.Conv1D(4, 3, padding="same")


def row_that_drops_the_mask():
    return keras.Sequential([layers.Dense(4, "tanh"), convolution()])


def row_that_hands_on_the_mask():
    return keras.Sequential([layers.Dense(4, "tanh"), layers.Dense(4)])


def model_that_hands_on_the_mask():
    inputs = keras.Input((6, 4))
    return keras.Model(inputs, layers.Dense(4, "tanh")(inputs))


def row_that_takes_the_mask_away():
    return keras.Sequential([layers.Dense(4, "tanh"), NoMask()])


def row_that_makes_a_mask():
    return keras.Sequential([layers.Masking(), layers.LSTM(4, return_sequences=True)])


def row_that_shifts_the_mask():
    return keras.Sequential([layers.Dense(4, "tanh"), Shifted()])


def row_with_a_gate():
    return keras.Sequential([klp.GatedLayer(convolution(), gate(1.0))])


SECTIONS = [
    RawSum,
    convolution,
    row_that_drops_the_mask,
    row_that_hands_on_the_mask,
    model_that_hands_on_the_mask,
    row_that_takes_the_mask_away,
    row_that_makes_a_mask,
    row_that_shifts_the_mask,
    row_with_a_gate,
    Attends,
]


def averaged(x):
    return layers.GlobalAveragePooling1D()(x)


def averaged_in_a_model(x):
    inputs = keras.Input((6, 4))
    return keras.Model(inputs, averaged(layers.ReLU()(inputs)))(x)


def network_of(block, reader):
    tokens = keras.Input((6,), dtype="int32")
    x = block(layers.Embedding(10, 4, mask_zero=True)(tokens))
    return model(tokens, [reader(x), layers.ReLU()(x)])


def check_the_same(network, other, x=TOKENS):
    assert max_difference(network, other, x) < 1e-5
    assert masks_of(network, x) == masks_of(other, x)


@pytest.mark.parametrize("reader", [attended, averaged, averaged_in_a_model])
@pytest.mark.parametrize("theta", [0.0, 1.0])
@pytest.mark.parametrize("make", [klp.GatedResidual, klp.GatedLayer])
@pytest.mark.parametrize("section", SECTIONS)
def test_the_mask_is_the_same_with_and_without_the_gate(section, make, theta, reader):
    network = network_of(make(section(), gate=gate(theta)), reader)
    check_the_same(network, strip_gates(network))


@pytest.mark.parametrize("theta", [0.0, 1.0])
@pytest.mark.parametrize("make", [klp.GatedResidual, klp.GatedLayer])
def test_a_section_may_make_a_mask_where_there_was_none(make, theta):
    inputs = keras.Input((6, 4))
    x = make(row_that_makes_a_mask(), gate=gate(theta))(inputs)
    network = model(inputs, [attended(x), averaged(x)])
    x = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
    x[:, 3:] = 0.0
    check_the_same(network, strip_gates(network), x)


@pytest.mark.parametrize("section", SECTIONS)
def test_an_open_layer_has_the_mask_of_the_layer_inside(section):
    layer = section()
    plain = network_of(layer, averaged_in_a_model)
    gated = network_of(klp.GatedLayer(layer, gate(1.0)), averaged_in_a_model)
    assert max_difference(plain, gated, TOKENS) < 1e-5


@pytest.mark.parametrize("theta", [0.0, 1.0])
def test_a_sum_is_masked_where_both_of_its_paths_are(theta):
    section, shortcut = row_that_hands_on_the_mask(), convolution()
    block = klp.GatedResidual(section, shortcut, gate(theta))
    network = network_of(block, attended)
    assert max_difference(network, strip_gates(network), TOKENS) < 1e-5


def test_masks_that_differ_are_joined_as_in_a_sum():
    masked = layers.Masking()
    x = np.array([[[1.0, 2.0], [0.0, 0.0]]], "float32")
    residual = klp.GatedResidual(layers.Identity(), masked, gate(1.0))
    plain = layers.Add()([masked(x), masked(x)])
    mask = residual.compute_mask(x, np.array([[False, True]]))
    assert np.array_equal(mask, [[True, True]])
    np.testing.assert_array_equal(residual(x), plain)


@pytest.mark.parametrize("theta", [0.4, 1.0])
@pytest.mark.parametrize("make", [klp.GatedResidual, klp.GatedLayer])
def test_sections_of_gated_layers_get_masks_that_no_graph_shows(make, theta):
    inputs = keras.Input((6, 4))
    x = inputs + gate(0.0)(layers.Dense(4, "tanh")(inputs))
    section = keras.Model(inputs, layers.LSTM(4, return_sequences=True)(x))
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    network = model(tokens, make(section, gate=gate(theta))(x))
    smaller = klp.remove_closed_sections(network)
    assert max_difference(network, smaller, TOKENS) < 1e-5


def model_of_attention():
    """A model that calls attention on the very tensor that it is called on."""
    inputs = keras.Input((6, 4))
    return keras.Model(inputs, attended(inputs))


def test_a_sum_has_the_mask_that_its_section_takes_away():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    for _ in range(2):
        x = klp.GatedResidual(model_of_attention(), gate=gate(1.0))(x)
    network = model(tokens, attended(x))
    assert max_difference(network, strip_gates(network), TOKENS) < 1e-5


def test_a_section_of_attention_that_gets_no_mask_is_called_on_its_input():
    inputs = keras.Input((6, 4))
    network = model(
        inputs, klp.GatedResidual(model_of_attention(), gate=gate(1.0))(inputs)
    )
    assert "Rescaling" not in kinds_in(strip_gates(network))


@pytest.mark.parametrize("theta", [0.0, 1.0])
def test_a_mask_that_only_the_shortcut_makes_is_none_of_the_sum(theta):
    shortcut = layers.Embedding(10, 4, mask_zero=True)
    tokens = keras.Input((6,), dtype="int32")
    x = klp.GatedResidual(layers.Embedding(10, 4), shortcut, gate(theta))(tokens)
    network = model(tokens, averaged(x))
    assert max_difference(network, strip_gates(network), TOKENS) < 1e-5


def test_a_shorter_sequence_does_not_get_the_mask_of_the_longer_one():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(inputs)
    x = klp.GatedResidual(layers.Conv1D(8, 3, 2, "same"), gate=gate(0.0))(x)
    network = model(inputs, layers.GlobalAveragePooling1D()(x))
    assert max_difference(network, strip_gates(network), TOKENS) < 1e-5
