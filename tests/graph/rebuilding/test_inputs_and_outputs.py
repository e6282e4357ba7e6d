"""Rebuilt networks are called, and answer, as the old ones."""

import keras
import numpy as np
import pytest
from gated_networks import dense, gate, model, names_in, residual

from keras_layer_prune import max_difference, strip_gates


def two_inputs():
    return keras.Input((4,), name="left"), keras.Input((4,), name="right")


def body(left, right):
    branch = gate(0.0)(dense("gone")(right))
    total = keras.layers.Add()([left, branch, gate(1.0)(dense("kept")(right))])
    return dense("first")(total), dense("second")(right)


@pytest.mark.parametrize("structure", ["list", "tuple", "dict"])
def test_several_inputs_and_outputs_keep_their_structure(structure):
    inputs = two_inputs()
    outputs = body(*inputs)
    if structure == "dict":
        # Not in the order of their names.
        network = model(
            {"right": inputs[1], "left": inputs[0]},
            {"z": outputs[0], "a": outputs[1]},
        )
        arguments = {"left": np.ones((2, 4)), "right": np.zeros((2, 4))}
    else:
        kind = {"list": list, "tuple": tuple}[structure]
        network = model(kind(inputs), kind(outputs))
        arguments = kind([np.ones((2, 4)), np.zeros((2, 4))])
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    answer, slim_answer = network(arguments), slim(arguments)
    assert type(slim_answer) is type(answer)
    if structure == "dict":
        assert list(slim_answer) == list(answer)
    assert "gone" not in names_in(slim)


def test_nested_output_structures_keep_their_form():
    inputs = keras.Input((4,))
    x = residual(inputs, 0.0)
    network = model(inputs, {"pair": (x, dense()(x)), "single": [dense()(x)]})
    slim = strip_gates(network)
    answer = slim(np.ones((2, 4)))
    assert isinstance(answer["pair"], tuple)
    assert isinstance(answer["single"], list)
    assert max_difference(network, slim) < 1e-5


def test_names_shapes_and_dtypes_of_inputs_stay():
    image = keras.Input((4, 4, 1), batch_size=2, dtype="uint8", name="image")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1.0 / 255.0)(image))
    slim = strip_gates(model(image, gate(1.0)(x)))
    (new,) = slim.inputs
    assert (new.name, tuple(new.shape), new.dtype) == ("image", (2, 4, 4, 1), "uint8")


def test_an_input_that_only_a_closed_branch_used_is_still_accepted():
    left, right = two_inputs()
    branch = gate(0.0)(dense("gone")(right))
    network = model([left, right], dense()(keras.layers.Add()([left, branch])))
    slim = strip_gates(network)
    assert [x.name for x in slim.inputs] == ["left", "right"]
    assert max_difference(network, slim) < 1e-5


def test_an_optional_input_can_still_be_left_out():
    required = keras.Input((4,), name="required")
    optional = keras.Input((4,), name="optional", optional=True)
    outputs = [residual(required, 0.0), dense("other")(optional)]
    network = keras.Model([required, optional], outputs[0])
    slim = strip_gates(network)
    x = np.ones((2, 4), "float32")
    np.testing.assert_allclose(slim([x, None]), network([x, None]), rtol=1e-6)


def test_a_network_of_one_closed_section_is_the_identity():
    inputs = keras.Input((4,))
    slim = strip_gates(model(inputs, residual(inputs, 0.0)))
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_array_equal(slim(x), x)


def test_outputs_that_become_the_same_tensor_are_both_returned():
    inputs = keras.Input((4,))
    x = dense()(inputs)
    network = model(inputs, {"before": x, "after": residual(x, 0.0)})
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert set(slim(np.ones((1, 4)))) == {"before", "after"}


def test_an_input_without_a_name_keeps_both_that_keras_makes_up():
    inputs = keras.Input((4,))
    network = keras.Model(inputs, residual(inputs, 1.0))
    slim = strip_gates(network)
    assert slim.layers[0].name == network.layers[0].name
    assert slim.inputs[0].name == network.inputs[0].name
    assert slim.layers[0].name != slim.inputs[0].name


def test_the_name_of_the_network_stays():
    inputs = keras.Input((4,))
    network = keras.Model(inputs, residual(inputs, 1.0), name="mine")
    assert strip_gates(network).name == "mine"
