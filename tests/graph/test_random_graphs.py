"""Rebuilding is exact and leaves nothing useless, whatever the network.

`KLP_EXAMPLES` sets the number of random networks for each property, `KLP_SEED` which.
"""

import os

import keras
import numpy as np
import tensorflow as tf
from gated_networks import layers_in
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from random_networks import network_of, sections

from keras_layer_prune import max_difference, remove_closed_sections, strip_gates
from keras_layer_prune.graph.costs.anatomy import layers_at_work
from keras_layer_prune.graph.gates import find_gates

EXAMPLES = int(os.environ.get("KLP_EXAMPLES", "25"))

as_told = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    # Explaining a failure costs hundreds of networks more.
    phases=set(Phase) - {Phase.explain},
)
plans = sections(depth=2, most=4)


def over_random_networks(test, examples=EXAMPLES):
    """The same networks in every run, unless told otherwise."""
    test = settings(as_told, max_examples=examples)(test)
    return seed(int(os.environ.get("KLP_SEED", "0")))(test)


def names_of_dense(layers):
    return {layer.name for layer in layers if isinstance(layer, keras.layers.Dense)}


def names_that_matter(network):
    """Layers with a weight that changes some output: what gradients say."""
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    layers = [x for x in layers_in(network) if isinstance(x, keras.layers.Dense)]
    for layer in layers:
        # Or a sum of many sections takes a sigmoid to where its slope rounds to zero.
        layer.set_weights([0.2 * weight for weight in layer.get_weights()])
    with tf.GradientTape() as tape:
        outputs = network(x)
        # Each output's entries count differently, so that nothing cancels.
        total = sum(
            tf.reduce_sum(y * np.linspace(1.0, 2.0, 32).reshape(8, 4)) for y in outputs
        )
    gradients = tape.gradient(total, [[w.value for w in x.weights] for x in layers])
    return {
        layer.name
        for layer, of_layer in zip(layers, gradients, strict=True)
        if any(g is not None and np.any(g != 0.0) for g in of_layer)
    }


def closed_gates(network):
    return [g for g in find_gates(network) if float(g.probability) == 0.0]


def decide(network):
    """Open every second undecided gate, close the others."""
    undecided = [g for g in find_gates(network) if 0.0 < float(g.probability) < 1.0]
    for i, gate in enumerate(undecided):
        gate.probability.assign(i % 2)


@over_random_networks
@given(plan=plans)
def test_rebuilding_changes_no_output(plan):
    network = network_of(plan)
    smaller = remove_closed_sections(network)
    assert max_difference(network, smaller) < 1e-5
    assert closed_gates(smaller) == []

    decide(network)
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert find_gates(slim) == []


@over_random_networks
@given(plan=plans)
def test_exactly_the_layers_that_matter_are_left(plan):
    network = network_of(plan)
    smaller = remove_closed_sections(network)
    left = names_of_dense(layers_in(smaller))
    at_work = [u.layer for u in layers_at_work(network, closed_gates(network))]
    assert left == names_that_matter(network)
    assert left == names_of_dense(at_work)


@over_random_networks
@given(plan=plans)
def test_a_rebuilt_network_is_made_again_from_its_config(plan):
    smaller = remove_closed_sections(network_of(plan))
    again = keras.Model.from_config(smaller.get_config())
    # Keras makes two layers of one that a nested network shares with the outer one.
    assume(len(again.weights) == len(smaller.weights))
    again.set_weights(smaller.get_weights())
    assert max_difference(smaller, again) < 1e-6
    assert again.get_config() == smaller.get_config()
