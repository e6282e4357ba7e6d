"""Shortcuts that are made where a section changes the shape."""

import json

import keras
import numpy as np
import pytest
from layers_of_users import LazyBlock

from keras_layer_prune import BernoulliGate, GatedResidual, max_difference
from keras_layer_prune.layers.linear_shortcut import linear_shortcut

layers = keras.layers
GENERATOR = np.random.default_rng(0)


def closed(section, shape, **arguments):
    """A layer whose section gives nothing: its outputs are those of its shortcut."""
    gate = BernoulliGate(initial_probability=0.0, seed=0)
    layer = GatedResidual(section, gate=gate, **arguments)
    layer.build((None, *shape))
    return layer


def examples(*shape, rows=3):
    return GENERATOR.normal(size=(rows, *shape)).astype("float32")


def row(*parts):
    return keras.Sequential(parts)


# Sections, and the shape of their input.
SECTIONS = [
    (layers.Dense(7), (4,)),
    (layers.Dense(2), (4,)),
    (layers.Dense(2), (5, 4)),
    (layers.Conv1D(5, 3), (9, 2)),
    (layers.Conv1D(2, 3, strides=2, padding="same"), (9, 2)),
    (layers.Conv1D(5, 3, padding="same", data_format="channels_first"), (2, 9)),
    (layers.Conv2D(5, 3, padding="same"), (8, 8, 3)),
    (layers.Conv2D(3, 5), (28, 28, 3)),
    (layers.Conv2D(3, (1, 3)), (8, 8, 3)),
    (layers.Conv2D(5, 3, strides=2, padding="same"), (7, 8, 3)),
    (layers.Conv2D(5, 3, strides=(1, 2)), (7, 8, 3)),
    (layers.Conv2D(5, 4, data_format="channels_first"), (3, 9, 8)),
    (row(layers.Conv2D(6, 5), layers.MaxPooling2D()), (28, 28, 1)),
    (row(layers.Conv2D(6, 5), layers.MaxPooling2D()), (14, 14, 1)),
    (row(layers.Conv2D(6, 5, strides=2), layers.MaxPooling2D()), (33, 35, 1)),
    (layers.MaxPooling2D(3, strides=2), (13, 13, 2)),
    (layers.Conv3D(4, 3), (6, 7, 8, 2)),
    (layers.Conv3D(4, 3, strides=2, padding="same"), (6, 7, 8, 2)),
    (LazyBlock(5), (3,)),
]


@pytest.mark.parametrize("section, shape", SECTIONS)
def test_a_shortcut_maps_to_the_shape_of_the_section(section, shape):
    section = type(section).from_config(section.get_config())
    layer = closed(section, shape)
    expected = layer.section(keras.Input(shape)).shape
    assert layer.shortcut is not None
    assert layer(keras.Input(shape)).shape == expected
    assert layer.compute_output_shape((None, *shape)) == expected


@pytest.mark.parametrize("section, shape", SECTIONS)
def test_a_shortcut_is_linear_and_maps_zero_to_zero(section, shape):
    section = type(section).from_config(section.get_config())
    if getattr(section, "data_format", "channels_last") == "channels_first":
        pytest.skip("TensorFlow computes no such convolutions on a CPU")
    shortcut = closed(section, shape).shortcut
    a, b = examples(*shape), examples(*shape)
    expected = 2.0 * shortcut(a) - 3.0 * shortcut(b)
    np.testing.assert_allclose(shortcut(2.0 * a - 3.0 * b), expected, atol=1e-4)
    np.testing.assert_array_equal(shortcut(np.zeros_like(a)), 0.0 * expected)


