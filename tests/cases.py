"""One row for each public layer: what the conformance tests run over."""

from typing import NamedTuple

import keras

from keras_layer_prune import BernoulliGate, FlatteningPrior, GatedLayer, GatedResidual

FEATURES = 4


class Case(NamedTuple):
    """A public layer with every argument away from its default.

    Attributes:
        name: String, the class.
        make: Function without arguments, returns a new layer for inputs whose last
            axis has `FEATURES` entries.
    """

    name: str
    make: object

    def __str__(self):
        return self.name

    def network(self, shape=(FEATURES,)):
        """A small functional network around the layer, with its gate undecided."""
        inputs = keras.Input(shape)
        x = keras.layers.Dense(FEATURES)(inputs)
        return keras.Model(inputs, self.make()(x))


def make_gate():
    return BernoulliGate(
        prior=FlatteningPrior(3.0), initial_probability=0.3, draws="batch", seed=7
    )


def make_residual():
    section = keras.layers.Dense(3, "tanh")
    return GatedResidual(section, shortcut=keras.layers.Dense(3), gate=make_gate())


def make_residual_of_another_shape():
    return GatedResidual(keras.layers.Dense(3, "tanh"), gate=make_gate())


def make_gated_layer():
    return GatedLayer(keras.layers.Dense(FEATURES, "tanh"), gate=make_gate())


CASES = [
    Case("BernoulliGate", make_gate),
    Case("GatedResidual", make_residual),
    Case("GatedResidual", make_residual_of_another_shape),
    Case("GatedLayer", make_gated_layer),
]


def gate_of(layer):
    """The gate that a layer is or holds."""
    return layer if isinstance(layer, BernoulliGate) else layer.gate
