"""A residual section with its gate in one layer: `GatedResidual`."""

import keras
import tensorflow as tf

from keras_layer_prune import _keras_private as private
from keras_layer_prune._checks import checked_config
from keras_layer_prune.layers._configs import take_part
from keras_layer_prune.layers._parts import (
    build_part,
    check_single,
    checked_gate,
    checked_layer,
    checked_section,
    holds_gate,
    joint_mask,
    mask_after,
    mask_behind,
    may_be_equal,
    traced_spec,
)
from keras_layer_prune.layers.linear_shortcut import linear_shortcut


@keras.saving.register_keras_serializable("keras_layer_prune")
class GatedResidual(keras.layers.Layer):
    """`shortcut(x) + gate(section(x))` as one layer, for chains of layers.

    In a functional graph a `BernoulliGate` before the addition does the same. This
    layer is for `keras.Sequential`, and for giving a chain without residual
    connections (LeNet, VGG) the shortcuts that let its sections go. Where a section
    changes the shape, a linear shortcut is made when the layer is built: a crop or an
    average over places for another resolution, a matrix for another number of
    channels.

    Source: arXiv 2406.04549.

    Args:
        section: Layer or model, the nonlinear part that may be removed.
        shortcut: Layer that maps the input to the section's output shape, linear
            for the section to be removable without a trace. None: the input itself,
            or a linear layer that is made where the shapes differ.
        gate: `BernoulliGate`. None: one with the defaults.

    Input shape:
        That of the one tensor that `section` takes.

    Output shape:
        That of the one tensor that `section` returns. It has a mask where both paths
        do, as `keras.layers.Add` would give it.

    Attributes:
        shortcut: The layer that was given or made, or None.

    Raises:
        TypeError: If `section` takes or returns several tensors.
        ValueError: If the shapes of the two paths differ, no linear shortcut can be
            made between them, the one that is given holds a gate, or `section` holds
            one that no graph would show.

    Example:

    >>> network = keras.Sequential([
    ...     keras.Input((16,)),
    ...     keras_layer_prune.GatedResidual(keras.layers.Dense(16, "relu")),
    ...     keras_layer_prune.GatedResidual(keras.layers.Dense(8, "relu")),
    ...     keras.layers.Dense(10),
    ... ])
    """

    def __init__(self, section, shortcut=None, gate=None, **kwargs):
        super().__init__(**kwargs)
        self.section = checked_section("section", section)
        self.gate = checked_gate(gate)
        # Last, so that the variables of a copy, which is given the shortcut that was
        # made here, come in the same order.
        self.shortcut = None if shortcut is None else _checked_shortcut(shortcut)
        self.supports_masking = True

    def build(self, input_shape):
        """Build both paths and the gate; make the shortcut that a shape calls for."""
        check_single(self, "its input", input_shape)
        build_part(self.section, input_shape)
        build_part(self.gate, input_shape)
        if self.shortcut is None:
            self.shortcut = self._made_shortcut(input_shape)
        else:
            build_part(self.shortcut, input_shape)
        self.built = True

    def _made_shortcut(self, input_shape):
        """A linear layer, or None where the input can be added as it is."""
        output_shape = self._section_shape(input_shape)
        if may_be_equal(input_shape[1:], output_shape[1:]):
            return None
        shortcut = linear_shortcut(
            self.section, input_shape, output_shape, self.name, self.dtype_policy
        )
        shortcut.trainable = self.trainable
        # Eager calls build with the size of their batch.
        shortcut.build((None, *input_shape[1:]))
        return shortcut

    def _section_shape(self, input_shape):
        inputs = keras.KerasTensor(input_shape, dtype=self.compute_dtype)
        outputs = self.section.compute_output_spec(inputs)
        check_single(self, f"`{self.section.name}`", outputs)
        return outputs.shape

    def call(self, inputs):
        """Add the section to the shortcut, as far as the gate is open."""
        kept = inputs if self.shortcut is None else self.shortcut(inputs)
        # A section may take the mask away from what it is called on.
        mask_kept = private.mask_of(kept)
        branch = self.section(inputs)
        check_single(self, f"`{self.section.name}`", branch)
        if not may_be_equal(kept.shape, branch.shape):
            raise ValueError(
                f"The two paths of `{self.name}` cannot be added: the section "
                f"`{self.section.name}` maps {tuple(inputs.shape)} to "
                f"{tuple(branch.shape)}, the shortcut to {tuple(kept.shape)}. Give a "
                "`shortcut` layer that maps to the section's output shape, or make the "
                "section keep its shape."
            )
        # Parts may have precisions of their own.
        dtype = self.compute_dtype
        result = tf.cast(kept, dtype) + tf.cast(self.gate(branch), dtype)
        mask = joint_mask([mask_kept, private.mask_of(branch)])
        return private.with_mask(result, mask_behind(self.gate, mask, mask_kept))

    def compute_mask(self, inputs, mask=None):
        """The mask of the sum: none, unless both paths have one."""
        is_same = self.shortcut is None
        kept = mask if is_same else mask_after(self.shortcut, inputs, mask)
        return joint_mask([kept, mask_after(self.section, inputs, mask)])

    def compute_output_shape(self, input_shape):
        """Shape of the output for a shape of the input."""
        if self.shortcut is not None:
            return self.shortcut.compute_output_shape(input_shape)
        output_shape = self._section_shape(input_shape)
        is_kept = may_be_equal(input_shape[1:], output_shape[1:])
        return input_shape if is_kept else output_shape

    def compute_output_spec(self, *args, **kwargs):
        """Trace the call, which builds and checks what is inside."""
        return traced_spec(self, args, kwargs)

    def get_config(self):
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "section": keras.saving.serialize_keras_object(self.section),
            "shortcut": keras.saving.serialize_keras_object(self.shortcut),
            "gate": keras.saving.serialize_keras_object(self.gate),
        }

    @classmethod
    def from_config(cls, config):
        """An object from the config of another one."""
        config = checked_config(config)
        section, shortcut, gate = (
            take_part(config, part) for part in ("section", "shortcut", "gate")
        )
        return cls(section, shortcut, gate, **config)


def _checked_shortcut(shortcut):
    """Return `shortcut`, or raise if it is not a Keras layer without gates."""
    if holds_gate(checked_layer("shortcut", shortcut)):
        raise ValueError(
            "`shortcut` holds a `BernoulliGate`, which could cut the output off from "
            f"the input. Received: shortcut={shortcut!r}. To give the section a gate "
            "of your own, write `GatedResidual(section, gate=gate)`."
        )
    return shortcut
