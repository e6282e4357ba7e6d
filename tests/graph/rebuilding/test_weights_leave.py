"""The weights of removed sections go, all others stay what they were."""

import gc
import weakref

import keras
import numpy as np
import pytest
from gated_networks import dense, gate, model, names_in, residual

from keras_layer_prune import remove_closed_sections, strip_gates

layers = keras.layers


def network_of(*thetas):
    x = inputs = keras.Input((4,))
    for i, theta in enumerate(thetas):
        x = residual(x, theta, f"section_{i}")
    return model(inputs, layers.Dense(2, name="head")(x))


def values_by_name(network):
    """Weights of the layers that hold some, gates apart, by layer and name."""
    return {
        weight.path: weight.numpy()
        for weight in network.weights
        if "gate" not in weight.path
    }


def test_weights_of_closed_sections_are_gone_and_the_others_are_equal():
    network = network_of(1.0, 0.0, 1.0)
    slim = strip_gates(network)
    expected = values_by_name(network)
    del expected["section_1/kernel"], expected["section_1/bias"]
    assert values_by_name(slim).keys() == expected.keys()
    for path, value in values_by_name(slim).items():
        np.testing.assert_array_equal(value, expected[path])


def test_no_variable_is_shared_with_the_old_network():
    network = network_of(1.0, 0.0, 0.4)
    smaller = remove_closed_sections(network)
    assert {id(v) for v in network.variables} & {id(v) for v in smaller.variables} == (
        set()
    )
    smaller.get_layer("head").kernel.assign(np.zeros((4, 2)))
    assert np.all(network.get_layer("head").kernel.numpy() != 0.0)


def test_the_old_network_is_left_as_it_was():
    network = network_of(1.0, 0.0, 1.0)
    config, weights = network.get_config(), network.get_weights()
    outputs = network(np.ones((1, 4)))
    strip_gates(network)
    assert network.get_config() == config
    np.testing.assert_array_equal(network(np.ones((1, 4))), outputs)
    for old, new in zip(weights, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("rebuild", [strip_gates, remove_closed_sections])
def test_the_old_network_can_be_freed(rebuild):
    network = network_of(1.0, 0.0)
    old = [weakref.ref(x) for x in [*network.variables, *network.layers]]
    slim = rebuild(network)
    del network
    gc.collect()
    assert [x() for x in old if x() is not None] == []
    assert slim(np.ones((1, 4))).shape == (1, 2)


def test_undecided_gates_keep_all_of_their_state():
    network = network_of(0.0, 0.4)
    (old,) = (g for g in network.layers if getattr(g, "initial_probability", 0) == 0.4)
    old.probability.assign(0.123)
    old.benefit.assign(4.5)
    for _ in range(3):
        network(np.ones((2, 4)), training=True)
    new = remove_closed_sections(network).get_layer(old.name)
    assert float(new.probability) == np.float32(0.123)
    assert float(new.benefit) == 4.5
    ones = np.ones((64, 1), "float32")
    np.testing.assert_array_equal(new(ones, training=True), old(ones, training=True))


def test_layers_that_do_not_train_stay_so():
    network = network_of(1.0, 0.0)
    network.get_layer("section_0").trainable = False
    slim = strip_gates(network)
    assert not slim.get_layer("section_0").trainable
    assert [v.path for v in slim.trainable_variables] == ["head/kernel", "head/bias"]


def test_layers_of_a_nested_network_that_do_not_train_stay_so():
    backbone = network_of(1.0, 0.0)
    backbone.get_layer("section_0").trainable = False
    inputs = keras.Input((4,))
    network = model(inputs, layers.Dense(2, name="top")(backbone(inputs)))
    slim = strip_gates(network)
    assert len(slim.trainable_variables) == len(network.trainable_variables) - 2 == 4
    frozen = [v.path for v in slim.non_trainable_variables]
    assert all("section_0" in path for path in frozen)
    assert len(frozen) == 2


def test_a_network_that_does_not_train_stays_so():
    network = network_of(1.0, 0.0)
    network.trainable = False
    slim = strip_gates(network)
    assert not slim.trainable
    assert slim.trainable_variables == []


def test_weights_shared_with_a_nested_network_stay_shared():
    shared = dense("shared")
    x = keras.Input((4,))
    nested = keras.Model(x, shared(x))
    inputs = keras.Input((4,))
    branch = gate(0.0)(dense("gone")(inputs))
    network = model(inputs, keras.layers.Add()([nested(shared(inputs)), branch]))
    slim = strip_gates(network)
    assert slim.count_params() == 4 * 4 + 4
    assert "gone" not in names_in(slim)


def test_state_that_is_not_trained_is_copied_too():
    inputs = keras.Input((4,))
    normalized = layers.BatchNormalization(name="norm")(residual(inputs, 0.0))
    adapted = layers.Normalization(name="adapted")
    network = keras.Model(inputs, adapted(normalized))
    adapted.adapt(np.random.default_rng(0).normal(3.0, 2.0, (100, 4)))
    network(np.random.default_rng(1).normal(size=(50, 4)), training=True)
    slim = strip_gates(network)
    for name in ("norm", "adapted"):
        old, new = (m.get_layer(name).variables for m in (network, slim))
        assert len(old) == len(new) > 0
        for before, after in zip(old, new, strict=True):
            np.testing.assert_array_equal(before, after)
    x = np.ones((2, 4), "float32")
    np.testing.assert_allclose(slim(x), network(x), atol=1e-5)
