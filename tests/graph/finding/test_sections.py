"""Sections found, and what is said of those that cannot be pruned."""

import keras
import pytest
from keras import ops

import keras_layer_prune as klp
from keras_layer_prune.graph.finding.section_list import Sections
from keras_layer_prune.graph.gates import gated_sections

layers = keras.layers


def tokens(width=8):
    return keras.Input((width,))


def dense(x, width=8, name=None):
    return layers.Dense(width, activation="relu", name=name)(x)


def only_section(outputs, inputs):
    (section,) = klp.find_sections(keras.Model(inputs, outputs))
    return section


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("add", [layers.add, lambda pair: pair[0] + pair[1]])
def test_the_shortcut_is_found_in_either_order_and_form(order, add):
    x = inputs = tokens()
    section = only_section(add([x, dense(x, name="branch")][::order]), inputs)
    assert section.prunable
    assert section.kind == "identity"
    assert section.layers == ["branch"]
    assert (section.parameters, section.macs) == (72, 64)


LINEAR = {
    "convolution": lambda x: layers.Conv2D(4, 1)(x),
    "normalised convolution": lambda x: layers.BatchNormalization()(
        layers.Conv2D(4, 1)(x)
    ),
    "dense": lambda x: layers.Dense(4)(x),
    "pooling": lambda x: layers.AveragePooling2D(1)(x),
    "subsampling": lambda x: layers.MaxPooling2D(1)(x),
    "padding and cropping": lambda x: layers.Cropping2D(1)(layers.ZeroPadding2D(1)(x)),
    "reshaping": lambda x: layers.Reshape((6, 6, 4))(x),
    "other order of axes": lambda x: ops.moveaxis(ops.swapaxes(x, 1, 2), 1, 2),
    "other order of places": lambda x: ops.roll(ops.flip(x, axis=1), 1, axis=2),
    "copies": lambda x: ops.repeat(ops.tile(x[..., :1], (1, 1, 1, 2)), 2, axis=-1),
    "adaptive pooling": lambda x: layers.AdaptiveAveragePooling2D(6)(x),
    "scaling": lambda x: layers.Rescaling(0.5, offset=0.1)(x) * 2.0,
    "sequential": lambda x: keras.Sequential(
        [layers.Conv2D(4, 1), layers.Dropout(0.1)]
    )(x),
}


@pytest.mark.parametrize("shortcut", LINEAR.values(), ids=LINEAR)
def test_linear_shortcuts_are_projections(shortcut):
    x = inputs = keras.Input((6, 6, 4))
    branch = layers.Conv2D(4, 3, padding="same", activation="relu", name="branch")(x)
    section = only_section(layers.Add()([branch, shortcut(x)]), inputs)
    assert section.prunable
    assert section.kind == "projection"
    assert section.layers == ["branch"]


IDENTITIES = {
    "identity": lambda x: layers.Identity()(x),
    "linear activation": lambda x: layers.Activation("linear")(x),
}


@pytest.mark.parametrize("shortcut", IDENTITIES.values(), ids=IDENTITIES)
def test_operations_that_change_nothing_are_identities(shortcut):
    x = inputs = tokens()
    assert (
        only_section(layers.Add()([shortcut(x), dense(x)]), inputs).kind == "identity"
    )


NONLINEAR = {
    "activation": lambda x: layers.ReLU()(x),
    "activation inside": lambda x: layers.Dense(8, activation="tanh")(x),
    "layer normalisation": lambda x: layers.LayerNormalization()(x),
    "inverse": lambda x: 1.0 / x,
    "square": lambda x: layers.Multiply()([x, x]),
    "nested": lambda x: keras.Sequential([layers.ReLU()])(x),
}


@pytest.mark.parametrize("shortcut", NONLINEAR.values(), ids=NONLINEAR)
def test_nonlinear_operations_are_no_shortcut(shortcut):
    x = inputs = tokens()
    section = only_section(layers.Add()([shortcut(x), dense(x)]), inputs)
    assert not section.prunable
    assert section.kind == ""
    assert "no operand is a shortcut" in section.reason
    assert "an operation that is not known to be linear, `" in section.reason
    assert "GatedResidual" in section.advice
    assert section.advice in str(Sections([section]))


