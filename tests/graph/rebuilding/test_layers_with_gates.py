"""`GatedResidual` and `GatedLayer` give way to what is left of them."""

import keras
import numpy as np
import pytest
from gated_networks import dense, gate, kinds_in, model, names_in, randomized, residual

from keras_layer_prune import (
    GatedLayer,
    GatedResidual,
    max_difference,
    remove_closed_sections,
    strip_gates,
)
from keras_layer_prune.graph.gates import find_gates
from keras_layer_prune.graph.rebuilding.retrace import Retrace

OWN = {"BernoulliGate", "GatedResidual", "GatedLayer"}


def sequential(*layers):
    return randomized(keras.Sequential([keras.Input((4,)), *layers]))


@pytest.mark.parametrize("theta", [0.0, 1.0])
def test_a_gated_residual_gives_way_to_its_section_or_to_nothing(theta):
    layer = GatedResidual(dense("section"), gate=gate(theta))
    network = sequential(dense("stem"), layer, dense("head"))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert ("section" in names_in(slim)) == (theta == 1.0)
    assert kinds_in(slim) & OWN == set()


@pytest.mark.parametrize("theta", [0.0, 1.0])
def test_the_shortcut_of_a_gated_residual_stays(theta):
    shortcut = keras.layers.Dense(3, name="shortcut")
    layer = GatedResidual(dense("section", units=3), shortcut, gate(theta))
    # Nonlinear, so that the shortcut is not folded into what follows.
    after = keras.layers.Activation("tanh")
    network = sequential(dense("stem"), layer, after, dense("head"))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert "shortcut" in names_in(slim)
    assert ("section" in names_in(slim)) == (theta == 1.0)


@pytest.mark.parametrize("theta", [0.0, 1.0])
def test_a_gated_layer_gives_way_to_its_layer_or_to_nothing(theta):
    network = sequential(dense(), GatedLayer(dense("block"), gate(theta)), dense())
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert ("block" in names_in(slim)) == (theta == 1.0)
    assert kinds_in(slim) == {"InputLayer", "Dense"}


@pytest.mark.parametrize("make", [GatedResidual, GatedLayer])
def test_undecided_layers_with_gates_stay(make):
    undecided = make(dense("kept"), gate=gate(0.4))
    network = sequential(undecided, make(dense("gone"), gate=gate(0.0)))
    smaller = remove_closed_sections(network)
    assert max_difference(network, smaller) < 1e-5
    assert "kept" in names_in(smaller)
    assert "gone" not in names_in(smaller)


