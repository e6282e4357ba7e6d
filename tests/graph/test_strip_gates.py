"""What leaves the package is plain Keras, and what cannot leave says why."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from gated_networks import dense, gate, layers_in, model, residual

from keras_layer_prune import (
    GatedLayer,
    GatedResidual,
    max_difference,
    remove_closed_sections,
    strip_gates,
)

LOAD_WITHOUT_THE_PACKAGE = """
import sys
sys.modules["keras_layer_prune"] = None  # importing it is an error
import keras, numpy
network = keras.models.load_model(sys.argv[1])
numpy.save(sys.argv[2], network(numpy.ones((2, 4), "float32")))
"""


def everything_at_once():
    """A network with every kind of gate, all decided."""
    x = inputs = keras.Input((4,))
    x = residual(x, 0.0)
    x = residual(x, 1.0)
    x = GatedResidual(dense(), gate=gate(1.0))(x)
    x = GatedResidual(dense(), shortcut=dense(), gate=gate(0.0))(x)
    x = GatedLayer(dense(), gate=gate(1.0))(x)
    x = keras.Sequential([dense(), gate(0.0)])(x) + x
    closed = gate(0.0)(dense()(x))
    return model(inputs, keras.layers.Concatenate()([x, closed]))


def test_nothing_of_the_package_is_left():
    slim = strip_gates(everything_at_once())
    modules = {type(layer).__module__ for layer in layers_in(slim)}
    assert modules
    assert not [name for name in modules if name.startswith("keras_layer_prune")]


def test_a_stripped_network_is_saved_and_loaded_without_the_package(tmp_path):
    network = everything_at_once()
    strip_gates(network).save(tmp_path / "slim.keras")
    arguments = [str(tmp_path / "slim.keras"), str(tmp_path / "outputs.npy")]
    subprocess.run(
        [sys.executable, "-c", LOAD_WITHOUT_THE_PACKAGE, *arguments],
        check=True,
        capture_output=True,
    )
    outputs = network(np.ones((2, 4), "float32"))
    np.testing.assert_allclose(np.load(arguments[1]), outputs, atol=1e-5)


def test_a_network_still_in_training_is_saved_and_loaded(tmp_path):
    inputs = keras.Input((4,))
    x = residual(residual(inputs, 0.0), 0.4)
    smaller = remove_closed_sections(model(inputs, x))
    smaller.save(tmp_path / "smaller.keras")
    loaded = keras.models.load_model(tmp_path / "smaller.keras")
    assert max_difference(smaller, loaded) < 1e-6


def test_a_rebuilt_network_is_rebuilt_again_without_a_change():
    slim = strip_gates(everything_at_once())
    again = strip_gates(slim)
    assert max_difference(slim, again) == 0.0
    assert again.get_config() == slim.get_config()


def test_a_rebuilt_network_trains_under_xla():
    slim = strip_gates(everything_at_once())
    slim.compile("sgd", "mse", jit_compile=True)
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    history = slim.fit(x, np.zeros((8, 8)), epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]


def undecided_network():
    inputs = keras.Input((4,))
    x = inputs
    for name, theta in [("closed", 0.0), ("high", 0.9), ("open", 1.0), ("low", 0.01)]:
        x = keras.layers.Add()([x, gate(theta, name=name)(dense()(x))])
    return keras.Model(inputs, x, name="mine")


def test_undecided_gates_are_an_error_that_names_them_and_only_them():
    with pytest.raises(ValueError, match="`mine` has gates between 0 and 1") as error:
        strip_gates(undecided_network())
    message = str(error.value)
    assert "'high': 0.9" in message
    assert "'low': 0.01" in message
    assert "closed" not in message
    assert "'open'" not in message


def test_undecided_gates_do_not_stop_the_removal_of_closed_sections():
    smaller = remove_closed_sections(undecided_network())
    gates = {x.name for x in layers_in(smaller) if "Gate" in type(x).__name__}
    assert gates == {"high", "open", "low"}


class HidesAGate(keras.layers.Layer):
    """A layer whose calls cannot be read."""

    def __init__(self, theta=0.0, **kwargs):
        super().__init__(**kwargs)
        self.theta = theta
        self.gate = gate(theta, name="hidden")

    def call(self, inputs):
        return inputs + self.gate(inputs)

    def get_config(self):
        return {**super().get_config(), "theta": self.theta}


@pytest.mark.parametrize("theta", [0.0, 1.0])
def test_a_decided_gate_that_cannot_be_taken_out_is_an_error(theta):
    inputs = keras.Input((4,))
    network = model(inputs, dense()(HidesAGate(theta)(inputs)))
    with pytest.raises(ValueError, match="does not show.*hidden"):
        strip_gates(network)


def test_a_closed_gate_that_cannot_be_taken_out_is_not_silently_kept():
    inputs = keras.Input((4,))
    network = model(inputs, dense()(HidesAGate(0.0)(inputs)))
    with pytest.raises(ValueError, match="does not show.*hidden"):
        remove_closed_sections(network)


def test_an_undecided_gate_that_cannot_be_seen_stays_where_it_is():
    inputs = keras.Input((4,))
    network = model(inputs, dense()(HidesAGate(0.4)(residual(inputs, 0.0))))
    assert max_difference(network, remove_closed_sections(network)) < 1e-5


@pytest.mark.parametrize("rebuild", [strip_gates, remove_closed_sections])
def test_a_subclassed_model_is_an_error(rebuild):
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="`mine` is a subclassed model"):
        rebuild(Subclassed(name="mine"))


def test_a_layer_that_cannot_be_made_again_is_an_error_with_advice():
    class NoConfig(keras.layers.Layer):
        def __init__(self, factor):
            super().__init__(name="scale")
            self.factor = factor

        def call(self, inputs):
            return inputs * self.factor

    inputs = keras.Input((4,))
    network = keras.Model(inputs, residual(NoConfig(2.0)(inputs), 0.0))
    with pytest.raises(ValueError, match="(?s)`scale` of class NoConfig.*`get_config"):
        strip_gates(network)
