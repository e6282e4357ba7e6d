"""A network with the layer is saved as `.keras` and loaded without further ado."""

import keras
import numpy as np
import pytest
from cases import CASES, FEATURES, gate_of


@keras.saving.register_keras_serializable("tests")
class Holder(keras.Model):
    """A subclassed model, which Keras loads without calling its layers."""

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape):
        self.layer.build(input_shape)

    def call(self, inputs):
        return self.layer(inputs)

    def get_config(self):
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer}

    @classmethod
    def from_config(cls, config):
        layer = keras.saving.deserialize_keras_object(config.pop("layer"))
        return cls(layer, **config)


def inputs():
    return np.random.default_rng(0).normal(size=(5, FEATURES)).astype("float32")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_loaded_network_gives_the_same_outputs(case, tmp_path):
    network = case.network()
    gate_of(network.layers[-1]).probability.assign(0.37)
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert float(gate_of(loaded.layers[-1]).probability) == np.float32(0.37)
    np.testing.assert_allclose(loaded(inputs()), network(inputs()), rtol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_subclassed_model_that_holds_the_layer_is_loaded_with_its_weights(
    case, tmp_path
):
    model = Holder(case.make())
    outputs = model(inputs())
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(inputs()), outputs, rtol=1e-6)
