"""What a gated network must look like, and what its gates hold."""

import keras
import pytest
from gated_networks import dense, gate, model, randomized, residual

from keras_layer_prune import BernoulliGate, GatedLayer, GatedResidual, strip_gates
from keras_layer_prune.graph.checks import check_gated_network
from keras_layer_prune.graph.gates import (
    find_gates,
    gated_sections,
    layers_behind,
)


def chain_of(*thetas, name="network"):
    x = inputs = keras.Input((4,))
    for i, theta in enumerate(thetas):
        x = residual(x, theta, f"section_{i}")
    return keras.Model(inputs, dense("head")(x), name=name)


def every_kind_of_gate():
    x = inputs = keras.Input((4,))
    x = keras.layers.Add()([x, gate(0.5, name="plain")(dense()(x))])
    x = GatedResidual(dense(), gate=gate(0.5, name="of_residual"))(x)
    x = GatedLayer(dense(), gate=gate(0.5, name="of_layer"))(x)
    x = keras.Sequential([dense(), gate(0.5, name="nested")])(x) + x
    return keras.Model(inputs, x)


def test_gates_are_found_wherever_they_are():
    names = {found.name for found in find_gates(every_kind_of_gate())}
    assert names == {"plain", "of_residual", "of_layer", "nested"}


def test_every_kind_of_gate_passes_the_check():
    network = every_kind_of_gate()
    check_gated_network(network)
    assert len(find_gates(network)) == 4


def test_a_built_sequential_model_passes_the_check():
    layer = GatedResidual(dense())
    check_gated_network(keras.Sequential([keras.Input((4,)), layer]))
    assert layer.built


def test_something_else_than_a_model_is_an_error():
    with pytest.raises(TypeError, match=r"Expected.*keras\.Model\(inputs, outputs\)"):
        check_gated_network([dense()])


def test_a_network_without_gates_is_an_error_that_shows_how_to_add_one():
    network = keras.Sequential([keras.Input((4,)), dense()], name="mine")
    with pytest.raises(ValueError, match=r"`mine` has no gates.*BernoulliGate\(\)"):
        check_gated_network(network)


def test_a_gate_called_twice_is_an_error_that_names_it():
    inputs = keras.Input((4,))
    twice = gate(0.5, name="twice")
    x = keras.layers.Add()([inputs, twice(dense()(inputs))])
    x = keras.layers.Add()([x, twice(dense()(x))])
    with pytest.raises(ValueError, match=r"called more than once: \['twice'\]"):
        check_gated_network(keras.Model(inputs, x))


def test_a_gate_in_a_nested_network_called_twice_is_an_error():
    nested = chain_of(0.5)
    inputs = keras.Input((4,))
    with pytest.raises(ValueError, match="called more than once"):
        check_gated_network(keras.Model(inputs, nested(nested(inputs))))


def test_a_subclassed_model_is_an_error_that_names_its_class():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__(name="mine")
            self.gate = BernoulliGate()

        def call(self, inputs):
            return inputs + self.gate(inputs)

    with pytest.raises(ValueError, match=r"`mine` is a subclassed model \(Subclassed"):
        check_gated_network(Subclassed())


def test_an_unbuilt_sequential_model_is_an_error_whose_advice_works():
    network = keras.Sequential([GatedResidual(dense())], name="mine")
    with pytest.raises(ValueError, match=r"`mine` is not built yet.*network\.build"):
        check_gated_network(network)
    network.build((None, 4))
    check_gated_network(network)


def test_a_gate_that_could_cut_off_an_output_is_an_error_that_names_it():
    inputs = keras.Input((4,))
    x = keras.layers.Add()([inputs, gate(0.5, name="good")(dense()(inputs))])
    x = dense()(gate(0.5, name="bad")(dense()(x)))
    message = r"Closing \['bad'\] would cut an output"
    with pytest.raises(ValueError, match=message):
        check_gated_network(keras.Model(inputs, x, name="mine"))


@pytest.mark.parametrize("make", [GatedResidual, GatedLayer])
def test_a_gate_whose_zeros_only_a_gated_layer_takes_could_cut_off_an_output(make):
    inputs = keras.Input((4,))
    x = gate(0.5, name="bad")(dense()(inputs))
    network = keras.Model(inputs, make(dense(), gate=gate(0.5, name="good"))(x))
    with pytest.raises(ValueError, match=r"Closing \['bad'\] would cut"):
        check_gated_network(network)


