"""Under a half precision policy the layer computes in half, its gate does not."""

import keras
import numpy as np
import pytest
from cases import CASES, FEATURES, gate_of


@pytest.fixture(autouse=True)
def half_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_probability_is_not_rounded_to_half_precision(case):
    layer = case.make()
    layer(np.ones((2, FEATURES), "float32"))
    probability = gate_of(layer).probability
    assert probability.dtype == "float32"
    assert float(probability) == np.float32(0.3)
    # A step this small is lost in bfloat16.
    probability.assign_sub(1e-4)
    assert float(probability) == pytest.approx(0.2999, abs=1e-6)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_outputs_are_in_half_precision(case, training):
    network = case.network()
    outputs = network(np.ones((2, FEATURES), "float32"), training=training)
    assert outputs.dtype == "bfloat16"
    assert network.outputs[0].dtype == "bfloat16"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_half_precision_is_close_to_full_precision(case):
    x = np.random.default_rng(0).normal(size=(5, FEATURES)).astype("float32")
    half = case.network()
    keras.config.set_dtype_policy("float32")
    full = case.network()
    full.set_weights(half.get_weights())
    rounded = keras.ops.cast(half(x), "float32")
    np.testing.assert_allclose(rounded, full(x), rtol=0.05, atol=0.05)