def middle_of(size):
    """A kernel that takes the place in its middle and nothing else."""
    kernel = np.zeros((size, size, 1, 1), "float32")
    kernel[size // 2, size // 2] = 1.0
    return keras.initializers.Constant(kernel)


@pytest.mark.parametrize("length", [7, 13, 14, 28])
@pytest.mark.parametrize("size", [3, 5])
def test_a_convolution_without_padding_is_followed_by_a_crop(length, size):
    section = layers.Conv2D(1, size, kernel_initializer=middle_of(size))
    x = examples(length, length, 1)
    layer = closed(section, x.shape[1:])
    np.testing.assert_allclose(layer(x), layer.section(x), atol=1e-6)


@pytest.mark.parametrize("length", [10, 13, 14, 28])
def test_pooling_behind_a_convolution_is_followed_by_a_crop_and_an_average(length):
    convolution = layers.Conv2D(1, 5, kernel_initializer=middle_of(5))
    section = row(convolution, layers.AveragePooling2D(2))
    x = examples(length, length, 1)
    layer = closed(section, x.shape[1:])
    np.testing.assert_allclose(layer(x), layer.section(x), atol=1e-6)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("length", [8, 9])
def test_pooling_alone_is_followed_by_an_average(length, padding):
    x = examples(length, length, 2)
    layer = closed(layers.AveragePooling2D(2, padding=padding), x.shape[1:])
    np.testing.assert_allclose(layer(x), layer.section(x), atol=1e-6)
    assert isinstance(layer.shortcut, layers.AveragePooling2D) or padding == "valid"


def test_an_axis_of_its_own_length_is_left_as_it_is():
    section = row(layers.Conv2D(1, (1, 3)), layers.AveragePooling2D((2, 1)))
    x = examples(4, 6, 1)
    outputs = closed(section, (4, 6, 1)).shortcut(x)
    expected = x[:, :, 1:-1].reshape(3, 2, 2, 4, 1).mean(axis=2)
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_strides_behind_each_other_are_averaged_over_as_one():
    section = row(layers.Conv2D(1, 5, strides=2), layers.MaxPooling2D())
    x = examples(33, 33, 1)
    outputs = closed(section, (33, 33, 1)).shortcut(x)
    expected = x[:, 2:-3, 2:-3].reshape(3, 7, 4, 7, 4, 1).mean(axis=(2, 4))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


@pytest.mark.parametrize("outputs", [3, 5, 16])
@pytest.mark.parametrize("make", [layers.Dense, lambda n: layers.Conv2D(n, 1)])
def test_channels_are_mapped_by_an_orthogonal_matrix(make, outputs):
    shape = (5,) if make is layers.Dense else (4, 4, 5)
    section = make(outputs)
    if outputs == 5:
        assert closed(section, shape).shortcut is None
        return
    kernel = np.reshape(closed(section, shape).shortcut.kernel, (5, outputs))
    least = min(kernel.shape)
    gram = kernel @ kernel.T if outputs > 5 else kernel.T @ kernel
    np.testing.assert_allclose(gram, np.eye(least), atol=1e-5)


def test_vectors_that_become_longer_keep_their_length_in_the_other_sense():
    x = examples(5)
    outputs = closed(layers.Dense(16), (5,))(x)
    lengths = np.linalg.norm(outputs, axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(x, axis=1), rtol=1e-5)


def test_a_section_that_keeps_its_shape_has_the_input_as_its_shortcut():
    layer = closed(layers.Conv2D(3, 3, padding="same"), (8, 8, 3))
    x = examples(8, 8, 3)
    assert layer.shortcut is None
    np.testing.assert_array_equal(layer(x), x)


def test_unknown_sizes_that_the_section_keeps_need_no_shortcut():
    layer = GatedResidual(layers.Conv2D(3, 3, padding="same"))
    assert layer(keras.Input((None, None, 3))).shape == (None, None, None, 3)
    assert layer.shortcut is None


def test_a_given_shortcut_is_not_replaced():
    shortcut = layers.Dense(5)
    layer = GatedResidual(layers.Dense(5), shortcut)
    layer.build((None, 3))
    assert layer.shortcut is shortcut


def test_channels_first_is_taken_from_the_section():
    section = layers.Conv2D(5, 3, data_format="channels_first")
    parts = closed(section, (3, 9, 8)).shortcut.layers
    assert {part.data_format for part in parts} == {"channels_first"}
    assert [type(part).__name__ for part in parts] == ["Cropping2D", "Conv2D"]


def test_pooled_images_with_the_channels_first_are_those_with_the_channels_last():
    x = examples(8, 6, 3)
    first = closed(layers.MaxPooling2D(data_format="channels_first"), (3, 8, 6))
    last = closed(layers.MaxPooling2D(), (8, 6, 3))
    outputs = first(np.moveaxis(x, 3, 1))
    np.testing.assert_allclose(np.moveaxis(outputs, 1, 3), last(x), atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "float64"])
def test_a_shortcut_computes_in_the_precision_of_its_layer(policy):
    gate = BernoulliGate(initial_probability=0.0, dtype=policy)
    layer = GatedResidual(layers.Dense(5, dtype=policy), gate=gate, dtype=policy)
    layer.build((None, 3))
    assert layer.shortcut.dtype_policy.name == policy
    assert layer(keras.Input((3,))).dtype == layer.compute_dtype


def test_all_parts_of_a_shortcut_compute_in_the_same_precision():
    section = row(layers.Conv2D(4, 3), layers.MaxPooling2D())
    layer = GatedResidual(section, dtype="float64")
    layer.build((None, 10, 10, 2))
    policies = [part.dtype_policy.name for part in layer.shortcut.layers]
    assert policies == ["float64"] * 3


def test_a_frozen_layer_makes_a_frozen_shortcut():
    layer = closed(layers.Dense(5), (3,), trainable=False)
    assert not layer.shortcut.trainable
    assert closed(layers.Dense(5), (3,)).shortcut.trainable


def test_sequences_keep_their_mask():
    inputs = keras.Input((4, 3))
    layer = GatedResidual(layers.Dense(5), gate=BernoulliGate(initial_probability=0.0))
    x = layers.Masking()(inputs)
    network = keras.Model(inputs, layers.GlobalAveragePooling1D()(layer(x)))
    x = examples(4, 3)
    x[:, 2:] = 0.0
    expected = np.mean(layer(x[:, :2]), axis=1)
    np.testing.assert_allclose(network(x), expected, atol=1e-6)


