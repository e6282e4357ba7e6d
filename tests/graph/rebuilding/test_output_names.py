"""Outputs keep the names by which losses are given, whatever made them."""

import keras
import numpy as np
import pytest
from gated_networks import dense, gate, model

import keras_layer_prune as klp


def network_that_ends_in_additions():
    inputs = keras.Input((4,))
    shortcut = dense("body")(inputs)
    ends = [
        keras.layers.Add(name=name)(
            [shortcut, gate(theta)(dense(f"of_{name}")(inputs))]
        )
        for name, theta in (("left", 0.0), ("right", 0.5))
    ]
    return model(inputs, ends)


def test_an_output_keeps_its_name_when_its_addition_goes():
    network = network_that_ends_in_additions()
    smaller = klp.remove_closed_sections(network)
    assert smaller.output_names == network.output_names == ["left", "right"]
    assert klp.max_difference(network, smaller) < 1e-6


def test_an_output_that_is_given_twice_keeps_its_name():
    ends = network_that_ends_in_additions()
    network = model(ends.inputs[0], [ends.outputs[0], ends.outputs[0]])
    assert klp.remove_closed_sections(network).output_names == ["left", "left"]


def test_an_output_whose_layer_takes_its_name_over_gets_no_other():
    inputs = keras.Input((4,))
    block = klp.GatedLayer(dense("block"), gate(1.0), name="block")
    network = model(inputs, block(inputs))
    assert klp.strip_gates(network).output_names == network.output_names == ["block"]


def test_an_output_may_come_from_an_addition_that_stays_elsewhere():
    inputs = keras.Input((4,))
    add = keras.layers.Add()
    x = dense()(add([inputs, dense()(inputs)]))
    network = model(inputs, add([x, gate(0.0)(dense()(x))]))
    assert klp.max_difference(network, klp.strip_gates(network)) < 1e-6


def test_losses_by_name_survive_a_pruning_event():
    model = klp.GatedModel(network_that_ends_in_additions())
    model.compile("sgd", {"left": "mse", "right": "mae"}, gate_step_size=1e-6)
    x = np.ones((4, 4), "float32")
    targets = {"left": x, "right": x}
    model.fit(x, targets, verbose=0)
    before = model.evaluate(x, targets, verbose=0, return_dict=True)
    closed = [g for g in model.gates if float(g.probability.numpy()) == 0.0]
    model.decide(closed=closed)
    after = model.evaluate(x, targets, verbose=0, return_dict=True)
    assert after["loss"] == before["loss"]
    model.fit(x, targets, verbose=0)


def test_outputs_of_an_operation_that_is_called_twice_share_its_name():
    inputs = keras.Input((4,))
    add = keras.layers.Add(name="out")
    outputs = [add([dense()(inputs), gate(0.0)(dense()(inputs))]) for _ in range(2)]
    network = model(inputs, outputs)
    slim = klp.strip_gates(network)
    assert slim.output_names == network.output_names == ["out", "out"]
    assert klp.max_difference(network, slim) < 1e-6


@pytest.mark.parametrize("theta", [0.0, 1.0])
def test_outputs_of_a_gated_layer_that_is_called_twice_keep_their_name(theta):
    inputs = [keras.Input((4,)), keras.Input((4,))]
    layer = klp.GatedLayer(dense(), gate(theta), name="out")
    network = keras.Model(inputs, [layer(x) for x in inputs])
    slim = klp.strip_gates(network)
    assert klp.max_difference(network, slim) < 1e-6
    assert slim.output_names == ["out", "out"]
