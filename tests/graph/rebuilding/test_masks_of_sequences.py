"""Layers behind a removed section see the mask that they saw before."""

import keras
import numpy as np
import pytest
from gated_networks import gate, kinds_in, model, names_in
from masked_sequences import TOKENS, attended

import keras_layer_prune as klp
from keras_layer_prune import max_difference, strip_gates

layers = keras.layers


def network_of(branch_of, add, theta):
    """A network whose last layer averages over the steps that are not masked."""
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(inputs)
    x = add(x, gate(theta)(branch_of(x)))
    return model(inputs, layers.GlobalAveragePooling1D()(layers.Dense(4)(x)))


def with_mask(x):
    return layers.Dense(4, "tanh", name="section")(x)


def without_mask(x):
    return keras.ops.tanh(layers.Dense(4, name="section")(x))


def without_support(x):
    return layers.Conv1D(4, 3, padding="same", name="section")(x)


def of_the_mean(x):
    """One step that is added to all."""
    mean = layers.GlobalAveragePooling1D(keepdims=True)(x)
    return layers.Dense(4, "tanh", name="section")(mean)


def layer_add(x, branch):
    return layers.Add()([branch, x])


def raw_add(x, branch):
    return x + branch


@pytest.mark.filterwarnings("ignore:.*does not support masking")
@pytest.mark.parametrize("theta", [0.0, 1.0])
@pytest.mark.parametrize(
    "branch_of", [with_mask, without_mask, without_support, of_the_mean]
)
@pytest.mark.parametrize("add", [layer_add, raw_add])
def test_sums_pass_on_the_mask_that_they_passed_on_before(branch_of, add, theta):
    network = network_of(branch_of, add, theta)
    slim = strip_gates(network)
    assert max_difference(network, slim, TOKENS) < 1e-5
    assert ("section" in names_in(slim)) == (theta == 1.0)


@pytest.mark.parametrize("branch_of", [with_mask, without_mask])
def test_sums_of_what_is_left_have_the_mask_that_they_had_before(branch_of):
    def add(x, branch):
        return layers.Add()([x, branch, layers.Dense(4)(x)])

    network = network_of(branch_of, add, theta=0.0)
    slim = strip_gates(network)
    assert max_difference(network, slim, TOKENS) < 1e-5
    assert "section" not in names_in(slim)


def taken_away(x, branch):
    return layers.Subtract()([x, branch])


def attention(x):
    return layers.MultiHeadAttention(2, 4, name="section")(x, x)


@pytest.mark.filterwarnings("ignore:.*does not support masking")
@pytest.mark.parametrize("where", ["nested", "at the top"])
@pytest.mark.parametrize("branch_of", [with_mask, without_mask, attention])
@pytest.mark.parametrize("join", [layer_add, raw_add, taken_away])
def test_nested_models_get_masks_that_no_graph_shows(join, branch_of, where):
    inputs = keras.Input((6, 4))
    block = model(inputs, join(inputs, gate(0.0)(branch_of(inputs))))
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    x = block(x) if where == "nested" else join(x, gate(0.0)(branch_of(x)))
    network = model(tokens, layers.GlobalAveragePooling1D()(x))
    slim = strip_gates(network)
    assert max_difference(network, slim, TOKENS) < 1e-5
    assert "section" not in names_in(slim)


def after_attention_that_leaves():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    return tokens, layers.Add()([x, gate(0.0)(attention(x))])


def test_a_sum_gets_no_mask_where_attention_took_it_from_an_operand():
    tokens, x = after_attention_that_leaves()
    network = model(tokens, attended(x))
    slim = strip_gates(network)
    assert max_difference(network, slim, TOKENS) < 1e-5
    assert "section" not in names_in(slim)


def test_a_mask_that_is_an_argument_is_not_taken_away():
    tokens, x = after_attention_that_leaves()
    # Keras gives it the mask of the symbolic tensor as an argument.
    x = layers.BatchNormalization()(x)
    x = layers.Add()([x, gate(0.0)(layers.Dense(4, "tanh")(x))])
    network = model(tokens, attended(x))
    assert max_difference(network, strip_gates(network), TOKENS) < 1e-5


def test_what_attention_that_left_had_unmasked_stays_unmasked():
    queries, tokens = keras.Input((3, 4)), keras.Input((6,), dtype="int32")
    memory = layers.Embedding(10, 4, mask_zero=True)(tokens)
    x = layers.MultiHeadAttention(2, 4, name="section")(queries, memory)
    x = layers.Add()([queries, gate(0.0)(x)])
    x = layers.MultiHeadAttention(2, 4)(x, memory)
    network = model([queries, tokens], x)
    slim = strip_gates(network)
    rows = np.random.default_rng(0).normal(size=(3, 3, 4)).astype("float32")
    assert max_difference(network, slim, [rows, TOKENS]) < 1e-5
    assert "section" not in names_in(slim)


