"""Folding is exact and never more work, whatever the chain.

A quarter of `KLP_EXAMPLES`, but no less than 25, is the number of random chains.
"""

import functools

import keras
import numpy as np
from gated_networks import kinds_in, layers_in
from hypothesis import given
from hypothesis import strategies as st
from random_chains import CHAINS, chain_of
from test_random_graphs import EXAMPLES, over_random_networks

from keras_layer_prune import strip_gates, summarize
from keras_layer_prune.graph.gates import find_gates
from keras_layer_prune.graph.linear.neighbours import may_meet
from keras_layer_prune.graph.rebuild import served, served_macs
from keras_layer_prune.graph.rebuilding.retrace import Retrace

over_random_chains = functools.partial(
    over_random_networks, examples=max(25, EXAMPLES // 4)
)


def gates_at(theta, network):
    return [g for g in find_gates(network) if float(g.probability) == theta]


def not_folded(network):
    closed, opened = (gates_at(theta, network) for theta in (0.0, 1.0))
    return Retrace(network, closed, opened).rebuild()


def outputs_of(network):
    x = np.random.default_rng(0).normal(size=(3, 9, 9, 2)).astype("float32")
    return [np.asarray(y) for y in keras.tree.flatten(network(x))]


def names_of_maps(network):
    kinds = keras.layers.Dense, keras.layers.Conv2D
    return {x.name for x in layers_in(network) if isinstance(x, kinds)}


@over_random_chains
@given(plan=CHAINS)
def test_a_folded_chain_computes_the_same_with_no_more_work(plan):
    network = chain_of(plan)
    slim, plain = strip_gates(network), not_folded(network)
    for y, other in zip(outputs_of(network), outputs_of(slim), strict=True):
        assert y.shape == other.shape
        # Of terms of size 1 that all but cancel, their rounding is left.
        assert np.max(np.abs(y - other)) <= 1e-5 * np.max(np.abs(y)) + 1e-7
    costs, before = (summarize(m, latency=False) for m in (slim, plain))
    assert served_macs(network, gates_at(0.0, network)) == costs.macs <= before.macs
    assert kinds_in(slim).isdisjoint({"Seam", "BernoulliGate", "GatedResidual"})
    assert names_of_maps(slim) <= names_of_maps(plain)
    if "Seam" not in kinds_in(plain):
        assert slim.get_config() == plain.get_config()
    if costs.parameters != before.parameters:
        assert len(names_of_maps(slim)) < len(names_of_maps(plain))


@over_random_chains
@given(plan=CHAINS, seed=st.integers(0, 99))
def test_what_would_be_served_is_counted_without_computing_it(plan, seed):
    """Whatever closes, and whatever is frozen: by layers, and by weights alone."""
    network = chain_of(plan)
    generator = np.random.default_rng(seed)
    for layer in layers_in(network):
        layer.trainable = generator.uniform() < 0.8
    for weight in network.trainable_weights:
        weight.trainable = generator.uniform() < 0.9
    closed = [g for g in find_gates(network) if generator.uniform() < 0.6]
    macs = summarize(served(network, closed), latency=False).macs
    assert served_macs(network, closed) == macs
    plain = Retrace(network, closed, set(find_gates(network)) - set(closed)).rebuild()
    assert may_meet(network, closed) or summarize(plain, latency=False).macs == macs


@over_random_chains
@given(plan=CHAINS)
def test_without_a_closed_gate_nothing_is_folded(plan):
    network = chain_of(plan)
    for gate in find_gates(network):
        gate.probability.assign(1.0)
    assert names_of_maps(strip_gates(network)) == names_of_maps(not_folded(network))
    assert "Seam" not in kinds_in(not_folded(network))


@over_random_chains
@given(plan=CHAINS)
def test_a_folded_chain_is_made_again_from_its_config(plan):
    slim = strip_gates(chain_of(plan))
    again = keras.Model.from_config(slim.get_config())
    again.set_weights(slim.get_weights())
    for y, other in zip(outputs_of(slim), outputs_of(again), strict=True):
        np.testing.assert_array_equal(y, other)
