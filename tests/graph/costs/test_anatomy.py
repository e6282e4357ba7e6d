"""Which layers are at work in a network, and what they add up to."""

import keras
import pytest
from gated_networks import dense, gate, residual

from keras_layer_prune import GatedLayer, GatedResidual
from keras_layer_prune.graph.costs.anatomy import (
    count_macs,
    count_parameters,
    layers_at_work,
)
from keras_layer_prune.graph.gates import find_gates


def names(uses):
    """Names of the layers that have weights, in running order."""
    kept = [use.layer for use in uses if "gate" not in use.layer.name]
    return [layer.name for layer in kept if layer.count_params()]


def test_layers_are_listed_in_running_order_inside_nested_networks_too():
    x = keras.Input((4,))
    nested = keras.Model(x, dense("third")(residual(x, 0.5, "second")))
    inputs = keras.Input((4,))
    network = keras.Model(inputs, dense("fourth")(nested(dense("first")(inputs))))
    expected = ["first", "second", "third", "fourth"]
    assert names(layers_at_work(network)) == expected


def test_a_layer_is_listed_once_for_each_call():
    inputs = keras.Input((4,))
    shared = dense("shared")
    uses = layers_at_work(keras.Model(inputs, shared(shared(inputs))))
    assert names(uses) == ["shared", "shared"]
    assert count_macs(uses) == 2 * 16
    assert count_parameters(uses) == 20


@pytest.mark.parametrize("make", [GatedResidual, GatedLayer])
def test_closing_a_gate_takes_the_section_of_its_layer_away(make):
    layer = make(dense("section"), gate=gate(0.5))
    network = keras.Sequential([keras.Input((4,)), layer, dense("head")])
    assert names(layers_at_work(network)) == ["section", "head"]
    assert names(layers_at_work(network, {layer.gate})) == ["head"]


def test_the_shortcut_of_a_gated_residual_works_whatever_the_gate():
    layer = GatedResidual(dense("section", 3), dense("shortcut", 3), gate(0.5))
    network = keras.Sequential([keras.Input((4,)), layer])
    assert names(layers_at_work(network)) == ["shortcut", "section"]
    assert names(layers_at_work(network, {layer.gate})) == ["shortcut"]


def test_gates_are_closed_one_by_one_without_touching_the_network():
    inputs = keras.Input((4,))
    x = residual(residual(inputs, 0.5, "first"), 0.5, "second")
    network = keras.Model(inputs, dense("head")(x))
    first, second = find_gates(network)
    assert names(layers_at_work(network, {first})) == ["second", "head"]
    assert names(layers_at_work(network, {second})) == ["first", "head"]
    assert names(layers_at_work(network, {first, second})) == ["head"]
    assert names(layers_at_work(network)) == ["first", "second", "head"]


def test_gates_within_the_section_of_another_one_are_closed_too():
    x = keras.Input((4,))
    nested = keras.Model(x, dense("last")(residual(x, 0.5, "within")))
    (within,) = find_gates(nested)
    layer = GatedResidual(nested, gate=gate(0.5))
    network = keras.Sequential([keras.Input((4,)), layer])
    assert names(layers_at_work(network)) == ["within", "last"]
    assert names(layers_at_work(network, {within})) == ["last"]


def test_a_closed_branch_does_no_work_even_if_it_is_returned():
    inputs = keras.Input((4,))
    layer = gate(0.5)
    outputs = [layer(dense("branch")(inputs)), dense("head")(inputs)]
    network = keras.Model(inputs, outputs)
    assert names(layers_at_work(network)) == ["branch", "head"]
    assert names(layers_at_work(network, {layer})) == ["head"]


def test_gates_are_not_counted_as_parameters():
    inputs = keras.Input((4,))
    network = keras.Model(inputs, residual(inputs, 0.5))
    assert count_parameters(layers_at_work(network)) == 4 * 4 + 4


def test_macs_of_a_network_are_those_of_its_layers():
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3)(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = keras.Model(inputs, keras.layers.Dense(5)(x))
    assert count_macs(layers_at_work(network)) == 16 * 9 * 2 * 4 + 4 * 5