def test_attention_inside_of_a_branch_leaves_with_all_of_it():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    branch = gate(0.0)(attention(layers.Dense(4)(x)))
    network = model(tokens, attended(layers.Add()([x, branch])))
    assert max_difference(network, strip_gates(network), TOKENS) < 1e-5


def test_a_mask_is_dropped_once_if_attention_leaves_in_two_places():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    branches = [gate(0.0)(attended(x)) for _ in range(2)]
    network = model(tokens, layers.Add()([layers.Dense(4)(x), *branches]))
    kinds = [type(x).__name__ for x in strip_gates(network).operations]
    assert kinds.count("Copy") == 1


def model_of_attention():
    """A model that calls attention on the very tensor that it is called on."""
    inputs = keras.Input((6, 4))
    return keras.Model(inputs, attention(inputs))


def with_gated_branch(x):
    return layers.Add()([x, gate(0.0)(model_of_attention()(x))])


def with_gated_residual(x):
    return klp.GatedResidual(model_of_attention(), gate=gate(0.0))(x)


def with_gated_layer(x):
    section = layers.MultiHeadAttention(2, 4, name="section")
    return klp.GatedLayer(section, gate(0.0))(x, x)


@pytest.mark.filterwarnings("ignore:.*does not support masking")
@pytest.mark.parametrize(
    "block", [with_gated_branch, with_gated_residual, with_gated_layer]
)
def test_attention_inside_of_what_leaves_had_unmasked_what_it_was_called_on(block):
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    y = layers.ReLU()(block(x))
    network = model(tokens, attended(layers.Add()([x, y])))
    slim = strip_gates(network)
    assert max_difference(network, slim, TOKENS) < 1e-5
    assert "section" not in names_in(slim)


def sum_without_its_branch(x):
    return layers.Add()([x, gate(0.0)(layers.Dense(4, "tanh")(x))])


def two_sums_without_their_branches(x):
    return sum_without_its_branch(sum_without_its_branch(x))


def residual_without_its_section(x):
    return klp.GatedResidual(layers.Dense(4, "tanh"), gate=gate(0.0))(x)


def gate_that_is_open(x):
    return gate(1.0)(x)


@pytest.mark.parametrize("rebuild", [strip_gates, klp.remove_closed_sections])
@pytest.mark.parametrize(
    "same",
    [
        sum_without_its_branch,
        two_sums_without_their_branches,
        residual_without_its_section,
        gate_that_is_open,
    ],
)
def test_attention_leaves_the_mask_of_what_its_operand_has_become(same, rebuild):
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    y = attended(same(x))
    network = model(tokens, attended(layers.Subtract()([x, y])))
    assert max_difference(network, rebuild(network), TOKENS) < 1e-5


def test_attention_takes_what_its_operand_has_become_if_nothing_else_does():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    network = model(tokens, attended(two_sums_without_their_branches(x)))
    kinds = kinds_in(strip_gates(network))
    assert kinds.isdisjoint({"Rescaling", "Identity"})


def test_attention_takes_what_its_operand_has_become_if_the_other_use_leaves():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    # What stands before more layers runs first.
    y = layers.ReLU()(layers.Dense(4)(attended(sum_without_its_branch(x))))
    y = layers.Add()([y, gate(0.0)(layers.Dense(4)(x))])
    network = model(tokens, layers.Dense(4)(y))
    kinds = kinds_in(strip_gates(network))
    assert kinds.isdisjoint({"Rescaling", "Identity"})


def test_what_attention_is_set_apart_with_keeps_the_precision():
    precise = {"dtype": "float64"}
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True, **precise)(tokens)
    branch = gate(0.0, **precise)(layers.Dense(4, **precise)(x))
    y = layers.Add(**precise)([x, branch])
    y = layers.MultiHeadAttention(2, 4, **precise)(y, y)
    network = model(tokens, layers.Subtract(**precise)([x, y]))
    slim = strip_gates(network)
    assert "Rescaling" in kinds_in(slim)
    assert np.array_equal(network(TOKENS), slim(TOKENS))


def test_attention_may_take_what_has_become_zero():
    inputs = keras.Input((6, 4))
    zero = gate(0.0)(layers.Dense(4)(inputs))
    network = model(inputs, layers.MultiHeadAttention(2, 4)(inputs, zero))
    assert max_difference(network, strip_gates(network)) < 1e-5