def test_gates_that_could_cut_off_an_output_together_are_an_error():
    inputs = keras.Input((4,))
    both = [gate(0.5, name=name)(dense()(inputs)) for name in ("left", "right")]
    network = keras.Model(inputs, keras.layers.Add()(both))
    with pytest.raises(ValueError, match=r"Closing \['left', 'right'\] would cut"):
        check_gated_network(network)


def test_a_gate_that_could_cut_off_one_of_several_outputs_is_an_error():
    inputs = keras.Input((4,))
    outputs = {"kept": dense()(inputs), "cut": gate(0.5, name="bad")(dense()(inputs))}
    with pytest.raises(ValueError, match=r"Closing \['bad'\]"):
        check_gated_network(keras.Model(inputs, outputs))


def blocks_with_gates(*names):
    """Nested blocks, each with a gate; None leaves its name to Keras."""
    x = inputs = keras.Input((4,))
    for name in names:
        inner = keras.Input((4,))
        branch = gate(0.5, **({"name": name} if name else {}))(dense()(inner))
        x = keras.Model(inner, keras.layers.Add()([inner, branch]))(x)
    return keras.Model(inputs, x)


def test_gates_of_the_same_name_are_an_error_whose_advice_works():
    message = r"called the same: \['gate'\].*`BernoulliGate\(name=...\)`, or leave"
    with pytest.raises(ValueError, match=message):
        check_gated_network(blocks_with_gates("gate", "other", "gate"))
    check_gated_network(blocks_with_gates("gate", "other", "third"))
    check_gated_network(blocks_with_gates(None, None))


def test_a_gate_hidden_in_a_custom_layer_is_an_error_whose_advice_works():
    class Block(keras.layers.Layer):
        def __init__(self, inner, **kwargs):
            super().__init__(**kwargs)
            self.inner = inner

        def call(self, inputs):
            return inputs + self.inner(inputs)

    inputs = keras.Input((4,))
    hidden = keras.Model(inputs, Block(gate(0.5, name="hidden"))(inputs), name="mine")
    message = r"graph of `mine` does not show: \['hidden'\].*`GatedLayer`"
    with pytest.raises(ValueError, match=message):
        check_gated_network(hidden)
    check_gated_network(keras.Model(inputs, GatedLayer(Block(dense()))(inputs)))


def names_with_weights(layers):
    return [layer.name for layer in layers if layer.count_params()]


def test_sections_are_listed_with_what_leaves_with_them():
    inputs = keras.Input((4,))
    hidden = dense("hidden", units=6)(inputs)
    branch = gate(0.5, name="first")(dense("out")(hidden))
    x = residual(keras.layers.Add()([inputs, branch]), 0.5, "section")
    network = model(inputs, dense("head")(x))
    first, second = gated_sections(network)
    assert first.name == "first"
    assert names_with_weights(first.layers) == ["hidden", "out"]
    assert names_with_weights(second.layers) == ["section"]


@pytest.mark.parametrize("closed", range(3))
def test_a_section_has_the_parameters_that_its_removal_saves(closed):
    network = randomized(chain_of(1.0, 1.0, 1.0))
    section = gated_sections(network)[closed]
    whole = strip_gates(network).count_params()
    section.gate.probability.assign(0.0)
    assert section.parameters == whole - strip_gates(network).count_params() == 20
    assert section.macs == 16


def test_a_layer_that_two_sections_share_leaves_with_neither_alone():
    inputs = keras.Input((4,))
    shared = dense("shared")
    x = keras.layers.Add()([inputs, gate(0.5)(shared(inputs))])
    x = keras.layers.Add()([x, gate(0.5)(shared(x))])
    network = keras.Model(inputs, x)
    for section in gated_sections(network):
        assert section.parameters == 0
        assert section.macs == 16


def test_the_layers_behind_gates_are_those_that_closing_all_gates_removes():
    network = chain_of(0.5, 0.5)
    names = {layer.name for layer in layers_behind(find_gates(network), network)}
    assert names == {"section_0", "section_1"}