def test_pre_activation_projection_starts_behind_the_activation():
    x = inputs = keras.Input((6, 6, 4))
    x = layers.ReLU(name="before")(layers.BatchNormalization()(x))
    branch = layers.Conv2D(8, 3, 2, "same", activation="relu", name="branch")(x)
    section = only_section(layers.Conv2D(8, 1, 2)(x) + branch, inputs)
    assert section.kind == "projection"
    assert section.layers == ["branch"]


def test_of_two_linear_operands_the_lighter_is_the_shortcut():
    x = inputs = keras.Input((6, 6, 4))
    heavy = layers.Conv2D(4, 3, padding="same", name="heavy")(x)
    light = layers.Conv2D(4, 1, name="light")(x)
    section = only_section(layers.Add()([heavy, light]), inputs)
    assert section.layers == ["heavy"]
    assert "lightest is the shortcut" in section.advice
    assert "branch is linear" in section.advice


def test_of_two_operands_without_weights_the_shorter_way_is_the_shortcut():
    x = inputs = keras.Input((6, 6, 4))
    half = layers.Cropping2D(((1, 0), (1, 0)), name="half")(x)
    long = layers.Cropping2D(((0, 1), (0, 1)), name="other_half")(half)
    short = layers.Cropping2D(1, name="short")(x)
    section = only_section(layers.Add()([long, short]), inputs)
    assert section.layers == ["half", "other_half"]


