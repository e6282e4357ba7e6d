"""Linear layers that a section held apart become one; others stay what they are."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from gated_networks import dense, gate, kinds_in, layers_in, model

from keras_layer_prune import (
    GatedLayer,
    GatedModel,
    GatedResidual,
    find_sections,
    remove_closed_sections,
    strip_gates,
    summarize,
)
from keras_layer_prune.graph.gates import find_gates
from keras_layer_prune.graph.rebuilding.retrace import Retrace
from keras_layer_prune.layers.seam import Seam

layers = keras.layers
MAPS = (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D)


def section(x, theta=0.0):
    """A nonlinear section that keeps the shape."""
    return layers.Add()([x, gate(theta)(layers.Dense(x.shape[-1], "sigmoid")(x))])


def row(shape, *parts, theta=0.0):
    """Layers in a row; `section` stands for a gated section."""
    x = inputs = keras.Input(shape)
    for part in parts:
        x = section(x, theta) if part is section else part(x)
    return model(inputs, x)


def difference(network, other, rows=5):
    """Largest difference of the outputs, relative to their scale."""
    shape = (rows, *network.inputs[0].shape[1:])
    x = np.random.default_rng(1).normal(size=shape).astype("float32")
    outputs, others = (
        np.ravel(
            keras.ops.concatenate(
                [keras.ops.reshape(y, (rows, -1)) for y in keras.tree.flatten(m(x))],
                axis=1,
            )
        )
        for m in (network, other)
    )
    return np.max(np.abs(outputs - others)) / np.max(np.abs(outputs))


def maps_in(network):
    return [x for x in layers_in(network) if isinstance(x, MAPS)]


def macs(network):
    return summarize(network, latency=False).macs


def not_folded(network):
    gates = find_gates(network)
    closed, opened = (
        [g for g in gates if float(g.probability) == theta] for theta in (0.0, 1.0)
    )
    return Retrace(network, closed, opened).rebuild()


def check_folded(network, maps=1):
    slim = strip_gates(network)
    assert difference(network, slim) < 1e-5
    assert len(maps_in(slim)) == maps
    assert macs(slim) < macs(not_folded(network))
    assert macs(slim) < macs(network)
    assert "Seam" not in kinds_in(slim)
    return slim


def check_not_folded(network, maps=2):
    slim = strip_gates(network)
    assert difference(network, slim) < 1e-5
    assert len(maps_in(slim)) == maps
    assert macs(slim) == macs(not_folded(network))
    assert "Seam" not in kinds_in(slim)
    return slim


@pytest.mark.parametrize("second_bias", [False, True])
@pytest.mark.parametrize("first_bias", [False, True])
@pytest.mark.parametrize(
    "shape, first, second",
    [
        ((4,), layers.Dense, layers.Dense),
        ((3, 4), layers.Dense, layers.Dense),
        ((9, 2), layers.Dense, lambda n, **k: layers.Conv1D(n, 3, **k)),
        ((6, 6, 2), lambda n, **k: layers.Conv2D(n, 1, **k), layers.Dense),
        *(
            ((6, 6, 2), lambda n, **k: layers.Conv2D(n, 1, **k), second)
            for second in [
                lambda n, **k: layers.Conv2D(n, 1, **k),
                lambda n, **k: layers.Conv2D(n, 1, strides=2, padding="same", **k),
                lambda n, **k: layers.Conv2D(n, 3, **k),
                lambda n, **k: layers.Conv2D(n, 3, strides=2, **k),
                lambda n, **k: layers.Conv2D(n, 2, dilation_rate=2, **k),
            ]
        ),
        *(
            ((6, 6, 2), first, lambda n, **k: layers.Conv2D(n, 1, **k))
            for first in [
                lambda n, **k: layers.Conv2D(n, 3, padding="same", **k),
                lambda n, **k: layers.Conv2D(n, 3, strides=2, **k),
            ]
        ),
        (
            (4, 4, 4, 2),
            lambda n, **k: layers.Conv3D(n, 1, **k),
            lambda n, **k: layers.Conv3D(n, 2, **k),
        ),
    ],
)
def test_two_linear_layers_become_one(shape, first, second, first_bias, second_bias):
    network = row(
        shape, first(5, use_bias=first_bias), section, second(3, use_bias=second_bias)
    )
    slim = check_folded(network)
    (whole,) = maps_in(slim)
    assert whole.use_bias == (first_bias or second_bias)


@pytest.mark.parametrize("padding", ["same", "causal"])
def test_padding_is_no_hindrance_without_an_offset(padding):
    first = layers.Dense(5, use_bias=False)
    check_folded(row((9, 2), first, section, layers.Conv1D(3, 3, padding=padding)))


@pytest.mark.parametrize("padding", ["same", "causal"])
def test_an_offset_before_padding_stays_where_it_is(padding):
    second = layers.Conv1D(3, 3, padding=padding)
    check_not_folded(row((9, 2), layers.Dense(5), section, second))


def test_padding_along_one_axis_is_enough_to_keep_an_offset_where_it_is():
    second = layers.Conv2D(3, (1, 3), padding="same")
    check_not_folded(row((6, 6, 2), layers.Dense(5), section, second))


def test_a_first_layer_that_leaves_places_out_is_not_applied_later():
    first = layers.Conv2D(5, 1, strides=2, use_bias=False)
    check_not_folded(row((9, 9, 2), first, section, layers.Conv2D(3, 3)))


def test_two_wide_layers_stay_two():
    check_not_folded(row((9, 9, 2), layers.Conv2D(5, 2), section, layers.Conv2D(3, 3)))


def test_a_wide_first_layer_is_not_applied_after_a_pooling():
    parts = [layers.Conv2D(5, 3), section, layers.AveragePooling2D(2)]
    check_not_folded(row((9, 9, 2), *parts, layers.Conv2D(3, 1)))


def test_what_follows_keeps_its_activation_and_its_name():
    second = layers.Dense(3, "tanh", name="head")
    (whole,) = maps_in(check_folded(row((4,), layers.Dense(5), section, second)))
    assert whole.name == "head"
    assert whole.activation is keras.activations.tanh


def test_activations_of_users_need_not_be_registered():
    def mine(x):
        return keras.ops.tanh(2.0 * x)

    check_folded(row((4,), layers.Dense(5), section, layers.Dense(3, mine)))


def test_a_layer_that_activates_by_a_layer_with_weights_stays():
    second = layers.Dense(3, activation=layers.PReLU(), name="second")
    network = row((4,), layers.Dense(5), section, second)
    # Keras makes the weights of the activation at the first call.
    network(np.ones((1, 4), "float32"))
    second.activation.alpha.assign([0.5, -1.0, 2.0])
    slim = strip_gates(network)
    assert difference(network, slim) < 1e-5
    assert slim.get_layer("second").kernel.shape == (5, 3)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    "between",
    [
        [layers.AveragePooling2D(2)],
        [layers.Cropping2D(1)],
        [layers.Cropping2D(1), layers.AveragePooling2D(3, 2)],
        [layers.AveragePooling2D(2), layers.Flatten()],
        [layers.GlobalAveragePooling2D()],
        [layers.GlobalAveragePooling2D(keepdims=True)],
        [layers.Flatten()],
    ],
)
@pytest.mark.parametrize("place", [0, -1])
def test_layers_over_places_stand_in_no_way(between, bias, place):
    between = [type(x).from_config(x.get_config()) for x in between]
    parts = [layers.Conv2D(5, 1, use_bias=bias), *between]
    parts.insert(1 if place == 0 else len(parts), section)
    slim = check_folded(row((8, 8, 2), *parts, layers.Dense(3)))
    kinds = [type(x).__name__ for x in slim.layers[1:-1]]
    assert kinds == [type(x).__name__ for x in between]


@pytest.mark.parametrize("rank", [1, 3])
def test_so_they_do_along_any_number_of_axes(rank):
    conv, crop, average, global_average = (
        getattr(layers, f"{kind}{rank}D")
        for kind in ("Conv", "Cropping", "AveragePooling", "GlobalAveragePooling")
    )
    parts = [conv(5, 1), section, crop(1), average(2), global_average()]
    check_folded(row((8,) * rank + (2,), *parts, layers.Dense(3)))


@pytest.mark.parametrize(
    "between",
    [
        layers.MaxPooling2D(2),
        layers.ZeroPadding2D(1),
        layers.ReLU(),
        layers.Dropout(0.5),
        layers.BatchNormalization(),
        layers.AveragePooling2D(2, padding="same"),
        layers.AveragePooling2D(2, dtype="float64"),
    ],
)
def test_what_is_not_plainly_linear_over_places_keeps_layers_apart(between):
    between = type(between).from_config(between.get_config())
    x = inputs = keras.Input((7, 7, 2))
    x = between(section(layers.Conv2D(5, 1)(x)))
    network = model(inputs, layers.Conv2D(3, 1)(x))
    assert len(maps_in(strip_gates(network))) == 2


def test_a_row_of_many_becomes_one():
    parts = [part for n in (8, 6, 9, 5, 3) for part in (layers.Dense(n), section)]
    check_folded(row((4,), *parts))


def test_no_fold_costs_more_than_it_saves():
    # 16 to 2 and back to 16 is 64 products, and 256 at once.
    check_not_folded(row((16,), layers.Dense(2), section, layers.Dense(16)))


def test_a_fold_that_costs_as_much_is_done():
    slim = strip_gates(row((4,), layers.Dense(2), section, layers.Dense(4)))
    assert macs(slim) == 4 * 4 == 4 * 2 + 2 * 4
    assert len(maps_in(slim)) == 1
    slim = strip_gates(fan(layers.Dense(1), layers.Dense(1), between=1))
    assert macs(slim) == 36 * (2 + 2) == 36 * (2 + 1 + 1)
    assert len(maps_in(slim)) == 2


def test_a_fold_that_an_average_makes_pay_is_done():
    # 2 to 9 at once is less work at a quarter of the places, and more at all of them.
    parts = [layers.Conv2D(2, 1), section, layers.AveragePooling2D(2)]
    check_folded(row((8, 8, 2), *parts, layers.Conv2D(9, 1)))


def test_a_wide_layer_is_not_folded_with_what_was_folded_over_an_average():
    parts = [layers.Conv2D(1, 3), section, layers.Conv2D(16, 1)]
    parts += [layers.AveragePooling2D(2), section, layers.Conv2D(1, 1)]
    check_folded(row((8, 8, 4), *parts), maps=2)


def test_of_a_row_only_those_are_folded_that_save_something():
    parts = [layers.Dense(2), section, layers.Dense(16), section, layers.Dense(2)]
    slim = check_folded(row((16,), *parts), maps=1)
    assert macs(slim) == 16 * 2


def test_layers_that_stood_side_by_side_stay_two():
    parts = [layers.Dense(9), layers.Dense(5), layers.ReLU(), section, dense()]
    check_not_folded(row((4,), *parts), maps=3)


@pytest.mark.parametrize(
    "parts, kernels",
    [
        ([layers.Dense(9), layers.Dense(7), section], [(4, 9), (9, 3)]),
        ([layers.Dense(9), section, layers.Dense(7)], [(4, 7), (7, 3)]),
    ],
)
def test_neighbours_from_the_start_stay_two_even_where_one_would_be_less_work(
    parts, kernels
):
    slim = check_folded(row((4,), *parts, layers.Dense(3)), maps=2)
    assert [tuple(x.kernel.shape) for x in maps_in(slim)] == kernels


def test_an_activation_before_the_layers_between_keeps_layers_apart():
    parts = [layers.Conv2D(5, 1, activation="tanh"), layers.AveragePooling2D(2)]
    check_not_folded(row((8, 8, 2), *parts, section, layers.Dense(3)))


def test_a_factorisation_stays_one_beside_what_is_folded():
    factors = layers.Dense(2, name="narrow"), layers.Dense(8, name="wide")
    network = row((8,), *factors, section, layers.Dense(8, name="last"))
    slim = check_folded(network, maps=2)
    assert [x.name for x in maps_in(slim)] == ["narrow", "last"]
    assert slim.get_layer("last").kernel.shape == (2, 8)


def test_opening_a_gate_makes_no_neighbours():
    x = inputs = keras.Input((4,))
    x = layers.Dense(9)(x)
    x = GatedLayer(layers.Dense(9), gate(1.0))(x)
    x = layers.Dense(9)(gate(1.0)(x))
    check_not_folded(model(inputs, section(x, theta=1.0)), maps=4)


def test_a_layer_whose_gate_opens_is_folded_into_its_neighbour():
    opened = GatedLayer(layers.Dense(5), gate(1.0))
    check_folded(row((4,), layers.Dense(5), section, opened))


def test_a_factorised_shortcut_stays_factorised():
    shortcut = keras.Sequential([layers.Dense(9), layers.Dense(2)])
    layer = GatedResidual(layers.Dense(2, "tanh"), shortcut, gate(0.0))
    check_not_folded(row((4,), layer), maps=2)


@pytest.mark.parametrize("make", ["GatedResidual", "GatedLayer", "addition"])
def test_every_kind_of_section_may_have_stood_between(make):
    x = inputs = keras.Input((4,))
    x = layers.Dense(6)(x)
    if make == "GatedResidual":
        x = GatedResidual(layers.Dense(5, "tanh"), gate=gate(0.0))(x)
    elif make == "GatedLayer":
        x = GatedLayer(layers.Dense(6, "tanh"), gate=gate(0.0))(x)
    else:
        x = layers.Add()([gate(0.0)(layers.Dense(6, "tanh")(x)), x])
    check_folded(model(inputs, layers.Dense(3)(x)))


def test_a_projection_that_was_behind_a_layer_from_the_start_stays_behind_it():
    x = inputs = keras.Input((4,))
    x = layers.Dense(6, name="first")(x)
    branch = gate(0.0)(layers.Dense(5, "tanh")(x))
    x = layers.Add()([branch, layers.Dense(5, name="projection")(x)])
    network = model(inputs, layers.Dense(3, name="last")(x))
    slim = check_folded(network, maps=2)
    assert [layer.name for layer in maps_in(slim)] == ["first", "last"]


def test_a_shortcut_of_several_layers_is_folded_too():
    first = keras.Sequential(
        [layers.Conv2D(6, 3, activation="tanh"), layers.MaxPooling2D()]
    )
    second = keras.Sequential(
        [layers.Conv2D(8, 3, activation="tanh"), layers.MaxPooling2D()]
    )
    x = inputs = keras.Input((22, 22, 3))
    x = GatedResidual(first, gate=gate(0.0))(x)
    x = GatedResidual(second, gate=gate(0.0))(x)
    slim = check_folded(model(inputs, layers.Flatten()(x)))
    assert "Functional" not in kinds_in(slim)


def fan(*outputs, between=5, theta=0.0):
    """A linear layer, a section, and several layers that take the sum."""
    x = inputs = keras.Input((6, 6, 2))
    x = section(layers.Conv2D(between, 1)(x), theta)
    return model(inputs, [layer(x) for layer in outputs])


def test_a_layer_is_folded_into_all_that_take_its_result():
    network = fan(layers.Conv2D(3, 3), layers.Dense(4), layers.Conv2D(3, 1, strides=2))
    slim = check_folded(network, maps=3)
    assert all(x.kernel.shape[-2] == 2 for x in maps_in(slim))


def test_what_stands_between_on_one_of_the_ways_stays_there():
    x = inputs = keras.Input((6, 6, 2))
    x = layers.Cropping2D(1)(section(layers.Dense(5)(x)))
    y = layers.Dense(3)(layers.AveragePooling2D(2)(x))
    check_folded(model(inputs, [y, layers.Conv2D(4, 2)(x)]), maps=2)


@pytest.mark.parametrize("parts", [[8], [8, section, 7]])
def test_of_a_factorisation_only_the_last_is_folded_into_several(parts):
    x = inputs = keras.Input((4,))
    x = layers.Dense(9)(x)
    for part in parts:
        x = section(x) if part is section else layers.Dense(part)(x)
    x = section(x)
    slim = check_folded(model(inputs, [layers.Dense(2)(x), layers.Dense(3)(x)]), maps=3)
    # All of it would be less work as two; the two at the front are the user's choice.
    assert [tuple(x.kernel.shape) for x in maps_in(slim)] == [(4, 9), (9, 2), (9, 3)]


def test_what_is_folded_into_several_makes_other_folds_pay():
    x = inputs = keras.Input((2,))
    x = section(layers.Dense(16)(x))
    y = layers.Dense(16)(section(layers.Dense(3)(x)))
    # 16 to 3 and on to 16 is less work in two; 2 to 3 and on to 16, in one.
    check_folded(model(inputs, [y, layers.Dense(1)(x)]), maps=2)


def test_a_row_is_folded_into_several_from_its_end():
    x = inputs = keras.Input((4,))
    # 4 to 2 and on to 9 is less work in two.
    x = section(layers.Dense(9)(section(layers.Dense(2)(x))))
    check_folded(model(inputs, [layers.Dense(1)(x), layers.Dense(1)(x)]), maps=2)


def test_no_fold_into_several_costs_more_than_it_saves():
    outputs = [layers.Conv2D(9, 3) for _ in range(2)]
    check_not_folded(fan(*outputs, between=1), maps=3)


def test_a_later_layer_on_one_of_the_ways_pays_for_no_fold_into_several():
    x = inputs = keras.Input((4,))
    x = section(layers.Dense(1)(x))
    y = layers.Dense(9)(layers.Dense(9)(x))
    check_not_folded(model(inputs, [y, layers.Dense(1)(x)]), maps=4)


@pytest.mark.parametrize(
    "last",
    [
        layers.ReLU(),
        layers.Conv2D(3, 3, padding="same"),
        layers.Conv2D(3, 3, kernel_regularizer="l2"),
    ],
)
def test_a_layer_that_one_of_several_needs_as_it_is_stays(last):
    last = type(last).from_config(last.get_config())
    slim = strip_gates(fan(layers.Dense(3), last))
    assert len(maps_in(slim)) >= 2
    assert any(x.kernel.shape[-1] == 5 for x in maps_in(slim))


def test_several_that_took_a_result_from_the_start_are_left_alone():
    check_not_folded(fan(layers.Dense(3), layers.Dense(2), theta=1.0), maps=4)
    x = inputs = keras.Input((4,))
    x = layers.Dense(5)(x)
    network = model(inputs, [section(layers.Dense(3)(x)), layers.Dense(2)(x)])
    check_not_folded(network, maps=3)


def chain_of_residuals(*thetas):
    """Each section changes the shape, and is a row of layers."""
    x = inputs = keras.Input((20, 20, 1))
    for i, theta in enumerate(thetas):
        part = [layers.Conv2D(6 + 6 * i, 3, activation="tanh")]
        part = keras.Sequential([*part, layers.MaxPooling2D()], name=f"section_{i}")
        x = GatedResidual(part, gate=gate(theta, name=f"gate_{i}"))(x)
    return model(inputs, layers.Flatten()(x))


def test_a_made_shortcut_is_folded_into_the_section_that_follows():
    slim = check_folded(chain_of_residuals(0.0, 1.0), maps=2)
    assert sorted(tuple(x.kernel.shape) for x in maps_in(slim)) == [
        (1, 1, 1, 12),
        (3, 3, 1, 12),
    ]


def test_a_made_shortcut_is_folded_into_a_section_that_is_decided_later():
    network = chain_of_residuals(0.4, 0.4)
    for name, theta in [("gate_0", 0.0), ("gate_1", 1.0)]:
        (decided,) = (g for g in find_gates(network) if g.name == name)
        decided.probability.assign(theta)
        closed, opened = ([decided], []) if theta == 0.0 else ([], [decided])
        smaller = Retrace(network, closed, opened).rebuild()
        assert difference(network, smaller) < 1e-5
        network = smaller
    slim = strip_gates(network)
    assert difference(network, slim) < 1e-5
    assert len(maps_in(network)) == 3
    assert len(maps_in(slim)) == 2


def test_a_layer_is_folded_into_one_whose_gate_opens_later():
    x = inputs = keras.Input((4,))
    x = section(layers.Dense(3)(x))
    x = GatedLayer(layers.Dense(3), gate(0.4), name="undecided")(x)
    network = model(inputs, x)
    (closed,) = (g for g in find_gates(network) if float(g.probability) == 0.0)
    network = Retrace(network, [closed]).rebuild()
    network.get_layer("undecided").gate.probability.assign(1.0)
    check_folded(network)


def test_averages_that_become_neighbours_become_one():
    parts = [layers.AveragePooling2D(2), section, layers.AveragePooling2D((2, 3), 1)]
    network = row((13, 13, 2), *parts)
    slim = strip_gates(network)
    assert difference(network, slim) < 1e-5
    (whole,) = slim.layers[1:]
    assert whole.pool_size == (4, 6)
    assert whole.strides == (2, 2)


def test_averages_between_which_no_map_is_left_become_one():
    parts = [layers.AveragePooling2D(2), layers.Conv2D(5, 1), section]
    parts += [layers.AveragePooling2D(2), layers.Conv2D(3, 2)]
    slim = check_folded(row((13, 13, 2), *parts))
    assert slim.layers[1].pool_size == (4, 4)
    assert len(slim.layers) == 3


def test_what_followed_an_average_from_the_start_still_does():
    sizes = [2, 2, 3]
    first, *rest = (layers.AveragePooling2D(size) for size in sizes)
    network = row((13, 13, 2), first, section, *rest)
    slim = strip_gates(network)
    assert difference(network, slim) < 1e-5
    assert [x.pool_size for x in slim.layers[1:]] == [(4, 4), (3, 3)]


@pytest.mark.parametrize(
    "first, second",
    [
        (layers.AveragePooling2D(3, 2), layers.AveragePooling2D(2)),
        (layers.AveragePooling2D(2, 3), layers.AveragePooling2D(2)),
        (layers.AveragePooling2D(2, padding="same"), layers.AveragePooling2D(2)),
        [layers.AveragePooling2D(3, padding="same") for _ in range(2)],
        (layers.AveragePooling2D(2), layers.AveragePooling2D(2, padding="same")),
        (layers.AveragePooling2D(2), layers.MaxPooling2D(2)),
        (layers.AveragePooling2D(2), layers.Cropping2D(1)),
        (
            layers.AveragePooling2D(2),
            layers.AveragePooling2D(2, data_format="channels_first"),
        ),
    ],
)
def test_averages_that_overlap_or_are_padded_stay_two(first, second):
    parts = [type(x).from_config(x.get_config()) for x in (first, second)]
    network = row((13, 13, 2), parts[0], section, parts[1])
    slim = strip_gates(network)
    assert difference(network, slim) < 1e-5
    assert len(slim.layers) == 3


def test_averages_that_stood_side_by_side_stay_two():
    parts = [layers.AveragePooling2D(2), layers.AveragePooling2D(2), layers.ReLU()]
    slim = strip_gates(row((13, 13, 2), *parts, section, dense()))
    assert kinds_in(slim) == {"InputLayer", "AveragePooling2D", "ReLU", "Dense"}
    assert len(slim.layers) == 5


def test_a_result_that_is_used_elsewhere_is_still_computed():
    x = inputs = keras.Input((4,))
    between = layers.Dense(5)(x)
    network = model(inputs, [layers.Dense(3)(section(between)), layers.ReLU()(between)])
    check_not_folded(network)


def test_a_result_that_is_an_output_is_still_computed():
    x = inputs = keras.Input((4,))
    between = layers.Dense(5)(x)
    network = model(inputs, [layers.Dense(3)(section(between)), between])
    check_not_folded(network)


def test_a_layer_that_is_called_twice_stays():
    shared = layers.Dense(4)
    x = inputs = keras.Input((4,))
    x = shared(section(shared(x)))
    check_not_folded(model(inputs, layers.ReLU()(x)), maps=1)


def test_a_layer_that_a_nested_network_calls_too_stays():
    shared = layers.Dense(4)
    inner = keras.Input((4,))
    nested = keras.Model(inner, layers.ReLU()(shared(inner)))
    inputs = keras.Input((4,))
    x = layers.Dense(4)(section(shared(nested(inputs))))
    check_not_folded(model(inputs, x))


def test_inside_of_a_nested_network_layers_are_folded():
    inner = keras.Input((4,))
    x = layers.Dense(3)(section(layers.Dense(5)(inner)))
    nested = keras.Model(inner, x, name="nested")
    inputs = keras.Input((4,))
    slim = check_folded(model(inputs, layers.ReLU()(nested(inputs))))
    assert slim.get_layer("nested").count_params() == 4 * 3 + 3


def test_inside_of_an_undecided_section_layers_are_folded():
    inner = keras.Input((4,))
    nested = keras.Model(inner, layers.Dense(4)(section(layers.Dense(5)(inner))))
    inputs = keras.Input((4,))
    layer = GatedResidual(nested, gate=gate(0.4))
    network = model(inputs, layer(inputs))
    smaller = remove_closed_sections(network)
    assert difference(network, smaller) < 1e-5
    assert len(maps_in(smaller)) == 1
    assert "Seam" not in kinds_in(smaller)


def test_undecided_gates_are_no_hindrance_elsewhere():
    network = row((4,), layers.Dense(5), section, layers.Dense(3))
    x = section(network.outputs[0], theta=0.4)
    network = model(network.inputs[0], x)
    smaller = remove_closed_sections(network)
    assert difference(network, smaller) < 1e-5
    assert len(maps_in(smaller)) == 2
    assert len(find_gates(smaller)) == 1


UNUSUAL = [
    {"kernel_regularizer": "l2"},
    {"bias_regularizer": "l2"},
    {"activity_regularizer": "l2"},
    {"kernel_constraint": "non_neg"},
    {"bias_constraint": "non_neg"},
    {"dtype": "mixed_bfloat16"},
    {"dtype": "float64"},
    {"trainable": False},
    {"activation": "tanh"},
    {"lora_rank": 1},
]


@pytest.mark.parametrize("arguments", UNUSUAL, ids=str)
def test_layers_with_something_unusual_about_them_stay(arguments):
    x = inputs = keras.Input((4,))
    x = section(layers.Dense(5, **arguments)(x))
    slim = strip_gates(model(inputs, layers.Dense(3)(x)))
    assert len(maps_in(slim)) == 2


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "float64"])
def test_layers_stay_in_a_network_of_another_precision(policy, dtype):
    policy(dtype)
    network = row((4,), layers.Dense(5), section, layers.Dense(3))
    policy("float32")
    check_not_folded(network)


def test_what_is_folded_has_the_precision_of_its_network_not_of_the_session(policy):
    pools = [layers.AveragePooling2D(2), section, layers.AveragePooling2D(2)]
    network = row((9, 9, 2), layers.Dense(5), section, *pools, layers.Dense(3))
    policy("mixed_bfloat16")
    slim = check_folded(network)
    assert difference(network, not_folded(network)) < 1e-6
    assert [x.dtype_policy.name for x in slim.layers[1:]] == ["float32"] * 2


@pytest.mark.parametrize("weight", ["kernel", "bias"])
@pytest.mark.parametrize(
    "flag, value",
    [
        ("trainable", False),
        ("regularizer", keras.regularizers.L2()),
        ("constraint", keras.constraints.NonNeg()),
    ],
)
@pytest.mark.parametrize("name", ["first", "second"])
def test_layers_stay_one_weight_of_which_trains_otherwise(name, flag, value, weight):
    parts = [layers.Dense(5, name="first"), section, layers.Dense(3, name="second")]
    network = row((4,), *parts)
    # No config says it, as of weights that are frozen one by one.
    setattr(getattr(network.get_layer(name), weight), flag, value)
    slim = check_not_folded(network)
    assert getattr(getattr(slim.get_layer(name), weight), flag) == value


def test_layers_with_adapters_stay_if_they_are_frozen_too():
    parts = [layers.Dense(5, lora_rank=1), section, layers.Dense(3)]
    network = row((4,), *parts)
    network.trainable = False
    check_not_folded(network)


@pytest.mark.parametrize("trainable", [True, False])
def test_layers_that_train_alike_are_folded_and_go_on_so(trainable):
    parts = [layers.Dense(n, trainable=trainable) for n in (5, 3)]
    slim = check_folded(row((4,), parts[0], section, parts[1]))
    assert maps_in(slim)[0].trainable == trainable


@keras.saving.register_keras_serializable("tests")
class DenseOfAUser(keras.layers.Dense):
    """May do anything."""


@pytest.mark.parametrize("kinds", [(0, 1), (1, 0)])
def test_subclassed_layers_stay(kinds):
    first, second = ((layers.Dense, DenseOfAUser)[kind] for kind in kinds)
    check_not_folded(row((4,), first(5), section, second(3)))


def test_grouped_convolutions_stay():
    grouped = layers.Conv2D(4, 1, groups=2)
    check_not_folded(row((4, 4, 2), grouped, section, layers.Conv2D(3, 1)))


def test_layers_of_a_model_in_a_wrapper_stay():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(5), layers.Dense(2)])
    x = inputs = keras.Input((3, 4))
    x = layers.Dense(3)(section(layers.Dense(5)(x)))
    network = model(inputs, [x, layers.TimeDistributed(inner)(inputs)])
    check_folded(network, maps=3)


def test_a_layer_that_was_called_on_a_named_argument_stays():
    inputs = keras.Input((4,))
    x = section(layers.Dense(5)(inputs=inputs))
    check_not_folded(model(inputs, layers.Dense(3)(x)))


def test_sequences_with_a_mask_stay():
    parts = [layers.Masking(), layers.Dense(5), section, layers.Dense(3)]
    check_not_folded(row((4, 2), *parts))


def test_channels_first_and_last_are_not_mixed():
    x = inputs = keras.Input((4, 4, 4))
    first = layers.Conv2D(4, 1, data_format="channels_first")
    x = layers.Dense(3)(section(first(x)))
    slim = strip_gates(keras.Model(inputs, x))
    assert len(maps_in(slim)) == 2


def test_channels_may_come_first_everywhere():
    first = {"data_format": "channels_first"}
    maps = [layers.Conv2D(5, 1, **first), layers.Conv2D(3, 3, **first)]
    averages = [layers.AveragePooling2D(size, **first) for size in (2, 2)]
    parts = [maps[0], averages[0], section, averages[1], maps[1]]
    slim = check_folded(row((2, 16, 12), *parts))
    assert [x.data_format for x in slim.layers[1:]] == ["channels_first"] * 2


def test_a_dense_layer_stays_before_an_average_over_its_outputs():
    average = layers.AveragePooling2D(2, data_format="channels_first")
    check_not_folded(row((6, 6, 2), layers.Dense(4), section, average, layers.Dense(3)))


def test_precision_is_that_of_the_product_in_double_precision():
    network = row((32,), layers.Dense(64), section, layers.Dense(8))
    (a, b), (c, d) = (
        x.get_weights()
        for x in network.layers
        if type(x) is not Seam
        and isinstance(x, layers.Dense)
        and x.activation is keras.activations.linear
    )
    (whole,) = maps_in(strip_gates(network))
    double = a.astype("float64") @ c.astype("float64")
    np.testing.assert_array_equal(whole.kernel, double.astype("float32"))


def test_names_of_outputs_stay():
    inputs = keras.Input((4,))
    x = layers.Dense(5, name="first")(inputs)
    network = model(inputs, {"y": layers.Dense(3, name="second")(section(x))})
    slim = check_folded(network)
    assert slim.output_names == network.output_names
    assert list(slim(np.ones((1, 4), "float32"))) == ["y"]


def test_a_folded_network_is_rebuilt_again_without_a_change():
    slim = check_folded(row((4,), layers.Dense(5), section, layers.Dense(3)))
    again = strip_gates(slim)
    assert difference(slim, again) == 0.0
    assert again.get_config() == slim.get_config()


def test_the_old_network_is_left_as_it_was():
    network = row((4,), layers.Dense(5), section, layers.Dense(3))
    config, weights = network.get_config(), network.get_weights()
    strip_gates(network)
    assert network.get_config() == config
    for old, new in zip(weights, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_made_shortcut_is_one_that_can_be_found_once_its_gate_is_open():
    layer = GatedResidual(
        keras.Sequential([layers.Conv2D(4, 3), layers.ReLU(), layers.MaxPooling2D()]),
        gate=gate(1.0),
    )
    network = row((12, 12, 2), layer)
    slim = strip_gates(network)
    (found,) = find_sections(slim)
    assert found.prunable
    assert found.kind == "projection"
    assert difference(network, slim) < 1e-5


# In training, neighbours stay two, and what is served has one.


def trained():
    """A model under training whose one section has just left."""
    network = row((4,), layers.Dense(5), section, layers.Dense(3), theta=0.4)
    model = GatedModel(network)
    model.compile("adam", "mse", run_eagerly=True, gate_step_size=1e-12, train_size=8)
    x, y = np.ones((8, 4), "float32"), np.ones((8, 3), "float32")
    model.train_on_batch(x, y)
    model.gates[0].probability.assign(0.0)
    return model, (x, y)


def momenta(model):
    """Every slot of the optimizer but the number of steps and the learning rate."""
    return {v.path: v.numpy() for v in model.optimizer.variables if v.shape != ()}


def test_during_training_nothing_is_folded_and_momenta_go_on():
    model, (x, y) = trained()
    before = momenta(model)
    outputs = model(x)
    model.decide(closed=model.gates)
    assert len(maps_in(model.network)) == 2
    np.testing.assert_allclose(model(x), outputs, atol=1e-6)
    after = momenta(model)
    assert len(after) == 2 * 4 < len(before) == 2 * 6
    for path, value in after.items():
        np.testing.assert_array_equal(value, before[path])
    model.train_on_batch(x, y)


def test_after_training_neighbours_are_folded():
    model, (x, y) = trained()
    model.decide(closed=model.gates)
    model.train_on_batch(x, y)
    slim = strip_gates(model.network)
    assert difference(model.network, slim) < 1e-5
    assert macs(slim) == 4 * 3 < macs(model.network) == 4 * 5 + 5 * 3
    assert kinds_in(slim) == {"InputLayer", "Dense"}


def test_a_half_pruned_model_that_was_saved_is_folded_after_it_was_loaded(tmp_path):
    model, _ = trained()
    model.decide(closed=model.gates)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    slim = strip_gates(loaded.network)
    assert difference(model.network, slim) < 1e-5
    assert len(maps_in(slim)) == 1


def test_a_network_with_a_seam_is_rebuilt_again_and_again():
    x = inputs = keras.Input((4,))
    x = layers.Dense(5)(x)
    for theta in (0.0, 0.0, 0.4):
        x = section(x, theta)
    network = model(inputs, layers.Dense(3)(x))
    # As during `fit`, section by section.
    for gate_ in find_gates(network)[:]:
        closed = next(g for g in find_gates(network) if g.name == gate_.name)
        closed.probability.assign(0.0)
        smaller = Retrace(network, closed=[closed]).rebuild()
        assert difference(network, smaller) < 1e-5
        network = smaller
    slim = strip_gates(network)
    assert difference(network, slim) < 1e-5
    assert len(maps_in(slim)) == 1


def test_seams_of_different_sessions_have_names_of_their_own():
    parts = [layers.Dense(5), section, layers.Dense(4), section, layers.Dense(3)]
    network = row((4,), *parts)
    for gate_ in find_gates(network):
        closed = next(g for g in find_gates(network) if g.name == gate_.name)
        # Keras counts from one again, as where a half-pruned model is loaded.
        keras.utils.clear_session()
        network = Retrace(network, closed=[closed]).rebuild()
    check_folded(network)


def test_sections_behind_a_seam_are_found():
    model, _ = trained()
    model.decide(closed=model.gates)
    x = model.network.outputs[0]
    y = layers.Add()([layers.Dense(3, "tanh")(x), Seam()(x)])
    (found,) = find_sections(keras.Model(model.network.inputs, y))
    assert found.prunable
    assert found.kind == "identity"


def test_an_exported_model_is_folded(tmp_path):
    model, (x, y) = trained()
    model.decide(closed=model.gates)
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    assert sorted(tuple(v.shape) for v in served.variables) == [(3,), (4, 3)]
    np.testing.assert_allclose(served.serve(x), model(x), atol=1e-5)
