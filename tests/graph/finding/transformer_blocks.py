"""Blocks and backbones that behave like KerasHub's, as far as graphs are concerned."""

import keras
import numpy as np
from keras import ops

WIDTH = 8
layers = keras.layers


def moved(network):
    """The network with random weights, small enough for attention to choose."""
    generator = np.random.default_rng(0)
    for weight in network.weights:
        if "seed" not in weight.path:
            weight.assign(generator.normal(0.0, 0.3, weight.shape))
    return network


@keras.saving.register_keras_serializable("tests")
class Encoder(layers.Layer):
    """Attention and feed-forward, each with its residual connection inside."""

    def __init__(self, heads=2, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads
        self.supports_masking = True

    def build(self, inputs_shape):
        width, policy = inputs_shape[-1], {"dtype": self.dtype_policy}
        self.attention = layers.MultiHeadAttention(
            self.heads, width, name="attention", **policy
        )
        self.attention.build(inputs_shape, inputs_shape)
        self.norm = layers.LayerNormalization(name="norm", **policy)
        self.norm.build(inputs_shape)
        self.wide = layers.Dense(2 * width, "gelu", name="wide", **policy)
        self.wide.build(inputs_shape)
        self.narrow = layers.Dense(width, name="narrow", **policy)
        self.narrow.build((*inputs_shape[:-1], 2 * width))
        self.built = True

    def call(self, inputs, padding_mask=None, training=None):
        mask = None if padding_mask is None else ops.expand_dims(padding_mask, 1)
        x = inputs + self.attention(
            inputs, inputs, attention_mask=mask, training=training
        )
        return x + self.narrow(self.wide(self.norm(x)))

    def compute_output_shape(self, inputs_shape):
        return inputs_shape

    def get_config(self):
        return {**super().get_config(), "heads": self.heads}


@keras.saving.register_keras_serializable("tests")
class Decoder(Encoder):
    """Its first argument has a name of its own, and `build` takes two shapes."""

    def build(self, decoder_sequence_shape, encoder_sequence_shape=None):
        super().build(decoder_sequence_shape)

    def call(self, decoder_sequence, encoder_sequence=None, decoder_padding_mask=None):
        return super().call(decoder_sequence, decoder_padding_mask)

    def compute_output_shape(self, decoder_sequence_shape):
        return decoder_sequence_shape


@keras.saving.register_keras_serializable("tests")
class Backbone(keras.Model):
    """A functional model that is made again from its sizes, depth included."""

    def __init__(self, depth=4, block="Encoder", **kwargs):
        tokens = keras.Input((None,), dtype="int32", name="token_ids")
        mask = keras.Input((None,), dtype="int32", name="padding_mask")
        x = layers.Embedding(20, WIDTH, name="embedding")(tokens)
        for i in range(depth):
            name = f"block_{i}"
            if block == "Encoder":
                x = Encoder(name=name)(x, padding_mask=mask)
            else:
                x = Decoder(name=name)(x, decoder_padding_mask=mask)
        pooled = layers.Dense(3, activation="tanh", name="pooled")(x[:, 0, :])
        super().__init__(
            inputs={"token_ids": tokens, "padding_mask": mask},
            outputs={"sequence": x, "pooled": pooled},
            **kwargs,
        )
        self.depth = depth
        self.block = block

    def get_config(self):
        return {"depth": self.depth, "block": self.block, "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
