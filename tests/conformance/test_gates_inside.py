"""A gate that no graph would show is refused, and the advice works."""

import keras
import numpy as np
import pytest
from cases import CASES, FEATURES, make_gate

from keras_layer_prune import GatedLayer, GatedResidual, max_difference, strip_gates

X = np.random.default_rng(0).normal(size=(4, 3, FEATURES)).astype("float32")


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("make", [GatedLayer, GatedResidual])
def test_a_gate_right_inside_is_an_error_before_any_work(make, case):
    with pytest.raises(ValueError, match="no graph would show.*Sequential"):
        make(case.make())


class WithGate(keras.layers.Layer):
    """A layer of a user's own that calls a gate by itself."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.switch = make_gate()

    def call(self, inputs):
        return self.switch(inputs)


@pytest.mark.parametrize("make", [GatedLayer, GatedResidual])
def test_a_gate_in_a_layer_of_a_user_is_an_error_too(make):
    with pytest.raises(ValueError, match="Take it without its gate"):
        make(WithGate())


@pytest.mark.parametrize("theta", [0.0, 1.0])
@pytest.mark.parametrize("outer", [GatedLayer, GatedResidual])
@pytest.mark.parametrize("inner", [GatedLayer, GatedResidual])
def test_the_advice_to_put_a_row_between_works(inner, outer, theta):
    both = outer(keras.Sequential([inner(keras.layers.Dense(FEATURES, "tanh"))]))
    inputs = keras.Input((3, FEATURES))
    network = keras.Model(inputs, both(inputs))
    for layer in (both, both.layer if outer is GatedLayer else both.section):
        gate = layer.gate if hasattr(layer, "gate") else layer.layers[0].gate
        gate.probability.assign(theta)
    assert max_difference(network, strip_gates(network), X) < 1e-5
