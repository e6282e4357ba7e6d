"""The equivalence check, against differences computed by NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_layer_prune import BernoulliGate, GatedModel, max_difference


def scaled(factor, shape=(3,), dtype="float32"):
    inputs = keras.Input(shape, dtype=dtype)
    return keras.Model(inputs, inputs * factor)


def test_the_difference_is_the_largest_one_over_all_outputs():
    inputs = keras.Input((2,))
    first = keras.Model(inputs, {"a": inputs, "b": inputs * 2.0})
    second = keras.Model(inputs, {"a": inputs + 0.5, "b": inputs * 3.0})
    x = np.array([[1.0, -2.0], [0.0, 4.0]], "float32")
    assert max_difference(first, second, x) == 4.0
    assert max_difference(first, second, x / 100.0) == pytest.approx(0.5, abs=1e-6)


def test_equal_models_do_not_differ():
    assert max_difference(scaled(2.0), scaled(2.0)) == 0.0


def test_random_inputs_tell_models_apart_and_are_the_same_each_time():
    differences = [max_difference(scaled(1.0), scaled(2.0)) for _ in range(2)]
    assert differences[0] == differences[1] > 1.0


def test_unknown_sizes_are_filled_in():
    assert max_difference(scaled(1.0, (None, 3)), scaled(1.0, (None, 3))) == 0.0


def with_state(inputs):
    return keras.layers.LSTM(6, stateful=True)(inputs)


def in_a_fixed_shape(inputs):
    return keras.ops.reshape(inputs, (4, 15))


@pytest.mark.parametrize("use", [with_state, in_a_fixed_shape])
def test_batches_have_the_size_that_the_inputs_fix(use):
    inputs = keras.Input(batch_shape=(4, 5, 3))
    model = keras.Model(inputs, use(inputs))
    shifted = keras.Model(inputs, model.output + 5.0)
    assert max_difference(model, shifted) > 2.0


def test_one_input_fixes_the_size_of_batches_for_all():
    fixed, open_ = keras.Input(batch_shape=(4, 3)), keras.Input((3,))
    one = keras.Input(batch_shape=(1, 3))
    joined = keras.layers.Concatenate()([fixed, open_])
    model = keras.Model([one, open_, fixed], [joined, one + fixed])
    assert max_difference(model, model) == 0.0


def test_a_gated_model_is_told_apart_from_its_network():
    x = inputs = keras.Input((3,))
    branch = BernoulliGate()(keras.layers.Dense(3)(x))
    model = GatedModel(keras.Model(inputs, keras.layers.Add()([x, branch])))
    with pytest.raises(ValueError, match=r"model_a=.*`model\.network`"):
        max_difference(model, model.network)
    assert max_difference(model.network, model) == 0.0


def test_integer_inputs_are_zeros():
    inputs = keras.Input((2,), dtype="int32")
    embedding = keras.layers.Embedding(3, 2)
    network = keras.Model(inputs, embedding(inputs))
    shifted = keras.Model(inputs, embedding(inputs) + 1.0)
    assert max_difference(network, shifted) == pytest.approx(1.0, abs=1e-6)


def reads_words(length=3):
    inputs = keras.Input((length,), dtype="string")
    numbers = keras.layers.StringLookup(vocabulary=["a", "b"])(inputs)
    return inputs, keras.layers.Embedding(4, 2)(numbers)


@pytest.mark.parametrize("length", [3, None])
def test_inputs_of_strings_are_empty(length):
    inputs, outputs = reads_words(length)
    network, shifted = keras.Model(inputs, outputs), keras.Model(inputs, outputs + 1.0)
    assert max_difference(network, shifted) == pytest.approx(1.0, abs=1e-6)


def test_outputs_of_strings_are_the_same_or_not():
    inputs = keras.Input((3,), dtype="string")
    upper = keras.layers.Lambda(tf.strings.upper, output_shape=(3,))(inputs)
    same, loud = keras.Model(inputs, inputs), keras.Model(inputs, upper)
    assert max_difference(same, loud) == 0.0
    assert max_difference(same, loud, tf.constant([["A", "B", ""]])) == 0.0
    assert max_difference(same, loud, tf.constant([["a", "B", ""]])) == float("inf")


@pytest.mark.parametrize("kind", ["list", "dict"])
def test_several_inputs_are_made_in_their_structure(kind):
    inputs = {"a": keras.Input((2,), name="a"), "b": keras.Input((3,), name="b")}
    outputs = keras.layers.Concatenate()(list(inputs.values()))
    structure = inputs if kind == "dict" else list(inputs.values())
    first = keras.Model(structure, outputs)
    second = keras.Model(structure, outputs * 2.0)
    assert max_difference(first, second) > 0.1
    assert max_difference(first, first) == 0.0


def test_sequential_models_are_compared():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    assert max_difference(model, model) == 0.0


def test_a_nan_in_one_model_only_is_an_infinite_difference():
    x = np.array([[1.0, np.nan]], "float32")
    inputs = keras.Input((2,))
    cleaned = keras.Model(inputs, keras.ops.nan_to_num(inputs))
    assert max_difference(scaled(1.0, (2,)), cleaned, x) == float("inf")
    assert max_difference(scaled(1.0, (2,)), scaled(1.0, (2,)), x) == 0.0


def test_equal_infinities_are_no_difference():
    x = np.array([[1.0, np.inf, -np.inf]], "float32")
    assert max_difference(scaled(1.0), scaled(2.0), x) == 1.0
    assert max_difference(scaled(1.0), scaled(-1.0), x) == float("inf")


def test_complex_outputs_are_as_far_apart_as_in_their_plane():
    x = np.array([[3.0 + 4.0j, 1.0, 0.0]], "complex64")
    once, twice = (scaled(factor, dtype="complex64") for factor in (1j, 2j))
    assert max_difference(once, twice, x) == 5.0
    assert max_difference(once, once, x) == 0.0


@pytest.mark.parametrize("dtype", ["bfloat16", "float64", "int32", "bool"])
def test_outputs_of_every_kind_of_number_are_compared(dtype):
    inputs = keras.Input((2,), dtype="float32")
    network, shifted = (
        keras.Model(inputs, keras.ops.cast(x, dtype)) for x in (inputs, inputs + 1.0)
    )
    assert max_difference(network, shifted, np.zeros((1, 2), "float32")) == 1.0


def test_layers_that_act_in_training_only_are_at_rest():
    inputs = keras.Input((3,))
    dropped = keras.Model(inputs, keras.layers.Dropout(0.5)(inputs))
    assert max_difference(scaled(1.0), dropped) == 0.0


def test_outputs_of_other_shapes_are_an_error_that_shows_both():
    inputs = keras.Input((3,), name="x")
    wide = keras.Model(inputs, keras.layers.Dense(5)(inputs), name="wide")
    with pytest.raises(ValueError, match=r"\[\(8, 3\)\].*`wide` returns \[\(8, 5\)\]"):
        max_difference(scaled(1.0), wide)
