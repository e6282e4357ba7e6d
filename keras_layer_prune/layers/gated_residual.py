"""A residual section with its gate in one layer: `GatedResidual`."""

import keras

from keras_layer_prune.layers.bernoulli_gate import BernoulliGate


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
        self.shortcut = None if shortcut is None else checked_layer("shortcut", shortcut)
        self.gate = checked_gate(gate)
        self.supports_masking = True

    def build(self, input_shape):
        # Layers that come out of a saved file are built already.
        for layer in (self.section, self.shortcut):
            if layer is not None and not layer.built:
                layer.build(input_shape)
        branch_shape = tuple(self.section.compute_output_shape(input_shape))
        kept_shape = self._shortcut_shape(input_shape)
        if branch_shape != kept_shape:
            raise ValueError(
                f"The two paths of `{self.name}` cannot be added: the section "
                f"`{self.section.name}` maps {tuple(input_shape)} to {branch_shape}, "
                f"the shortcut to {kept_shape}. Give a `shortcut` layer that maps to "
                "the section's output shape, or make the section keep its shape."
            )
        if not self.gate.built:
            self.gate.build(branch_shape)
        self.built = True

    def _shortcut_shape(self, input_shape):
        if self.shortcut is None:
            return tuple(input_shape)
        return tuple(self.shortcut.compute_output_shape(input_shape))

    def call(self, inputs):
        kept = inputs if self.shortcut is None else self.shortcut(inputs)
        return kept + self.gate(self.section(inputs))

    def compute_output_shape(self, input_shape):
        return self._shortcut_shape(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "section": keras.saving.serialize_keras_object(self.section),
            "shortcut": keras.saving.serialize_keras_object(self.shortcut),
            "gate": keras.saving.serialize_keras_object(self.gate),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        section, shortcut, gate = (
            keras.saving.deserialize_keras_object(config.pop(part))
            for part in ("section", "shortcut", "gate")
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
