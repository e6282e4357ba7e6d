"""Two layers with the same weights are refused; one that is called twice is not."""

import types

import keras
import numpy as np
import pytest
from gated_networks import FEATURES, dense, gate

from keras_layer_prune import GatedModel, gate_sections, strip_gates
from keras_layer_prune.graph.gates import find_gates


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


scale = None


def decodes_with_a_global(x):
    return keras.layers.Lambda(lambda h: h * scale.gamma, name="decoder")(x)


def decodes_inside_another_function(x):
    def decode(h):
        return [part * scale.gamma for part in (h,)][0]

    return keras.layers.Lambda(decode, name="decoder")(x)


def names_an_attribute_alike(x):
    options = types.SimpleNamespace(scale=1.0)
    return keras.layers.Lambda(lambda h: h * options.scale, name="decoder")(x)


def after_a_scale(decode):
    x = inputs = keras.Input((FEATURES,))
    x = scale(x)
    return keras.Model(inputs, decode(keras.layers.Add()([x, dense()(x)])))


@pytest.mark.parametrize(
    "decode", [decodes_with_a_global, decodes_inside_another_function]
)
def test_weights_of_a_global_layer_are_refused(decode, monkeypatch):
    layer = keras.layers.BatchNormalization(name="scale")
    monkeypatch.setitem(globals(), "scale", layer)
    with pytest.raises(ValueError, match="`decoder` takes the weight `scale/gamma`"):
        gate_sections(after_a_scale(decode))


def test_an_attribute_may_be_named_as_a_global_layer_is(monkeypatch):
    layer = keras.layers.BatchNormalization(name="scale")
    monkeypatch.setitem(globals(), "scale", layer)
    assert find_gates(gate_sections(after_a_scale(names_an_attribute_alike)))


def test_a_function_may_see_what_is_never_assigned():
    def never_asks(h):
        return missing if h is None else h

    if False:
        missing = None
    x = inputs = keras.Input((FEATURES,))
    x = keras.layers.Lambda(never_asks, output_shape=(FEATURES,))(x)
    x = keras.layers.Add()([x, dense()(x)])
    assert find_gates(gate_sections(keras.Model(inputs, x)))


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