@pytest.mark.filterwarnings("ignore:.*does not support masking")
def test_a_nested_model_leaves_the_mask_of_what_no_attention_in_it_takes():
    inputs = [keras.Input((6, 4)) for _ in range(2)]
    outputs = [attended(inputs[0]), layers.Dense(4)(inputs[1])]
    block = keras.Model(inputs, layers.Add()(outputs))
    inputs = keras.Input((6, 4))
    x = [layers.Dense(4)(inputs) for _ in range(2)]
    # What stands before more layers runs first.
    y = layers.ReLU()(layers.GlobalAveragePooling1D()(layers.ReLU()(block(x))))
    y = layers.Add()([layers.GlobalAveragePooling1D()(x[1]), y])
    around = keras.Model(inputs, y)
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    network = model(tokens, around(x))
    assert max_difference(network, strip_gates(network), TOKENS) < 1e-5


@pytest.mark.filterwarnings("ignore:.*does not support masking")
def test_attention_leaves_the_mask_of_what_a_nested_model_returns():
    inputs = keras.Input((6, 4))
    x = layers.Dense(4)(inputs)
    block = keras.Model(inputs, [x, attended(sum_without_its_branch(x))])
    tokens = keras.Input((6,), dtype="int32")
    x, y = block(layers.Embedding(10, 4, mask_zero=True)(tokens))
    network = model(tokens, [layers.GlobalAveragePooling1D()(x), y])
    assert max_difference(network, strip_gates(network), TOKENS) < 1e-5


def test_nothing_comes_behind_attention_that_stays():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    network = model(tokens, layers.Subtract()([x, attended(x)]))
    operations = [type(x) for x in strip_gates(network).operations]
    assert operations == [type(x) for x in network.operations]


@pytest.mark.filterwarnings("ignore:.*does not support masking")
def test_a_nested_model_that_is_called_twice_may_get_a_mask_once():
    inputs = keras.Input((6, 4))
    block = model(inputs, inputs + gate(0.0)(with_mask(inputs)))
    tokens = keras.Input((6,), dtype="int32")
    x = [layers.Embedding(10, 4, mask_zero=zero)(tokens) for zero in (True, False)]
    pooled = [layers.GlobalAveragePooling1D()(block(each)) for each in x]
    network = model(tokens, layers.Concatenate()(pooled))
    assert max_difference(network, strip_gates(network), TOKENS) < 1e-5


@pytest.mark.filterwarnings("ignore:.*does not support masking")
def test_a_nested_model_may_get_a_mask_inside_of_another_only():
    inputs = keras.Input((6, 4))
    block = model(inputs, inputs + gate(0.0)(with_mask(inputs)))
    around = keras.Model(inputs, block(inputs))
    tokens = keras.Input((6,), dtype="int32")
    # Of the two calls of the block, that without a mask comes first in running order.
    plain = layers.ReLU()(block(layers.Embedding(10, 4)(tokens)))
    masked = around(layers.Embedding(10, 4, mask_zero=True)(tokens))
    pooled = [layers.GlobalAveragePooling1D()(each) for each in (plain, masked)]
    network = model(tokens, layers.Concatenate()(pooled))
    assert max_difference(network, strip_gates(network), TOKENS) < 1e-5


def test_a_second_rectifier_that_takes_the_mask_away_leaves_none():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.ReLU()(layers.Embedding(10, 4, mask_zero=True)(tokens))
    x = keras.ops.relu(layers.Add()([x, gate(0.0)(with_mask(x))]))
    network = model(tokens, layers.GlobalAveragePooling1D()(x))
    assert max_difference(network, strip_gates(network), TOKENS) < 1e-5


def cast_sum(x):
    return layers.Add(dtype="bfloat16")([x, gate(0.0)(with_mask(x))])


def cast_residual(x):
    section = layers.Dense(4, dtype="float32")
    return klp.GatedResidual(section, gate=gate(0.0), dtype="bfloat16")(x)


def cast_gate(x):
    x = layers.Identity(dtype="bfloat16")(x)
    branch = layers.Dense(4, dtype="bfloat16")(x)
    opened = klp.BernoulliGate(initial_probability=1.0, dtype="float32")
    return layers.Add()([x, opened(branch)])


@pytest.mark.parametrize("block", [cast_sum, cast_residual, cast_gate])
def test_casts_keep_the_mask(block):
    tokens = keras.Input((6,), dtype="int32")
    x = block(layers.Embedding(10, 4, mask_zero=True)(tokens))
    network = model(tokens, layers.LSTM(4, dtype="float32")(x))
    assert max_difference(network, strip_gates(network), TOKENS) < 1e-5


@pytest.mark.parametrize("length", [6, None])
def test_sequences_may_be_of_any_length(length):
    inputs = keras.Input((length,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(inputs)
    x = x + gate(0.0)(layers.Dense(4, name="section")(x))
    network = model(inputs, layers.GlobalAveragePooling1D()(layers.Dense(4)(x)))
    slim = strip_gates(network)
    assert max_difference(network, slim, TOKENS) < 1e-5
    assert "section" not in names_in(slim)
