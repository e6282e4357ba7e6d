"""Gates inside networks that are used as layers."""

import keras
import numpy as np
import pytest
from gated_networks import (
    dense,
    gate,
    kinds_in,
    model,
    names_in,
    randomized,
    residual,
)

from keras_layer_prune import max_difference, remove_closed_sections, strip_gates


def chain_of(thetas, name):
    """A nested functional network of one residual section for each theta."""
    x = inputs = keras.Input((4,))
    for i, theta in enumerate(thetas):
        x = residual(x, theta, f"{name}_{i}")
    return keras.Model(inputs, x, name=name)


def sections_in(network):
    return {name for name in names_in(network) if name.startswith("inner_")}


@pytest.mark.parametrize("thetas", [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)])
def test_gates_inside_a_nested_network_are_decided(thetas):
    inputs = keras.Input((4,))
    x = chain_of(thetas, "inner")(dense("before")(inputs))
    network = model(inputs, dense("after")(x))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    expected = {f"inner_{i}" for i, theta in enumerate(thetas) if theta == 1.0}
    assert sections_in(slim) == expected


@pytest.mark.parametrize("steps", [None, 6])
def test_a_nested_network_of_which_nothing_is_left_hands_on_what_it_gets(steps):
    sequence = keras.Input((steps, 4))
    nested = keras.Model(sequence, residual(sequence, 0.0))
    inputs = keras.Input((6, 4))
    network = model(inputs, dense("after")(nested(dense("before")(inputs))))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert ("Identity" in kinds_in(slim)) == (steps is None)


def test_a_nested_network_may_hand_on_what_it_gets_twice():
    sequence = keras.Input((None, 4))
    nested = keras.Model(sequence, [residual(sequence, 0.0) for _ in range(2)])
    inputs = keras.Input((6, 4))
    network = model(inputs, keras.layers.Concatenate()(nested(inputs)))
    assert max_difference(network, strip_gates(network)) < 1e-5


def test_gates_two_networks_deep_are_decided():
    inputs = keras.Input((4,))
    inner = chain_of((0.0, 1.0), "inner")
    x = keras.Input((4,))
    middle = keras.Model(x, residual(inner(x), 0.0, "middle"))
    network = model(inputs, residual(middle(inputs), 1.0, "outer"))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert names_in(slim) & {"inner_0", "middle"} == set()
    assert {"inner_1", "outer"} <= names_in(slim)


@pytest.mark.parametrize("theta", [0.0, 1.0])
def test_a_gate_at_the_end_of_a_nested_sequential_closes_the_branch_outside(theta):
    inputs = keras.Input((4,))
    branch = keras.Sequential([dense("inner_0"), gate(theta)])
    network = model(inputs, keras.layers.Add()([branch(inputs), inputs]))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert sections_in(slim) == ({"inner_0"} if theta == 1.0 else set())


def test_a_closed_branch_takes_a_whole_nested_network_with_it():
    inputs = keras.Input((4,))
    branch = gate(0.0)(chain_of((1.0, 0.4), "inner")(inputs))
    network = model(inputs, dense("kept")(keras.layers.Add()([inputs, branch])))
    smaller = remove_closed_sections(network)
    assert max_difference(network, smaller) < 1e-5
    assert sections_in(smaller) == set()


def test_an_untouched_nested_network_keeps_its_place():
    inputs = keras.Input((4,))
    plain = chain_of((), "plain")
    x = keras.Input((4,))
    backbone = keras.Model(x, dense("inner_0")(x), name="backbone")
    network = model(inputs, residual(backbone(plain(inputs)), 0.0, "gone"))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert slim.get_layer("backbone").get_layer("inner_0").built


def test_a_sequential_network_is_rebuilt_as_a_functional_one():
    network = keras.Sequential([keras.Input((4,)), dense(), gate(1.0), dense()])
    slim = strip_gates(randomized(network))
    assert max_difference(network, slim) < 1e-5
    assert len(slim.layers) == 3


def test_a_nested_network_called_twice_keeps_sharing_its_weights():
    inputs = keras.Input((4,))
    shared = chain_of((0.0, 1.0), "inner")
    network = model(inputs, shared(dense()(shared(inputs))))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert sections_in(slim) == {"inner_1"}
    assert slim.count_params() == 2 * (4 * 4 + 4)


