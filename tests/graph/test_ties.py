"""Two layers with the same weights are refused; one that is called twice is not."""

import keras
import pytest
from gated_networks import FEATURES, dense, gate

from keras_layer_prune import GatedModel, gate_sections


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