@pytest.mark.parametrize("make", [GatedResidual, GatedLayer])
@pytest.mark.parametrize("outer", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("inner", [0.0, 0.4, 1.0])
def test_gates_inside_of_a_gated_section_are_decided_too(make, outer, inner):
    x = keras.Input((4,))
    section = keras.Model(x, residual(x, inner, "inner"))
    network = sequential(dense(), make(section, gate=gate(outer)), dense())
    smaller = remove_closed_sections(network)
    assert max_difference(network, smaller) < 1e-5
    assert ("inner" in names_in(smaller)) == (inner > 0.0 and outer > 0.0)


class CalledTwice(keras.Sequential):
    """A row of a user's own."""

    def call(self, inputs, **arguments):
        return super().call(super().call(inputs, **arguments), **arguments)


@pytest.mark.parametrize("make", [GatedResidual, GatedLayer])
def test_a_row_that_does_anything_else_with_its_layers_stays_one_layer(make):
    row = CalledTwice([keras.Input((4,)), dense()])
    network = sequential(make(row, gate=gate(1.0)))
    assert max_difference(network, strip_gates(network)) < 1e-5


@pytest.mark.parametrize("make", [GatedResidual, GatedLayer])
def test_sections_of_the_same_name_can_be_stripped(make):
    # Inside of their gated layers, names need not differ from each other.
    def section():
        return keras.Sequential([dense("first"), dense("second")], name="section")

    network = sequential(*(make(section(), gate=gate(1.0)) for _ in range(2)))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert slim.count_params() == 4 * (4 * 4 + 4)


def test_a_section_shared_by_two_gated_layers_stays_shared():
    section = dense("section")
    layers = [GatedResidual(section, gate=gate(1.0)) for _ in range(2)]
    network = sequential(*layers)
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert slim.count_params() == 4 * 4 + 4


def one_layer():
    return dense("shared")


def row():
    return keras.Sequential([dense("shared")])


def nested_network():
    x = keras.Input((4,))
    return keras.Model(x, dense("shared")(x))


def network_with_a_gate():
    x = keras.Input((4,))
    return keras.Model(x, dense("shared")(residual(x, 0.0)))


def has_it_once(network):
    return sum("shared/kernel" in weight.path for weight in network.weights) == 1


@pytest.mark.parametrize(
    ("theta", "rebuild"),
    [(0.4, remove_closed_sections), (1.0, remove_closed_sections), (1.0, strip_gates)],
)
@pytest.mark.parametrize("part", [one_layer, row, nested_network, network_with_a_gate])
def test_a_section_that_is_used_elsewhere_too_stays_shared(part, theta, rebuild):
    # Copies of its own for each use would train apart.
    section = part()
    gated = [make(section, gate=gate(theta)) for make in (GatedResidual, GatedLayer)]
    network = sequential(section, *gated)
    smaller = rebuild(network)
    assert max_difference(network, smaller) < 1e-5
    assert has_it_once(smaller)


def as_a_shortcut(layer):
    return GatedResidual(dense(), layer, gate(0.4))


def inside_of_a_row(layer):
    return GatedResidual(keras.Sequential([dense(), layer]), gate=gate(0.4))


def behind_another_gate(layer):
    inner = keras.Sequential([GatedResidual(layer, gate=gate(0.4))])
    return GatedLayer(inner, gate(0.4))


@pytest.mark.parametrize("use", [as_a_shortcut, inside_of_a_row, behind_another_gate])
def test_a_part_of_a_gated_layer_that_is_used_elsewhere_too_stays_shared(use):
    shared = dense("shared")
    network = sequential(shared, use(shared))
    smaller = remove_closed_sections(network)
    assert max_difference(network, smaller) < 1e-5
    assert has_it_once(smaller)


@pytest.mark.parametrize("make", [GatedResidual, GatedLayer])
def test_a_gate_that_two_gated_layers_share_stays_shared(make):
    shared = gate(0.4)
    network = sequential(*(make(dense(), gate=shared) for _ in range(2)))
    assert len(find_gates(remove_closed_sections(network))) == 1


@pytest.mark.parametrize("theta", [0.4, 1.0])
def test_a_gated_layer_can_be_called_twice(theta):
    section = keras.Sequential([keras.Input((4,)), GatedLayer(dense(), gate(0.0))])
    layer = GatedResidual(section, gate=gate(theta))
    network = sequential(layer, dense(), layer)
    rebuild = strip_gates if theta == 1.0 else remove_closed_sections
    assert max_difference(network, rebuild(network)) < 1e-5


@pytest.mark.parametrize("make", [GatedResidual, GatedLayer])
@pytest.mark.parametrize("theta", [0.0, 1.0])
def test_a_gated_layer_can_be_called_by_the_name_of_its_argument(make, theta):
    inputs = keras.Input((4,))
    network = model(inputs, make(dense(), gate=gate(theta))(inputs=inputs))
    assert max_difference(network, strip_gates(network)) < 1e-5


@pytest.mark.parametrize("theta", [0.0, 0.4, 1.0])
def test_masks_are_passed_on_in_the_rebuilt_network(theta):
    inputs, other = keras.Input((3, 4)), keras.Input((5, 4))
    mask = keras.Input((3, 5), dtype="bool")
    attention = keras.layers.MultiHeadAttention(num_heads=2, key_dim=2)
    layer = GatedLayer(attention, gate(theta))
    outputs = layer(inputs, other, attention_mask=mask)
    network = model([inputs, other, mask], dense()(outputs))
    smaller = remove_closed_sections(network)
    generator = np.random.default_rng(0)
    x = [generator.normal(size=(8, n, 4)).astype("float32") for n in (3, 5)]
    half = generator.random((8, 3, 5)) < 0.5
    assert max_difference(network, smaller, [*x, half]) < 1e-5
    if theta > 0.0:
        everything = np.ones_like(half)
        masked, unmasked = smaller([*x, half]), smaller([*x, everything])
        assert float(keras.ops.max(abs(masked - unmasked))) > 1e-5


def test_further_arguments_stay_where_a_section_left_before_the_gated_layer():
    inputs, other = keras.Input((3, 4)), keras.Input((5, 4))
    # Linear, so that it could be folded into what follows.
    x = residual(keras.layers.Dense(4)(inputs), 0.0)
    attention = keras.layers.MultiHeadAttention(num_heads=2, key_dim=2)
    network = model([inputs, other], GatedLayer(attention, gate(0.4))(x, other))
    assert max_difference(network, remove_closed_sections(network)) < 1e-5


@pytest.mark.parametrize("make", [GatedResidual, GatedLayer])
@pytest.mark.parametrize("theta", [0.0, 0.4, 1.0])
def test_half_precision_layers_in_a_full_precision_session_stay_half(make, theta):
    # As after loading a network that was trained under another policy.
    policy = "mixed_bfloat16"
    inputs = keras.Input((4,))
    section = dense(dtype=policy)
    half = gate(theta, dtype=policy)
    network = model(inputs, make(section, gate=half, dtype=policy)(inputs))
    rebuild = remove_closed_sections if theta == 0.4 else strip_gates
    smaller = rebuild(network)
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    assert smaller.outputs[0].dtype == network.outputs[0].dtype == "bfloat16"
    outputs, smaller_outputs = (np.asarray(m(x), "float32") for m in (network, smaller))
    if make is GatedResidual:
        np.testing.assert_array_equal(smaller_outputs, outputs)
    # `x + (layer(x) - x)` is rounded twice, and the layer alone is not.
    np.testing.assert_allclose(smaller_outputs, outputs, atol=0.02)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
@pytest.mark.parametrize("make", [GatedResidual, GatedLayer])
def test_a_layer_that_is_rebuilt_in_part_keeps_its_precision(make, policy):
    x = keras.Input((4,), dtype=keras.DTypePolicy(policy).compute_dtype)
    branch = gate(0.0, dtype=policy)(dense(dtype=policy)(x))
    section = keras.Model(x, keras.layers.Add(dtype=policy)([x, branch]))
    section = keras.Sequential([section, dense(dtype=policy)])
    half = gate(0.4, dtype=policy)
    inputs = keras.Input((4,))
    outputs = make(section, gate=half, name="outer", dtype=policy)(inputs)
    network = model(inputs, outputs)
    smaller = remove_closed_sections(network)
    assert smaller.get_layer("outer").dtype_policy.name == policy
    assert smaller.outputs[0].dtype == network.outputs[0].dtype
    assert len(smaller.weights) < len(network.weights)


def test_a_half_precision_gate_on_a_full_precision_branch_leaves_its_rounding():
    inputs = keras.Input((4,))
    branch = gate(1.0, dtype="mixed_bfloat16")(dense()(inputs))
    network = model(inputs, branch)
    slim = strip_gates(network)
    assert slim.outputs[0].dtype == network.outputs[0].dtype == "bfloat16"


def test_what_a_row_of_layers_is_called_behind_its_gate_is_free():
    inputs = keras.Input((8,))
    x = dense("r_fc", units=8)(dense("fc", units=8)(inputs))
    section = keras.Sequential([dense("fc", units=8)])
    x = GatedResidual(section, gate=gate(1.0), name="r")(x)
    network = model(inputs, x)
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert {"fc", "r_fc", "r_fc_more", "r"} <= names_in(slim)


def test_a_layer_keeps_the_name_that_it_shares_with_its_gated_layer():
    # As `gate_sections` calls the two.
    gated = GatedLayer(dense("block"), gate(1.0), name="block")
    network = sequential(gated, dense("head"))
    assert [x.name for x in strip_gates(network).layers[1:]] == ["block", "head"]


def test_a_section_does_not_keep_the_name_that_its_addition_takes():
    residual = GatedResidual(dense("block"), gate=gate(1.0), name="block")
    slim = strip_gates(sequential(dense("stem"), residual, dense("head")))
    names = [x.name for x in slim.layers[1:]]
    assert names == ["stem", "block_block", "block", "head"]


@pytest.mark.parametrize("is_shared", [False, True])
def test_an_undecided_layer_in_a_row_behind_its_gate_gets_a_free_name(is_shared):
    first = dense("fc")
    inner = GatedLayer(first if is_shared else dense(), gate(0.4), name="fc")
    outer = GatedResidual(keras.Sequential([inner]), gate=gate(0.9), name="r")
    network = sequential(first, outer)
    # As in training, where some gates open before others are decided.
    smaller = Retrace(network, opened=[outer.gate]).rebuild()
    assert [x.name for x in smaller.layers[1:]] == ["fc", "r_fc", "r"]


def test_a_section_that_is_called_once_more_keeps_its_name():
    inputs = keras.Input((8,))
    shared = dense("shared", units=8)
    network = model(inputs, shared(GatedResidual(shared, gate=gate(1.0))(inputs)))
    slim = strip_gates(network)
    assert slim.output_names == network.output_names == ["shared"]
    assert max_difference(network, slim) < 1e-5


def section_of_words():
    section = [
        keras.layers.IntegerLookup(vocabulary=[0, 1, 2], name="lookup"),
        keras.layers.Embedding(4, 1),
        keras.layers.Flatten(),
    ]
    return keras.Sequential([keras.layers.Lambda(to_integers), *section])


def to_integers(x):
    return keras.ops.cast(x, "int64")


def test_vocabularies_of_one_name_get_names_of_their_own():
    x = inputs = keras.Input((4,))
    for name in ("first", "second"):
        x = GatedResidual(section_of_words(), gate=gate(1.0), name=name)(x)
    network = keras.Model(inputs, x)
    slim = strip_gates(network)
    names = [layer.name for layer in slim.layers if "lookup" in layer.name]
    assert len(set(names)) == 2
    x = np.arange(8.0, dtype="float32").reshape(2, 4)
    np.testing.assert_allclose(slim(x), network(x), atol=1e-6)
