"""A rebuilt network of sequences sees the same masks, whatever the network.

Half of `KLP_EXAMPLES`, but no less than 25, is the number of random networks.
"""

import functools

import numpy as np
import pytest
from hypothesis import given
from masked_sequences import TOKENS, masks_of
from random_sequences import PLANS, network_of
from test_random_graphs import EXAMPLES, over_random_networks

from keras_layer_prune import max_difference, remove_closed_sections, strip_gates
from keras_layer_prune.graph.gates import find_gates

over_random_sequences = functools.partial(
    over_random_networks, examples=max(25, EXAMPLES // 2)
)
pytestmark = pytest.mark.filterwarnings("ignore:.*does not support masking")


def check_the_same(network, other):
    # Sums of many sections are far from 0.
    scale = max(1.0, *(float(np.max(np.abs(y))) for y in network(TOKENS)))
    assert max_difference(network, other, TOKENS) < 1e-5 * scale
    assert masks_of(network, TOKENS) == masks_of(other, TOKENS)


@over_random_sequences
@given(plan=PLANS)
def test_what_is_left_computes_the_same(plan):
    network = network_of(plan)
    check_the_same(network, remove_closed_sections(network))


@over_random_sequences
@given(plan=PLANS)
def test_a_stripped_network_computes_the_same(plan):
    network = network_of(plan)
    for gate in find_gates(network):
        gate.probability.assign(round(float(gate.probability) + 0.2))
    check_the_same(network, strip_gates(network))