def test_weights_that_a_shortcut_uses_twice_count_once():
    x = inputs = tokens()
    light = layers.Dense(8, name="light")
    heavy = layers.Dense(8, name="heavy")(layers.Dense(6, name="narrow")(x))
    section = only_section(layers.Add()([heavy, light(light(x))]), inputs)
    assert section.layers == ["narrow", "heavy"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_sum_is_a_shortcut_by_the_shortest_of_its_ways(order):
    x = inputs = tokens()
    both = layers.Add()([x, layers.Dense(8, name="linear")(x)][::order])
    total = layers.Add(name="total")([both, dense(x, name="branch")])
    *_, section = klp.find_sections(keras.Model(inputs, total))
    assert (section.name, section.kind) == ("total", "identity")
    assert section.layers == ["branch"]


def test_the_identity_is_the_shortcut_before_a_projection_without_weights():
    x = inputs = keras.Input((6, 6, 4))
    same = layers.Identity()(layers.Identity()(x))
    section = only_section(layers.Add()([layers.Rescaling(0.5)(x), same]), inputs)
    assert section.kind == "identity"


def test_each_branch_of_an_addition_of_three_is_a_section():
    x = inputs = tokens()
    total = layers.Add(name="sum")([dense(x, name="a"), x, dense(x, name="b")])
    sections = klp.find_sections(keras.Model(inputs, total))
    assert [section.name for section in sections] == ["sum", "sum_2"]
    assert [section.layers for section in sections] == [["a"], ["b"]]


def test_no_two_sections_have_one_name():
    x = inputs = tokens()
    x = layers.Add(name="sum")([dense(x), x, dense(x)])
    x = layers.Add(name="sum_2")([x, dense(x)])
    names = [section.name for section in klp.find_sections(keras.Model(inputs, x))]
    assert names[:2] == ["sum", "sum_2"]
    assert len(set(names)) == 3


def test_a_layer_that_a_branch_calls_twice_is_listed_once():
    x = inputs = tokens()
    twice = layers.Dense(8, activation="relu", name="twice")
    section = only_section(x + twice(twice(x)), inputs)
    assert section.layers == ["twice"]
    assert (section.parameters, section.macs) == (72, 128)


def test_layers_of_one_name_in_two_nested_models_are_both_listed():
    branch = inputs = tokens()
    for name in ("first", "second"):
        x = tokens()
        branch = keras.Model(x, dense(x, name="same"), name=name)(branch)
    section = only_section(layers.Add()([inputs, branch]), inputs)
    assert section.layers == ["same", "same"]
    assert section.parameters == 2 * 72


def test_parallel_branches_in_two_additions_are_two_sections():
    x = inputs = tokens()
    total = (x + dense(x, name="attention")) + dense(x, name="feed_forward")
    sections = klp.find_sections(keras.Model(inputs, total))
    assert [section.name for section in sections] == ["attention", "feed_forward"]
    assert all(section.kind == "identity" for section in sections)


def test_cross_attention_is_a_section_though_it_reads_another_input():
    x, context = keras.Input((5, 8)), keras.Input((7, 8))
    attention = layers.MultiHeadAttention(2, 4, name="cross")(x, context)
    section = only_section(x + attention, [x, context])
    assert section.layers == ["cross"]
    assert section.prunable


def test_what_is_used_elsewhere_stays_and_is_named():
    x = inputs = tokens()
    inner = dense(x, name="inner")
    total = layers.Add()([x, dense(inner, name="last")])
    section = only_section([total, inner], inputs)
    assert section.prunable
    assert section.layers == ["last"]
    assert "`inner` would stay" in section.advice


def test_a_layer_stays_of_which_another_output_is_used_elsewhere():
    x = inputs = keras.Input((3, 8))
    steps, state = layers.GRU(8, return_sequences=True, return_state=True)(x)
    total = layers.Add()([x, dense(steps, name="last")])
    assert only_section([total, state], inputs).layers == ["last"]


def test_an_end_that_is_used_elsewhere_keeps_the_whole_branch():
    x = inputs = tokens()
    branch = dense(x, name="branch")
    section = only_section([layers.Add()([x, branch]), branch], inputs)
    assert section.prunable
    assert section.layers == []
    assert "`branch` would stay" in section.advice


def test_layers_that_are_shared_do_not_count():
    x = inputs = tokens()
    shared = layers.Dense(8, activation="relu", name="shared")
    section = only_section(dense(shared(layers.Add()([x, shared(x)]))), inputs)
    assert section.layers == []
    assert (section.parameters, section.macs) == (0, 64)


def test_nested_models_give_their_sections_dotted_names():
    x = inputs = tokens()
    block = keras.Model(inputs, layers.Add(name="add")([x, dense(x)]), name="block")
    x = inputs = tokens()
    middle = keras.Model(inputs, block(x), name="middle")
    model = keras.Sequential([tokens(), middle])
    assert [section.name for section in klp.find_sections(model)] == [
        "middle.block.add"
    ]


@pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't match")
def test_sections_of_a_nested_model_called_with_a_further_key_are_found():
    a, b = keras.Input((8,), name="a"), keras.Input((8,), name="b")
    inner = layers.Add(name="add")([a, dense(a), b])
    block = keras.Model({"a": a, "b": b}, inner, name="block")
    x = tokens()
    model = keras.Model(x, block({"a": dense(x), "b": x, "more": x}))
    assert "block.add" in [section.name for section in klp.find_sections(model)]


def test_a_nested_model_that_is_called_twice_is_not_prunable():
    x = inputs = tokens()
    block = keras.Model(inputs, layers.Add()([x, dense(x)]))
    x = inputs = tokens()
    section = only_section(block(block(x)), inputs)
    assert not section.prunable
    assert "called 2 times" in section.reason
    assert "own layers" in section.advice


def test_a_model_inside_of_two_others_is_named_after_the_first():
    x = inputs = tokens()
    block = keras.Model(inputs, layers.Add(name="add")([x, dense(x)]), name="block")
    x = inputs = tokens()
    for name in ("first", "second"):
        inner = tokens()
        x = keras.Model(inner, block(inner), name=name)(x)
    assert only_section(x, inputs).name == "first.block.add"


def test_operands_of_two_inputs_have_no_branch():
    a, b = tokens(), tokens()
    section = only_section(layers.Add()([dense(a), b]), [a, b])
    assert "do not come from one tensor" in section.reason


def test_a_position_embedding_is_no_branch():
    words, positions = (keras.Input((6,), dtype="int32") for _ in range(2))
    x = layers.Embedding(10, 8)(words) + layers.Embedding(6, 8)(positions)
    section = only_section(x, [words, positions])
    assert "position embedding" in section.reason


def test_a_constant_is_no_branch():
    x = inputs = tokens()
    section = only_section(x + ops.ones((8,)), inputs)
    assert "adds a constant" in section.reason


def test_an_offset_within_an_activation_is_not_listed():
    x = inputs = tokens()
    assert klp.find_sections(keras.Model(inputs, ops.relu6(x + 3.0))) == []


def test_a_branch_with_a_gate_says_so():
    x = inputs = tokens()
    gate = klp.BernoulliGate()
    total = layers.Add()([x, layers.Dropout(0.1)(gate(dense(x)))])
    section = only_section(total, inputs)
    assert section.reason == "has a gate"


def test_a_tensor_added_to_itself_has_no_branch():
    x = inputs = tokens()
    assert "to itself" in only_section(layers.Add()([x, x]), inputs).reason


def test_a_branch_that_is_added_twice_is_not_prunable():
    x = inputs = tokens()
    branch = dense(x)
    total = layers.Add()([x, branch, branch])
    reasons = {s.reason for s in klp.find_sections(keras.Model(inputs, total))}
    assert reasons == {"its branch is added 2 times, and a gate stands in one place"}


def test_a_branch_that_widens_its_shortcut_is_not_prunable():
    x = inputs = keras.Input((1, 8))
    branch = layers.Dense(8, activation="relu")(ops.tile(x, (1, 3, 1)))
    assert "broadcast" in only_section(x + branch, inputs).reason


def test_integers_are_not_prunable():
    x = inputs = keras.Input((8,), dtype="int32")
    assert "int32" in only_section(x + ops.square(x), inputs).reason


def test_concatenations_are_explained():
    x = inputs = tokens()
    model = keras.Model(inputs, layers.Concatenate()([x, dense(x)]))
    table = str(klp.find_sections(model))
    assert "no residual connection" in table
    assert "1 concatenations are none" in table
    assert "`GatedResidual(section, shortcut)`" in table


def test_a_model_with_gated_residuals_says_where_its_gates_are():
    model = keras.Sequential([tokens(), klp.GatedResidual(layers.Dense(8, "relu"))])
    assert "`GatedResidual`" in str(klp.find_sections(model))


def test_the_table_has_a_row_for_each_section_and_counts_layers_once():
    x = inputs = tokens()
    inner = layers.Add(name="inner")([y := dense(x), dense(y)])
    model = keras.Model(inputs, layers.Add(name="outer")([inner, x]))
    table = str(klp.find_sections(model)).splitlines()
    assert table[0].split() == "section kind layers parameters MACs prunable".split()
    assert table[1].split()[:5] == ["inner", "identity", "1", "72", "64"]
    assert table[2].split()[:5] == ["outer", "identity", "3", "144", "128"]
    assert "2 of 2" in table[-1]
    assert "144 parameters and 128 MACs" in table[-1]


def test_the_dry_run_counts_what_the_gates_will_hold():
    model = keras.applications.EfficientNetV2B0(
        weights=None, input_shape=(32, 32, 3), classes=2
    )
    sections = klp.find_sections(model)
    held = gated_sections(klp.gate_sections(model))
    for section, gated in zip(sections, held, strict=True):
        assert gated.name == f"{section.name}_gate"
        assert [layer.name for layer in gated.layers] == section.layers
        assert (gated.parameters, gated.macs) == (section.parameters, section.macs)


EXPECTED = {
    "ResNet50V2": (16, 16),
    "MobileNetV2": (10, 10),
    "ConvNeXtTiny": (18, 18),
    "DenseNet121": (0, 0),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_sections_of_known_models(name):
    maker = getattr(keras.applications, name)
    sections = klp.find_sections(maker(weights=None, input_shape=(32, 32, 3)))
    prunable = sum(section.prunable for section in sections)
    assert (len(sections), prunable) == EXPECTED[name]


def test_inception_resnet_scales_its_branches():
    add = keras.src.applications.inception_resnet_v2.CustomScaleLayer
    x = inputs = tokens()
    section = only_section(add(0.2)([x, dense(x, name="branch")]), inputs)
    assert section.layers == ["branch"]


def test_hundreds_of_sections_are_found():
    # Keras itself recurses through a graph, and cannot build one much deeper.
    x = inputs = tokens(2)
    for _ in range(300):
        x = x + layers.Dense(2, activation="relu")(x)
    model = keras.Model(inputs, x)
    sections = klp.find_sections(model)
    assert sum(section.prunable for section in sections) == 300


def test_a_subclassed_model_is_told_to_become_functional():
    class Subclassed(keras.Model):
        pass

    with pytest.raises(ValueError, match=r"Make it functional.*`keras.Input`"):
        klp.find_sections(Subclassed())


def test_an_unbuilt_sequential_model_is_told_to_be_built():
    with pytest.raises(ValueError, match="not built yet"):
        klp.find_sections(keras.Sequential([layers.Dense(8)]))
