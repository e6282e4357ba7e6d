"""A layer can be made again from its config."""

import inspect

import keras
import numpy as np
import pytest
from cases import CASES, FEATURES


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_layer_made_from_a_config_has_the_same_config(case):
    layer = case.make()
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_argument_is_in_the_config(case):
    layer = case.make()
    arguments = set(inspect.signature(type(layer)).parameters) - {"kwargs"}
    assert arguments
    assert arguments <= set(layer.get_config())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_layer_made_from_a_config_computes_the_same_with_the_same_weights(case):
    x = np.random.default_rng(0).normal(size=(5, FEATURES)).astype("float32")
    layer = case.make()
    again = type(layer).from_config(layer.get_config())
    outputs = layer(x)
    again(x)
    again.set_weights(layer.get_weights())
    np.testing.assert_allclose(again(x), outputs, rtol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_same_seed_draws_the_same_after_a_round_trip(case):
    x = np.random.default_rng(0).normal(size=(5, FEATURES)).astype("float32")
    network = case.network()
    again = keras.models.clone_model(network)
    again.set_weights(network.get_weights())
    for _ in range(10):
        np.testing.assert_allclose(again(x, training=True), network(x, training=True))
