"""Multiply-accumulates, against a count of which inputs reach which outputs.

In a linear layer without padding and without zeros among its weights, each
multiply-accumulate joins one input to one output.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from gated_networks import randomized

from keras_layer_prune.graph.macs import call_macs

layers = keras.layers


def macs_of(layer, *shapes):
    inputs = [keras.Input(shape) for shape in shapes]
    output = layer(*inputs)
    return call_macs(layer, inputs, [output])


def connections(layer, shape):
    """How many pairs of an input and an output a layer connects."""
    network = randomized(keras.Sequential([keras.Input(shape), layer]))
    # One example for each input: a one there, and zeros elsewhere.
    one_each = np.eye(np.prod(shape), dtype="float32").reshape(-1, *shape)
    response = network(one_each) - network(np.zeros((1, *shape), "float32"))
    return np.count_nonzero(np.abs(response) > 1e-3)


LINEAR = {
    "dense": (lambda: layers.Dense(5), (7,)),
    "dense on sequences": (lambda: layers.Dense(5), (3, 7)),
    "dense on images": (lambda: layers.Dense(2), (3, 4, 5)),
    "convolution in 1D": (lambda: layers.Conv1D(4, 3), (8, 2)),
    "convolution": (lambda: layers.Conv2D(4, 3), (6, 7, 2)),
    "pointwise convolution": (lambda: layers.Conv2D(4, 1), (5, 5, 3)),
    "strided convolution": (lambda: layers.Conv2D(4, 3, strides=2), (7, 9, 2)),
    "dilated convolution": (lambda: layers.Conv2D(4, 3, dilation_rate=2), (7, 7, 2)),
    "grouped convolution": (lambda: layers.Conv2D(6, 3, groups=2), (6, 6, 4)),
    "convolution in 3D": (lambda: layers.Conv3D(3, 2), (4, 4, 4, 2)),
    "depthwise convolution": (lambda: layers.DepthwiseConv2D(3), (6, 6, 4)),
    "depthwise with two filters": (
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
        (6, 6, 4),
    ),
    "depthwise in 1D": (lambda: layers.DepthwiseConv1D(3), (8, 4)),
    "transposed convolution": (
        lambda: layers.Conv2DTranspose(3, 2, strides=2),
        (4, 5, 2),
    ),
    "overlapping transposed convolution": (
        lambda: layers.Conv2DTranspose(3, 4, strides=4),
        (3, 3, 2),
    ),
    "transposed in 1D": (lambda: layers.Conv1DTranspose(3, 2, strides=2), (5, 2)),
    "einsum over features": (lambda: layers.EinsumDense("ab,bc->ac", 5), (7,)),
    "einsum over sequences": (
        lambda: layers.EinsumDense("abc,cd->abd", (None, 5)),
        (3, 7),
    ),
    "einsum into heads": (
        lambda: layers.EinsumDense("abc,cde->abde", (None, 2, 3)),
        (4, 5),
    ),
    "einsum out of heads": (
        lambda: layers.EinsumDense("abcd,cde->abe", (None, 6)),
        (4, 2, 3),
    ),
    "einsum along the sequence": (
        lambda: layers.EinsumDense("abc,bd->adc", (5, None)),
        (4, 3),
    ),
    "einsum with an ellipsis": (
        lambda: layers.EinsumDense("...x,xy->...y", 5),
        (2, 3, 4),
    ),
}


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_layer_has_one_for_each_connection(name):
    make, shape = LINEAR[name]
    assert macs_of(make(), shape) == connections(make(), shape) > 0


@pytest.mark.parametrize("strides", [1, 2])
def test_a_separable_convolution_has_those_of_its_two_parts(strides):
    shape = (7, 7, 4)
    depthwise = layers.DepthwiseConv2D(3, strides, depth_multiplier=2)
    inside = depthwise(keras.Input(shape)).shape[1:]
    expected = connections(depthwise, shape) + connections(layers.Conv2D(5, 1), inside)
    separable = layers.SeparableConv2D(5, 3, strides, depth_multiplier=2)
    assert macs_of(separable, shape) == expected


def test_padding_is_counted_as_if_it_were_image():
    # 5 x 5 places, 3 x 3 x 2 inputs each, 4 filters.
    assert macs_of(layers.Conv2D(4, 3, padding="same"), (5, 5, 2)) == 25 * 18 * 4


def test_the_first_layer_of_resnet_50_has_118_million():
    # 112 x 112 places, 7 x 7 x 3 inputs each, 64 filters.
    first = layers.Conv2D(64, 7, strides=2, padding="same")
    assert macs_of(first, (224, 224, 3)) == 118_013_952


def test_channels_may_come_first():
    layer = layers.Conv2D(4, 3, data_format="channels_first")
    # No CPU can compute it, but sizes are known without.
    layer.build((None, 2, 6, 7))
    inputs = [keras.KerasTensor((None, 2, 6, 7))]
    outputs = [keras.KerasTensor((None, 4, 4, 5))]
    assert call_macs(layer, inputs, outputs) == connections(
        layers.Conv2D(4, 3), (6, 7, 2)
    )


def attention(queries, values, width, value_width, heads, key_dim, value_dim, out):
    """Attention written as loops; each innermost step is a multiply-accumulate."""
    count = 0
    for _ in range(heads):
        count += queries * width * key_dim  # queries
        count += values * value_width * key_dim  # keys
        count += values * value_width * value_dim  # values
        count += queries * values * key_dim  # scores
        count += queries * values * value_dim  # what is attended to
        count += queries * value_dim * out  # this head's part of the output
    return count


def test_self_attention_has_its_projections_scores_and_sums():
    layer = layers.MultiHeadAttention(num_heads=2, key_dim=3)
    expected = attention(5, 5, 4, 4, 2, 3, 3, 4)
    assert macs_of(layer, (5, 4), (5, 4)) == expected


def test_attention_to_another_sequence_has_those_of_both_lengths():
    layer = layers.MultiHeadAttention(
        num_heads=2, key_dim=3, value_dim=7, output_shape=11
    )
    expected = attention(5, 6, 4, 9, 2, 3, 7, 11)
    assert macs_of(layer, (5, 4), (6, 9)) == expected


def test_unknown_sizes_count_as_one():
    assert macs_of(layers.Conv2D(4, 3, padding="same"), (None, None, 2)) == 9 * 2 * 4
    assert macs_of(layers.Dense(5), (None, 7)) == 35


@pytest.mark.parametrize(
    "layer",
    [layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.5), layers.Flatten()],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_without_products_have_none(layer):
    assert macs_of(layer, (3, 4)) == 0


def test_raw_operations_have_none():
    x = keras.Input((3,))
    operation = (x + x)._keras_history.operation
    assert call_macs(operation, [x, x], [x]) == 0


def floating_point_operations(network, shape):
    """What TensorFlow's profiler counts in one call on one example."""
    function = tf.function(network).get_concrete_function(tf.TensorSpec((1, *shape)))
    profiler = tf.compat.v1.profiler
    options = (
        profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
        .with_empty_output()
        .build()
    )
    with function.graph.as_default():
        counted = profiler.profile(function.graph, options=options)
    return counted.total_float_ops


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(4, 3, padding="same", use_bias=False),
        layers.DepthwiseConv2D(3, padding="same", use_bias=False),
        layers.Dense(5, use_bias=False),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_the_profiler_of_tensorflow_counts_two_operations_for_each(layer):
    shape = (6, 6, 4)
    inputs = keras.Input(shape)
    network = keras.Model(inputs, layer(inputs))
    expected = floating_point_operations(network, shape) // 2
    assert macs_of(layer, shape) == expected
