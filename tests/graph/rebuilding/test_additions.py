"""Additions lose their closed operands, however they are written."""

import keras
import numpy as np
import pytest
from gated_networks import dense, gate, kinds_in, model, names_in

from keras_layer_prune import max_difference, remove_closed_sections, strip_gates
from keras_layer_prune.graph.gates import find_gates


def thetas_in(network):
    return [float(gate.probability) for gate in find_gates(network)]


def as_layer(operands):
    return keras.layers.Add()(operands)


def as_raw_operations(operands):
    total = operands[0]
    for operand in operands[1:]:
        total = total + operand
    return total


ADDITIONS = [as_layer, as_raw_operations]


def sum_of(shortcut, branches, add, order):
    operands = [shortcut, *branches]
    return add([operands[i] for i in order])


def network_of(add, order, thetas):
    inputs = keras.Input((4,))
    x = dense("stem")(inputs)
    branches = [gate(t)(dense(f"branch_{i}")(x)) for i, t in enumerate(thetas)]
    return model(inputs, dense("head")(sum_of(x, branches, add, order)))


@pytest.mark.parametrize("theta", [0.0, 1.0])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("add", ADDITIONS)
def test_a_branch_is_added_from_either_side(add, order, theta):
    network = network_of(add, order, [theta])
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    kept = {"branch_0"} if theta == 1.0 else set()
    assert names_in(slim) & {"stem", "branch_0", "head"} == {"stem", "head"} | kept


@pytest.mark.parametrize("thetas", [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)])
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
@pytest.mark.parametrize("add", ADDITIONS)
def test_three_operands_are_added(add, order, thetas):
    network = network_of(add, order, thetas)
    slim = strip_gates(network)
    kept = {f"branch_{i}" for i, theta in enumerate(thetas) if theta == 1.0}
    assert max_difference(network, slim) < 1e-5
    assert {name for name in names_in(slim) if "branch" in name} == kept


def test_nothing_is_left_of_an_addition_with_one_operand():
    slim = strip_gates(network_of(as_layer, (0, 1), [0.0]))
    assert kinds_in(slim) == {"InputLayer", "Dense"}


def test_undecided_branches_stay_with_their_gates():
    network = network_of(as_layer, (1, 0, 2), [0.0, 0.4])
    smaller = remove_closed_sections(network)
    assert max_difference(network, smaller) < 1e-5
    assert "branch_0" not in names_in(smaller)
    assert "branch_1" in names_in(smaller)
    assert thetas_in(smaller) == [np.float32(0.4)]


@pytest.mark.parametrize("add", ADDITIONS)
@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 2), (2, 0, 1)])
def test_a_closed_branch_that_decides_the_shape_by_broadcasting_still_does(add, order):
    inputs = keras.Input((3, 4))
    pooled = keras.layers.GlobalAveragePooling1D(keepdims=True)(inputs)
    branches = [gate(0.0)(dense("gone")(inputs)), dense("kept")(pooled)]
    total = sum_of(pooled, branches, add, order)
    network = model(inputs, total)
    slim = strip_gates(network)
    assert slim.outputs[0].shape == (None, 3, 4)
    assert max_difference(network, slim) < 1e-5
    assert "gone" not in names_in(slim)


ADDED_CONSTANTS = {
    "gate + 1": lambda closed: closed + 1.0,
    "1 + gate": lambda closed: 1.0 + closed,
    "gate + array": lambda closed: closed + np.arange(4.0, dtype="float32"),
}


@pytest.mark.parametrize("add", ADDED_CONSTANTS.values(), ids=ADDED_CONSTANTS)
def test_a_constant_added_to_a_closed_branch_stays(add):
    inputs = keras.Input((4,))
    closed = gate(0.0)(dense("gone")(inputs))
    network = model(inputs, dense("kept")(inputs) * add(closed))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert "gone" not in names_in(slim)


def test_a_branch_that_is_taken_away_leaves_the_shortcut():
    inputs = keras.Input((4,))
    network = model(inputs, dense()(inputs) - gate(0.0)(dense("gone")(inputs)))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert "gone" not in names_in(slim)


def test_a_branch_that_is_added_twice_leaves_twice():
    inputs = keras.Input((4,))
    branch = gate(0.0)(dense("gone")(inputs))
    network = model(inputs, dense()((inputs + branch) + branch))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert kinds_in(slim) == {"InputLayer", "Dense"}


def test_whole_numbers_become_what_they_are_in_a_sum():
    inputs = keras.Input((4,), dtype="int32")
    network = model(inputs, keras.layers.Add()([inputs, gate(0.0)(dense()(inputs))]))
    assert strip_gates(network).outputs[0].dtype == network.outputs[0].dtype


def test_operands_that_broadcast_are_added_without_a_zero_of_their_sum():
    inputs = keras.Input((None, 4))
    column = dense(units=1)(inputs)
    total = keras.layers.Add()([inputs, column, gate(0.0)(dense()(inputs))])
    network = model(inputs, dense()(total))
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    slim = strip_gates(network)
    assert max_difference(network, slim, x) < 1e-5
    operations = [type(x).__name__ for x in slim.operations]
    assert operations == ["InputLayer", "Dense", "Add", "Dense"]


def test_two_closed_branches_added_to_each_other_are_zero():
    inputs = keras.Input((4,))
    branches = [gate(0.0)(dense(f"gone_{i}")(inputs)) for i in range(2)]
    both = keras.layers.Add()(branches)
    network = model(inputs, dense("head")(keras.layers.Add()([both, inputs])))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert kinds_in(slim) == {"InputLayer", "Dense"}
    assert len(slim.layers) == 2


def test_a_closed_factor_closes_the_product():
    inputs = keras.Input((4,))
    closed = gate(0.0)(dense("gone")(inputs))
    product = keras.layers.Multiply()([dense("gone_too")(inputs), closed])
    network = model(inputs, dense("head")(keras.layers.Add()([inputs, product])))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert names_in(slim) & {"gone", "gone_too"} == set()
