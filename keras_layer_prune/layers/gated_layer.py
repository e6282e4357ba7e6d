"""A gate around a layer that keeps its input's shape: `GatedLayer`."""

import keras

from keras_layer_prune.layers.gated_residual import checked_gate, checked_layer


@keras.saving.register_keras_serializable("keras_layer_prune")
class GatedLayer(keras.layers.Layer):
    """`x + xi * (layer(x) - x)`: the layer, or nothing at all.

    For blocks that hold their residual connections inside, such as transformer
    blocks: a closed gate turns the whole block into the identity.

    Source: the idea of arXiv 2406.04549, applied to what a block changes.

    Args:
        layer: Layer or model whose output has the shape of its first argument.
        gate: `BernoulliGate`. None: one with the defaults.

    Input shape:
        Whatever `layer` takes. Further arguments, such as masks, are passed on.

    Output shape:
        Same as the input.

    Raises:
        ValueError: If `layer` changes the shape.

    Example:

    >>> x = inputs = keras.Input((16,))
    >>> x = keras_layer_prune.GatedLayer(keras.layers.Dense(16))(x)
    >>> network = keras.Model(inputs, x)
    """

    def __init__(self, layer, gate=None, **kwargs):
        super().__init__(**kwargs)
        self.layer = checked_layer("layer", layer)
        self.gate = checked_gate(gate)
        self.supports_masking = True

    def build(self, input_shape):
        # A layer that comes out of a saved file is built already.
        if not self.layer.built:
            self.layer.build(input_shape)
        if not self.gate.built:
            self.gate.build(input_shape)
        self.built = True

    def call(self, inputs, *args, **kwargs):
        outputs = self.layer(inputs, *args, **kwargs)
        if tuple(outputs.shape) != tuple(inputs.shape):
            raise ValueError(
                f"`{self.name}` needs a layer that keeps its input's shape, so that "
                f"it can be left out. `{self.layer.name}` maps {tuple(inputs.shape)} "
                f"to {tuple(outputs.shape)}. Use `GatedResidual` with a `shortcut` "
                "layer that makes the same change of shape."
            )
        return inputs + self.gate(outputs - inputs)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "layer": keras.saving.serialize_keras_object(self.layer),
            "gate": keras.saving.serialize_keras_object(self.gate),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        layer = keras.saving.deserialize_keras_object(config.pop("layer"))
        gate = keras.saving.deserialize_keras_object(config.pop("gate"))
        return cls(layer, gate, **config)
