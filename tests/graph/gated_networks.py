"""Small pieces of networks with gates, and ways to look at what became of them."""

import keras
import numpy as np

from keras_layer_prune import BernoulliGate
from keras_layer_prune.graph.gates import find_gates

FEATURES = 4


def gate(theta, **arguments):
    return BernoulliGate(initial_probability=theta, seed=0, **arguments)


def dense(name=None, units=FEATURES, **arguments):
    """Nonlinear, with an offset: nothing that happens to keep zeros."""
    return keras.layers.Dense(units, "sigmoid", name=name, **arguments)


def residual(x, theta, name=None):
    """The plainest gated section: one layer, one addition."""
    return keras.layers.Add()([x, gate(theta)(dense(name)(x))])


def randomized(network):
    """The network, with every weight away from its initial value, gates apart.

    Fresh offsets are zero and fresh statistics the identity, which hides mistakes.
    """
    generator = np.random.default_rng(0)
    of_gates = {id(weight) for gate in find_gates(network) for weight in gate.weights}
    for weight in network.weights:
        if id(weight) in of_gates or "int" in weight.dtype:
            continue
        weight.assign(generator.uniform(0.2, 0.9, weight.shape))
    return network


def model(inputs, outputs):
    return randomized(keras.Model(inputs, outputs))


def layers_in(network):
    """All layers of a network that hold no other layer, at any depth."""
    layers = network._flatten_layers(include_self=False, recursive=True)
    return [x for x in layers if not list(x._flatten_layers(include_self=False))]


def names_in(network):
    return {layer.name for layer in layers_in(network)}


def kinds_in(network):
    return {type(layer).__name__ for layer in layers_in(network)}
