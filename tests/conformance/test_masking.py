"""Masks of sequences pass through the layer."""

import keras
import numpy as np
import pytest
from cases import CASES, FEATURES


def average_of_unmasked_steps(layer):
    inputs = keras.Input((3, FEATURES))
    x = keras.layers.Masking()(inputs)
    x = keras.layers.GlobalAveragePooling1D()(layer(x))
    return keras.Model(inputs, x)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_comes_after_the_layer_still_sees_the_mask(case):
    x = np.random.default_rng(0).normal(size=(5, 3, FEATURES)).astype("float32")
    x[:, 2] = 0.0
    layer = case.make()
    network = average_of_unmasked_steps(layer)
    expected = np.mean(layer(x[:, :2]), axis=1)
    np.testing.assert_allclose(network(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_layer_says_that_it_supports_masking(case):
    layer = case.make()
    mask = keras.ops.convert_to_tensor([[True, False]])
    assert layer.supports_masking
    assert layer.compute_mask(keras.ops.zeros((1, 2, FEATURES)), mask) is mask
