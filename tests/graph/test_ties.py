"""Two layers with the same weights are refused; one that is called twice is not."""

import keras
import numpy as np
import pytest
from gated_networks import FEATURES, dense, gate

from keras_layer_prune import GatedModel, gate_sections, strip_gates


class Transposed(keras.layers.Layer):
    """Multiplies by the transposed kernel of another layer."""

    def __init__(self, dense, **kwargs):
        super().__init__(**kwargs)
        self.dense = dense

    def call(self, inputs):
        return keras.ops.matmul(inputs, keras.ops.transpose(self.dense.kernel))


class Noise(keras.layers.Layer):
    def __init__(self, source, **kwargs):
        super().__init__(**kwargs)
        self.source = source

    def call(self, inputs):
        return keras.random.dropout(inputs, 0.5, seed=self.source)


def autoencoder(gated):
    encoder = keras.layers.Dense(FEATURES, use_bias=False, name="encoder")
    inputs = keras.Input((FEATURES,))
    x = encoder(inputs)
    branch = dense("branch")(x)
    x = keras.layers.Add()([x, gate(0.9)(branch) if gated else branch])
    return keras.Model(inputs, Transposed(encoder, name="decoder")(x))


@pytest.mark.parametrize("use", [GatedModel, gate_sections])
def test_tied_layers_are_refused(use):
    with pytest.raises(ValueError, match="`encoder` and `decoder`.*encoder/kernel"):
        use(autoencoder(gated=use is GatedModel))


def tied_by_a_raw_operation(x, encoder):
    return keras.ops.einsum("bi,oi->bo", x, encoder.kernel)


def tied_by_a_function(x, encoder):
    return keras.layers.Lambda(
        lambda h: keras.ops.matmul(h, keras.ops.transpose(encoder.kernel)),
        name="decoder",
    )(x)


@pytest.mark.parametrize("use", [GatedModel, gate_sections])
@pytest.mark.parametrize("decode", [tied_by_a_raw_operation, tied_by_a_function])
def test_weights_outside_of_their_layers_are_refused(decode, use):
    encoder = keras.layers.Dense(FEATURES, use_bias=False, name="encoder")
    inputs = keras.Input((FEATURES,))
    x = encoder(inputs)
    branch = dense("branch")(x)
    x = keras.layers.Add()([x, gate(0.9)(branch) if use is GatedModel else branch])
    network = keras.Model(inputs, decode(x, encoder))
    with pytest.raises(ValueError, match="takes the weight `encoder/kernel` of the"):
        use(network)


class OwnFunction(keras.layers.Layer):
    """A layer whose function sees a part of it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        inner = self.inner = dense("inner")
        self.function = lambda x: inner(x)

    def build(self, shape):
        self.inner.build(shape)

    def call(self, inputs):
        return self.function(inputs)


def test_a_layers_own_function_may_see_its_parts():
    inputs = keras.Input((FEATURES,))
    x = OwnFunction()(inputs)
    x = keras.layers.Add()([x, gate(0.0)(dense()(x))])
    network = keras.Model(inputs, x)
    model = GatedModel(network)
    model.decide(closed=model.gates)
    slim = strip_gates(model.network)
    # Its own part, and not that of the old one.
    (new,) = (layer for layer in slim.layers if isinstance(layer, OwnFunction))
    data = np.ones((2, FEATURES), "float32")
    before = network.predict(data, verbose=0)
    np.testing.assert_allclose(slim.predict(data, verbose=0), before, atol=1e-6)
    new.inner.kernel.assign(keras.ops.zeros_like(new.inner.kernel))
    assert not np.allclose(slim.predict(data, verbose=0), before)
    np.testing.assert_array_equal(network.predict(data, verbose=0), before)


def test_one_layer_may_be_called_twice():
    shared = dense("shared")
    x = inputs = keras.Input((FEATURES,))
    for _ in range(2):
        x = shared(x)
        x = keras.layers.Add()([x, gate(0.9)(dense()(x))])
    assert len(GatedModel(keras.Model(inputs, shared(x))).gates) == 2


def test_layers_may_share_a_source_of_randomness():
    source = keras.random.SeedGenerator(0)
    inputs = keras.Input((FEATURES,))
    x = Noise(source)(Noise(source)(inputs))
    x = keras.layers.Add()([x, gate(0.9)(dense()(x))])
    assert GatedModel(keras.Model(inputs, x)).gates
