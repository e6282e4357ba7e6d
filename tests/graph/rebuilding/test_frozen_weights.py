"""A weight that is frozen by itself, which no config says, stays frozen in a copy."""

import keras
import pytest
from gated_networks import dense, gate, layers_in, model

from keras_layer_prune import (
    GatedLayer,
    GatedResidual,
    gate_sections,
    remove_closed_sections,
    strip_gates,
)


def half_frozen(theta=None):
    """A network whose stem, head and inner layer have a frozen kernel each."""
    x = inputs = keras.Input((4,))
    x = dense("stem")(x)
    branch = keras.Sequential([keras.Input((4,)), dense("inner")], name="row")(x)
    x = keras.layers.Add()([x, branch if theta is None else gate(theta)(branch)])
    if theta is not None:
        x = GatedResidual(dense("section"), gate=gate(1.0), name="residual")(x)
        x = GatedLayer(dense("wrapped"), gate=gate(0.0))(x)
    network = model(inputs, dense("head")(x))
    for weight in network.weights:
        if weight.path.split("/")[-2] in ("stem", "inner", "section", "head"):
            weight.trainable = weight.name != "kernel"
    return network


def trains(network):
    """Whether each weight of a layer trains, by the names of the two."""
    return {
        tuple(weight.path.split("/")[-2:]): weight.trainable
        for weight in network.weights
        if weight.name in ("kernel", "bias")
    }


def test_the_network_of_these_tests_has_both_kinds_in_one_layer():
    found = trains(half_frozen(1.0))
    assert found["inner", "kernel"] is found["head", "kernel"] is False
    assert found["inner", "bias"] is found["wrapped", "kernel"] is True


@pytest.mark.parametrize("theta", [0.0, 1.0])
@pytest.mark.parametrize("rebuild", [strip_gates, remove_closed_sections])
def test_frozen_weights_stay_frozen_without_gates(rebuild, theta):
    network = half_frozen(theta)
    smaller, before = trains(rebuild(network)), trains(network)
    assert {("stem", "kernel"), ("section", "kernel"), ("head", "bias")} <= set(smaller)
    assert smaller == {name: before[name] for name in smaller}


@pytest.mark.parametrize("rebuild", [strip_gates, remove_closed_sections])
def test_models_that_are_frozen_as_wholes_stay_so(rebuild):
    network = half_frozen(1.0)
    network.get_layer("row").trainable = False
    smaller = rebuild(network)
    assert smaller.get_layer("row").trainable is False
    assert smaller.trainable is True
    network.trainable = False
    assert rebuild(network).trainable is False


def test_frozen_weights_stay_frozen_with_gates():
    network = half_frozen()
    assert trains(gate_sections(network)) == trains(network)


@pytest.mark.parametrize("make", [GatedResidual, GatedLayer])
def test_a_gated_layer_that_is_made_of_new_parts_stays_frozen(make):
    row = keras.Sequential([GatedLayer(dense(), gate(0.0)), dense("inner")])
    frozen = make(row, gate=gate(0.4), name="frozen")
    network = keras.Sequential([keras.Input((4,)), frozen])
    frozen.trainable = False
    row.layers[-1].trainable = True
    copy = remove_closed_sections(network).get_layer("frozen")
    assert copy.trainable is False
    trains = {x.name for x in layers_in(copy) if x.trainable and x.weights}
    assert trains == {"inner"}


@pytest.mark.parametrize("make", [GatedResidual, GatedLayer])
def test_a_gated_layer_that_is_made_of_new_parts_goes_on_training(make):
    row = keras.Sequential([GatedLayer(dense(), gate(0.0)), dense()])
    gated = make(row, gate=gate(0.4), name="gated")
    network = keras.Sequential([keras.Input((4,)), gated])
    copy = remove_closed_sections(network).get_layer("gated")
    assert len(copy.trainable_weights) == 2