def test_inside_of_a_network_called_twice_another_loses_what_its_zero_led_to():
    a, b = keras.Input((4,)), keras.Input((4,))
    linear = keras.layers.Dense(4, use_bias=False, name="linear")
    inner = keras.Model([a, b], keras.layers.Add()([dense()(a), linear(b)]))
    x = keras.Input((4,))
    outer = keras.Model(x, inner([x, gate(0.0)(dense()(x))]))
    inputs = keras.Input((4,))
    network = model(inputs, outer(outer(inputs)))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert "linear" not in names_in(slim)


@pytest.mark.parametrize("first", [0, 1])
def test_a_nested_network_called_on_a_closed_branch_too_is_rebuilt_for_both(first):
    inputs = keras.Input((4,))
    x = keras.Input((4,))
    linear = keras.layers.Dense(4, use_bias=False, name="linear")
    shared = keras.Model(x, residual(linear(x), 1.0, "inner_0"))
    closed = gate(0.0)(dense("gone")(inputs))
    calls = [shared(inputs), shared(closed)]
    # What stands before more layers runs first.
    network = model(inputs, dense()(calls[first]) + calls[1 - first])
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert "gone" not in names_in(slim)


def test_a_nested_network_keeps_the_training_mode_it_is_called_with():
    inputs = keras.Input((4,))
    x = keras.Input((4,))
    frozen = keras.Model(x, keras.layers.BatchNormalization()(residual(x, 0.0)))
    network = model(inputs, dense()(frozen(inputs, training=False)))
    slim = strip_gates(network)
    batch = keras.random.normal((8, 4))
    outputs, slim_outputs = (m(batch, training=True) for m in (network, slim))
    assert float(keras.ops.max(abs(outputs - slim_outputs))) < 1e-5


def test_several_inputs_and_outputs_of_a_nested_network_keep_their_places():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    closed = gate(0.0)(dense("inner_0")(a))
    opened = gate(1.0)(dense("inner_1")(b))
    nested = keras.Model([b, a], {"zero": closed, "live": opened, "sum": a + closed})
    inputs = keras.Input((4,))
    outputs = nested([dense("left")(inputs), dense("right")(inputs)])
    total = keras.layers.Add()([inputs, outputs["zero"], outputs["live"]])
    network = model(inputs, [total, outputs["sum"]])
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert sections_in(slim) == {"inner_1"}


def test_a_nested_network_can_be_called_by_the_names_of_its_inputs():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    linear = keras.layers.Dense(4, use_bias=False)
    nested = keras.Model([b, a], [residual(b, 1.0), linear(a)])
    inputs = keras.Input((4,))
    closed = gate(0.0)(dense("gone")(inputs))
    network = model(inputs, nested({"a": closed, "b": inputs}))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert "gone" not in names_in(slim)


@pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't match")
def test_a_nested_network_can_be_called_with_a_key_that_it_does_not_know():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    nested = keras.Model({"a": a, "b": b}, residual(a, 0.0) + dense()(b))
    inputs = keras.Input((4,))
    x = inputs + gate(0.0)(dense("gone")(inputs))
    network = model(inputs, nested({"a": x, "b": inputs, "more": x}))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert "gone" not in names_in(slim)


def test_a_nested_network_that_gets_no_mask_drops_none():
    x = keras.Input((4,))
    branch = gate(0.0)(dense()(x))
    nested = keras.Model(x, dense()(x + branch), name="nested")
    inputs = keras.Input((4,))
    slim = strip_gates(model(inputs, nested(inputs)))
    operations = slim.get_layer("nested").operations
    assert [type(x).__name__ for x in operations] == ["InputLayer", "Dense"]


def test_a_nested_network_keeps_the_structure_of_its_outputs():
    inputs = keras.Input((4,))
    x = residual(inputs, 0.0)
    nested = keras.Model(inputs, {"sum": x, "head": dense()(x)}, name="nested")
    outer = keras.Input((4,))
    slim = strip_gates(model(outer, nested(outer)["head"]))
    assert set(slim.get_layer("nested")(np.ones((1, 4), "float32"))) == {"sum", "head"}
