"""Gated layers around layers that users write, saved, loaded and stripped."""

import keras
import numpy as np
import pytest
from layers_of_users import LazyBlock, MaskedBlock

from keras_layer_prune import (
    BernoulliGate,
    GatedLayer,
    GatedResidual,
    max_difference,
    strip_gates,
)


def attention_network(theta):
    inputs, context = keras.Input((4, 3)), keras.Input((5, 6))
    attention = keras.layers.MultiHeadAttention(num_heads=2, key_dim=2)
    layer = GatedLayer(attention, gate=BernoulliGate(initial_probability=theta))
    return keras.Model([inputs, context], layer(inputs, context))


def chain_network(make, block, theta):
    layer = make(block, gate=BernoulliGate(initial_probability=theta))
    return keras.Sequential([keras.Input((4, 3)), layer, keras.layers.Dense(2)])


NETWORKS = {
    "attention": attention_network,
    "traced layer": lambda theta: chain_network(GatedLayer, LazyBlock(3), theta),
    "traced section": lambda theta: chain_network(GatedResidual, LazyBlock(3), theta),
    "layer with weights of its own": lambda theta: chain_network(
        GatedLayer, MaskedBlock(), theta
    ),
}


# Keras warns of layers without a `build` in loaded files, with and without a gate.
@pytest.mark.filterwarnings("ignore:`build..` was called on layer 'lazy_block")
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_around_it_is_saved_and_loaded(name, tmp_path):
    network = NETWORKS[name](0.4)
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert max_difference(network, loaded) < 1e-6


@pytest.mark.parametrize("theta", [0.0, 1.0])
@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_stripped_of_its_gate(name, theta):
    network = NETWORKS[name](theta)
    assert max_difference(network, strip_gates(network)) < 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_it_trains_with_all_of_its_weights(name):
    network = NETWORKS[name](1.0)
    network.compile("sgd", "mse")
    generator = np.random.default_rng(0)
    x = [generator.normal(size=(8, *i.shape[1:])) for i in network.inputs]
    before = [w.numpy() for w in network.trainable_variables]
    target = generator.normal(size=(8, *network.outputs[0].shape[1:]))
    network.fit(x if len(x) > 1 else x[0], target, epochs=1, verbose=0)
    after = [w.numpy() for w in network.trainable_variables]
    moved = [np.any(a != b) for a, b in zip(before, after, strict=True)]
    assert moved
    assert sum(moved) >= len(moved) - 1  # the bias of attention's keys never moves
