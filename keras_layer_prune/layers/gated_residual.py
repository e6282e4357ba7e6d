"""A residual section with its gate in one layer: `GatedResidual`."""

import inspect

import keras
import tensorflow as tf

from keras_layer_prune.layers._configs import take_part
from keras_layer_prune.layers.bernoulli_gate import BernoulliGate
from keras_layer_prune.variational._checks import checked_config


@keras.saving.register_keras_serializable("keras_layer_prune")
class GatedResidual(keras.layers.Layer):
    """`shortcut(x) + gate(section(x))` as one layer, for chains of layers.

    In a functional graph a `BernoulliGate` before the addition does the same. This
    layer is for `keras.Sequential`, and for giving a chain without residual
    connections (LeNet, VGG) the shortcuts that let its sections go.

    Source: arXiv 2406.04549.

    Args:
        section: Layer or model, the nonlinear part that may be removed.
        shortcut: Layer that maps the input to the section's output shape, linear
            for the section to be removable without a trace. None: the input itself.
        gate: `BernoulliGate`. None: one with the defaults.

    Input shape:
        Whatever `section` takes.

    Output shape:
        Whatever `section` returns.

    Raises:
        ValueError: If the shapes of the two paths differ.

    Example:

    >>> network = keras.Sequential([
    ...     keras.Input((16,)),
    ...     keras_layer_prune.GatedResidual(keras.layers.Dense(16, "relu")),
    ...     keras.layers.Dense(10),
    ... ])
    """

    def __init__(self, section, shortcut=None, gate=None, **kwargs):
        super().__init__(**kwargs)
        self.section = checked_layer("section", section)
        self.shortcut = (
            None if shortcut is None else checked_layer("shortcut", shortcut)
        )
        self.gate = checked_gate(gate)
        self.supports_masking = True

    def build(self, input_shape):
        """Build both paths and the gate."""
        for part in (self.section, self.shortcut, self.gate):
            if part is not None:
                build_part(part, input_shape)
        self.built = True

    def call(self, inputs):
        """Add the section to the shortcut, as far as the gate is open."""
        kept = inputs if self.shortcut is None else self.shortcut(inputs)
        branch = self.section(inputs)
        if not may_be_equal(kept.shape, branch.shape):
            raise ValueError(
                f"The two paths of `{self.name}` cannot be added: the section "
                f"`{self.section.name}` maps {tuple(inputs.shape)} to "
                f"{tuple(branch.shape)}, the shortcut to {tuple(kept.shape)}. Give a "
                "`shortcut` layer that maps to the section's output shape, or make the "
                "section keep its shape."
            )
        return kept + self.gate(branch)

    def compute_output_shape(self, input_shape):
        """Shape of the output for a shape of the input."""
        if self.shortcut is None:
            return input_shape
        return self.shortcut.compute_output_shape(input_shape)

    def compute_output_spec(self, *args, **kwargs):
        """Trace the call, which builds and checks what is inside."""
        return keras.Operation.compute_output_spec(self, *args, **kwargs)

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


def checked_layer(name, layer):
    """Return `layer`, or raise if it is not a Keras layer."""
    if not isinstance(layer, keras.layers.Layer):
        raise TypeError(
            f"`{name}` must be a Keras layer or model. Received: {name}={layer!r}"
        )
    return layer


def checked_gate(gate):
    """Return `gate`, a fresh one for None, or raise if it is not a gate."""
    if gate is None:
        return BernoulliGate()
    if not isinstance(gate, BernoulliGate):
        raise TypeError(f"`gate` must be a `BernoulliGate`. Received: gate={gate!r}")
    return gate


def build_part(layer, input_shape):
    """Build a layer inside another one, if the shape of one input is enough for it.

    Others are built when the call is traced: layers without a `build` of their own,
    which Keras would take for built, and layers of several inputs.
    """
    has_own_build = type(layer).build is not keras.layers.Layer.build
    number_of_shapes = len(inspect.signature(layer.build).parameters)
    # A layer that comes out of a saved file is built already.
    if not layer.built and has_own_build and number_of_shapes == 1:
        layer.build(input_shape)


def may_be_equal(shape, other_shape) -> bool:
    """Whether two shapes are equal as far as they are known."""
    return tf.TensorShape(shape).is_compatible_with(other_shape)
