"""A gate around a layer that keeps its input's shape: `GatedLayer`."""

import keras
import tensorflow as tf

from keras_layer_prune import _keras_private as private
from keras_layer_prune._checks import checked_config
from keras_layer_prune.layers._configs import take_part
from keras_layer_prune.layers._parts import (
    build_part,
    check_single,
    checked_gate,
    checked_section,
    mask_after,
    mask_behind,
    may_be_equal,
    traced_spec,
)


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
        Same as the input. It has a mask where the output of `layer` has one.

    Raises:
        TypeError: If `layer` returns several tensors, or its first argument is several.
        ValueError: If `layer` changes the shape, or holds a gate that no graph would
            show.

    Example:

    >>> x = inputs = keras.Input((16,))
    >>> x = keras_layer_prune.GatedLayer(keras.layers.Dense(16))(x)
    >>> network = keras.Model(inputs, x)
    """

    def __init__(self, layer, gate=None, **kwargs):
        super().__init__(**kwargs)
        self.layer = checked_section("layer", layer)
        self.gate = checked_gate(gate)
        self.supports_masking = True

    def build(self, input_shape):
        """Build the layer and its gate."""
        check_single(self, "its first argument", input_shape)
        build_part(self.layer, input_shape)
        build_part(self.gate, input_shape)
        self.built = True

    def call(self, inputs, *args, **kwargs):
        """Add what the layer changes, as far as the gate is open."""
        # A layer may take the mask away from what it is called on.
        kept = private.mask_of(inputs)
        outputs = self.layer(inputs, *args, **kwargs)
        check_single(self, f"`{self.layer.name}`", outputs)
        if not may_be_equal(outputs.shape, inputs.shape):
            raise ValueError(
                f"`{self.name}` needs a layer that keeps its input's shape, so that "
                f"it can be left out. `{self.layer.name}` maps {tuple(inputs.shape)} "
                f"to {tuple(outputs.shape)}. Use `GatedResidual` with a `shortcut` "
                "layer that makes the same change of shape."
            )
        # The layer and the gate may have precisions of their own.
        change = self.gate(tf.cast(outputs, inputs.dtype) - inputs)
        result = inputs + tf.cast(change, inputs.dtype)
        mask = mask_behind(self.gate, private.mask_of(outputs), kept)
        return private.with_mask(result, mask)

    def compute_mask(self, inputs, mask=None):
        """The mask of the layer's output."""
        return mask_after(self.layer, inputs, mask)

    def compute_output_shape(self, input_shape):
        """Shape of the output for a shape of the input."""
        return input_shape

    def compute_output_spec(self, *args, **kwargs):
        """Trace the call, which builds and checks what is inside."""
        return traced_spec(self, args, kwargs)

    def get_config(self):
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "layer": keras.saving.serialize_keras_object(self.layer),
            "gate": keras.saving.serialize_keras_object(self.gate),
        }

    @classmethod
    def from_config(cls, config):
        """An object from the config of another one."""
        config = checked_config(config)
        layer, gate = (take_part(config, part) for part in ("layer", "gate"))
        return cls(layer, gate, **config)