def test_the_first_call_may_be_eager_and_the_next_of_another_size():
    section = layers.Conv2D(6, 5, strides=2)
    layer = GatedResidual(section)
    assert layer(examples(9, 9, 2, rows=2)).shape == (2, 3, 3, 6)
    assert layer(examples(9, 9, 2, rows=5)).shape == (5, 3, 3, 6)


def chain():
    """A crop, a pooling and a projection; and a projection alone."""
    first = row(layers.Conv2D(4, 3, activation="tanh"), layers.MaxPooling2D())
    return keras.Sequential(
        [
            keras.Input((10, 10, 2)),
            GatedResidual(first, name="first"),
            layers.Flatten(),
            GatedResidual(layers.Dense(5, "tanh"), name="second"),
        ]
    )


def test_a_network_is_saved_and_loaded_twice(tmp_path):
    network = chain()
    loaded = network
    for turn in range(2):
        loaded.save(tmp_path / f"{turn}.keras")
        loaded = keras.models.load_model(tmp_path / f"{turn}.keras")
        assert max_difference(network, loaded) < 1e-6
        assert len(loaded.trainable_variables) == len(network.trainable_variables) == 6
    # Keras reads tuples back as lists.
    assert json.dumps(loaded.get_config()) == json.dumps(network.get_config())


def test_weights_alone_are_saved_and_loaded(tmp_path):
    network, other = chain(), chain()
    network.save_weights(tmp_path / "all.weights.h5")
    assert max_difference(network, other) > 1e-3
    other.load_weights(tmp_path / "all.weights.h5")
    assert max_difference(network, other) == 0.0


@pytest.mark.parametrize("is_built", [False, True])
def test_a_layer_is_made_again_from_its_config_twice(is_built):
    layer = GatedResidual(layers.Conv2D(4, 3, strides=2), name="mine")
    if is_built:
        layer.build((None, 9, 9, 2))
    again = layer
    for _ in range(2):
        again = GatedResidual.from_config(again.get_config())
        assert again.get_config() == layer.get_config()
    x = examples(9, 9, 2)
    outputs = layer(x)
    again(x)
    assert [w.shape for w in again.weights] == [w.shape for w in layer.weights]
    again.set_weights(layer.get_weights())
    np.testing.assert_allclose(again(x), outputs, atol=1e-6)


def test_what_was_set_on_a_made_shortcut_is_in_the_config():
    layer = closed(layers.Dense(5), (3,))
    layer.shortcut.trainable = False
    again = GatedResidual.from_config(layer.get_config())
    again.build((None, 3))
    assert not again.shortcut.trainable
    assert again.section.trainable


@pytest.mark.parametrize(
    "section, shape, reason",
    [
        (layers.Flatten(), (4, 4, 2), "number of axes changes"),
        (layers.GlobalAveragePooling2D(), (4, 4, 2), "number of axes changes"),
        (
            layers.GlobalAveragePooling2D(data_format="channels_first"),
            (2, 4, 4),
            "number of axes changes",
        ),
        (
            row(
                layers.GlobalAveragePooling2D(data_format="channels_first"),
                layers.Reshape(()),
            ),
            (1, 4, 4),
            "number of axes changes",
        ),
        (layers.Conv2D(5, 3), (None, None, 2), "not all sizes are known"),
        (layers.Dense(5), (None, 2), "not all sizes are known"),
        (layers.UpSampling2D(), (4, 4, 2), "makes its input longer"),
        (layers.Dense(5), (2, 2, 2, 2, 2), "neither of vectors nor of sequences"),
        (layers.Conv1D(2, 3, data_format="channels_first"), (2, 9), "`.*Cropping1D`"),
        (
            row(
                layers.Conv2D(4, 3, padding="same", data_format="channels_first"),
                layers.MaxPooling2D(data_format="channels_last"),
            ),
            (4, 4, 4),
            "do not agree on a `data_format`",
        ),
    ],
)
def test_a_shortcut_that_cannot_be_made_is_an_error_with_a_way_out(
    section, shape, reason
):
    layer = GatedResidual(section, name="mine")
    message = rf"`mine` cannot.*`{section.name}`.*{reason}.*Give a `shortcut`"
    with pytest.raises(ValueError, match=message):
        layer(keras.Input(shape))


def test_the_advice_where_the_number_of_axes_changes_works():
    shortcut = row(layers.GlobalAveragePooling2D(), layers.Dense(32))
    layer = GatedResidual(layers.Flatten(), shortcut)
    assert layer(keras.Input((4, 4, 2))).shape == (None, 32)


def test_the_example_of_the_docstring_is_true():
    section = layers.Conv2D(6, 5, activation="tanh")
    made = linear_shortcut(section, (None, 28, 28, 1), (None, 24, 24, 6), "stem")
    kinds = [type(layer).__name__ for layer in made.layers]
    assert repr(kinds) in linear_shortcut.__doc__


class Halved(layers.Layer):
    """Takes every other place; its strides are an int, as a user may have them."""

    strides = 2

    def call(self, inputs):
        return inputs[:, ::2]


def test_strides_of_users_layers_may_be_anything():
    layer = GatedResidual(Halved())
    assert layer(examples(6, 4, rows=2)).shape == (2, 3, 4)
