"""Multiply-accumulates, against a count of which inputs reach which outputs.

In a linear layer without padding and without zeros among its weights, each
multiply-accumulate joins one input to one output.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from gated_networks import randomized

from keras_layer_prune import BernoulliGate, GatedModel, summarize
from keras_layer_prune.graph.costs.macs import call_macs
from keras_layer_prune.graph.costs.traced_macs import traced_macs

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
    "einsum with an ellipsis before axes that stay": (
        lambda: layers.EinsumDense("...ab,bc->...ac", (4, 3)),
        (2, 4, 5),
    ),
    "einsum with an ellipsis for the batch alone": (
        lambda: layers.EinsumDense("...ab,bc->...ac", (4, 3)),
        (4, 5),
    ),
    "einsum with an ellipsis at the end": (
        lambda: layers.EinsumDense("ab...,bc->ac...", 6),
        (5, 2, 3),
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


def test_channels_of_sequences_of_images_may_come_first():
    layer = layers.ConvLSTM2D(3, 2, data_format="channels_first")
    layer.build((None, 5, 2, 6, 8))
    inputs = [keras.KerasTensor((None, 5, 2, 6, 8))]
    outputs = [keras.KerasTensor((None, 3, 5, 7))]
    last = layers.ConvLSTM2D(3, 2)
    assert call_macs(layer, inputs, outputs) == macs_of(last, (5, 6, 8, 2))


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


def test_attention_in_8_bits_has_as_many():
    layer = layers.MultiHeadAttention(num_heads=2, key_dim=3)
    x = keras.Input((5, 4))
    network = keras.Model(x, layer(x, x))
    for part in ("query", "key", "value", "output"):
        getattr(layer, f"{part}_dense").quantize("int8")
    assert summarize(network, latency=False).macs == attention(5, 5, 4, 4, 2, 3, 3, 4)


def test_attention_to_another_sequence_has_those_of_both_lengths():
    layer = layers.MultiHeadAttention(
        num_heads=2, key_dim=3, value_dim=7, output_shape=11
    )
    expected = attention(5, 6, 4, 9, 2, 3, 7, 11)
    assert macs_of(layer, (5, 4), (6, 9)) == expected


def macs_of_network(*outputs):
    """Those of all calls that outputs need, however they were called."""
    inputs = list(keras.utils.get_source_inputs(outputs[0]))
    return summarize(keras.Model(inputs, list(outputs)), latency=False).macs


def test_attention_may_be_called_by_name_in_any_order():
    query, value = keras.Input((5, 4)), keras.Input((6, 9))
    layer = layers.MultiHeadAttention(num_heads=2, key_dim=3)
    output = layer(value=value, key=value, query=query)
    assert macs_of_network(output) == attention(5, 6, 4, 9, 2, 3, 3, 4)


def test_a_mask_is_not_taken_for_what_is_attended_to():
    tokens = keras.Input((None,))
    x = layers.Embedding(9, 4, mask_zero=True)(tokens)
    output = layers.MultiHeadAttention(2, 3)(query=x, value=x)
    assert macs_of_network(output) == attention(1, 1, 4, 4, 2, 3, 3, 4)


def test_a_dot_product_of_sequences_has_those_of_every_pair():
    x, y = keras.Input((5, 4)), keras.Input((6, 4))
    assert macs_of_network(layers.Dot(axes=2)([x, y])) == 5 * 6 * 4


@pytest.mark.parametrize("tie_weights", [True, False])
def test_an_embedding_multiplies_only_in_reverse(tie_weights):
    tokens = keras.Input((5,), dtype="int32")
    layer = layers.ReversibleEmbedding(11, 4, tie_weights=tie_weights)
    hidden = layer(tokens)
    assert macs_of_network(hidden) == 0
    # At each token, a product of its features with each word of the vocabulary.
    assert macs_of_network(layer(hidden, reverse=True)) == 5 * 4 * 11


def test_two_calls_that_differ_in_a_switch_are_counted_apart():
    x = keras.Input((3, 4))
    layer = layers.ReversibleEmbedding(11, 4)
    assert macs_of_network(layer(x), layer(x, reverse=True)) == 3 * 4 * 11


def grouped_attention(queries, values, width, heads, value_heads, head_dim):
    """The same, with fewer heads of keys and values than of queries."""
    count = 0
    for _ in range(heads):
        count += queries * width * head_dim  # queries
        count += 2 * queries * values * head_dim  # scores and sums
        count += queries * head_dim * width  # this head's part of the output
    for _ in range(value_heads):
        count += 2 * values * width * head_dim  # keys and values
    return count


def test_heads_that_share_keys_and_values_compute_them_once():
    layer = layers.GroupQueryAttention(3, num_query_heads=4, num_key_value_heads=2)
    assert macs_of(layer, (5, 4), (6, 4)) == grouped_attention(5, 6, 4, 4, 2, 3)


def recurrent(steps, width, units, gates):
    """A recurrent layer as loops: each unit of each gate reads input and state."""
    count = 0
    for _ in range(steps):
        for _ in range(gates * units):
            count += width + units
    return count


RECURRENT = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_layers_have_those_of_every_step(name):
    layer = getattr(layers, name)(3)
    assert macs_of(layer, (5, 7)) == recurrent(5, 7, 3, RECURRENT[name])


def test_recurrent_layers_in_both_directions_have_those_of_both():
    layer = layers.Bidirectional(layers.GRU(3, return_sequences=True))
    assert macs_of(layer, (5, 7)) == 2 * recurrent(5, 7, 3, RECURRENT["GRU"])


@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("rank", [1, 2])
def test_convolutional_recurrent_layers_have_those_of_every_step(
    rank, return_sequences
):
    layer = getattr(layers, f"ConvLSTM{rank}D")(
        3, 2, padding="same", return_sequences=return_sequences
    )
    # At each place of each step: two features and three of the state, under 2 x 2
    # kernels (2 in one dimension), for three units of four gates.
    places = 6**rank
    expected = 5 * places * 2**rank * (2 + 3) * 3 * 4
    assert macs_of(layer, (5, *[6] * rank, 2)) == expected


def test_the_state_of_a_convolutional_recurrent_layer_is_smaller_without_padding():
    layer = layers.ConvLSTM2D(3, 3)
    assert macs_of(layer, (5, 6, 6, 2)) == 5 * 4 * 4 * 9 * (2 + 3) * 3 * 4


def test_stacked_cells_have_those_of_each():
    layer = layers.RNN([layers.LSTMCell(3), layers.LSTMCell(2)])
    assert macs_of(layer, (5, 7)) == recurrent(5, 7, 3, 4) + recurrent(5, 3, 2, 4)


class Adder(layers.Layer):
    """A recurrent cell without the weights of Keras's own."""

    state_size = output_size = 7

    def call(self, inputs, states):
        return inputs + states[0], [inputs]


def test_cells_of_users_are_not_counted():
    layer = layers.RNN([Adder(), layers.LSTMCell(2)])
    assert macs_of(layer, (5, 7)) == recurrent(5, 7, 2, 4)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_layer_for_each_step_has_those_of_every_step(groups):
    convolution = layers.Conv2D(4, 3, groups=groups)
    expected = 5 * connections(convolution, (6, 6, 2))
    assert macs_of(layers.TimeDistributed(convolution), (5, 6, 6, 2)) == expected


class Block(layers.Layer):
    """Holds layers, and a product of its own."""

    def __init__(self):
        super().__init__()
        self.attention = layers.MultiHeadAttention(num_heads=2, key_dim=3)
        self.dense = layers.Dense(4)

    def build(self, shape):
        self.kernel = self.add_weight(shape=(4, 9))
        self.attention.build(shape, shape)
        self.dense.build((None, None, 9))

    def call(self, inputs):
        x = inputs + self.attention(inputs, inputs)
        return x + self.dense(keras.ops.matmul(x, self.kernel))


def test_a_layer_of_users_has_those_of_its_layers_and_its_own():
    expected = attention(5, 5, 4, 4, 2, 3, 3, 4) + 2 * 5 * 4 * 9
    assert macs_of(Block(), (5, 4)) == expected


def test_a_layer_of_users_with_unknown_sizes_counts_them_as_one():
    expected = attention(1, 1, 4, 4, 2, 3, 3, 4) + 2 * 4 * 9
    assert macs_of(Block(), (None, 4)) == expected


class Compiled(layers.Layer):
    """Its products are in a graph inside of the one in which it is traced."""

    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    @tf.function
    def call(self, inputs):
        return self.inside(keras.ops.matmul(inputs, tf.ones((4, 5))))


def test_a_call_that_is_a_function_of_tensorflow_has_those_inside_of_it():
    # Keras has traced it for batches of any size before.
    assert macs_of(Compiled(layers.Dense(6)), (3, 4)) == 3 * (4 * 5 + 5 * 6)


def test_so_has_one_that_calls_further_ones():
    # Grouped convolutions are functions of Keras's.
    convolution = layers.Conv1D(10, 2, groups=5)
    both = layers.Pipeline([layers.Dense(4), Compiled(convolution)])
    expected = 3 * (4 * 5 + 5 * 4 + 4 * 5) + connections(convolution, (3, 5))
    assert macs_of(Compiled(both), (3, 4)) == expected


def test_a_pipeline_has_those_of_its_layers():
    pipeline = layers.Pipeline(
        [layers.Dense(4), layers.ReLU(), Compiled(layers.Dense(6))]
    )
    assert macs_of(pipeline, (3, 7)) == 3 * (7 * 4 + 4 * 5 + 5 * 6)


def test_a_lambda_has_those_of_its_function():
    layer = layers.Lambda(lambda x: keras.ops.matmul(x, tf.ones((4, 5))))
    assert macs_of(layer, (3, 4)) == 3 * 4 * 5
    assert macs_of(layers.Lambda(lambda x: 2.0 * x), (3, 4)) == 0


class Untraceable(layers.Layer):
    def call(self, inputs):
        if isinstance(inputs, keras.KerasTensor):
            return inputs
        raise TypeError("symbols only")

    def compute_output_spec(self, inputs):
        return inputs


def test_a_call_that_cannot_be_traced_counts_as_nothing():
    assert macs_of(Untraceable(), (4,)) == 0


class ThroughNumPy(layers.Layer):
    """Its last product is of tensors of which TensorFlow knows nothing."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(4, 9))

    def call(self, inputs):
        x = keras.ops.matmul(inputs, self.kernel)
        left, right = (tf.numpy_function(np.copy, [x], x.dtype) for _ in range(2))
        return tf.ensure_shape(tf.matmul(left, right, transpose_b=True), (None, None))

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((None, None))


def test_a_product_of_tensors_of_any_rank_counts_as_nothing():
    assert macs_of(ThroughNumPy(), (4,)) == 4 * 9


class KernelOfAnySize(layers.Layer):
    """A convolution with a kernel of which no size is known."""

    def call(self, inputs):
        kernel = tf.numpy_function(np.ones, [(1, 1, 2, 3)], "float64")
        kernel = tf.ensure_shape(tf.cast(kernel, "float32"), [None] * 4)
        return tf.nn.conv2d(inputs, kernel, 1, "SAME")

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((*inputs.shape[:-1], 3))


def test_a_product_that_cannot_be_counted_counts_as_nothing():
    assert macs_of(KernelOfAnySize(), (5, 5, 2)) == 0


class OwnKernel(layers.Dense):
    """Has no kernel where Keras's layer has one."""

    def build(self, shape):
        self.weight = self.add_weight(shape=(shape[-1], self.units))

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.weight)


class LowRank(layers.Dense):
    """Adds a product of two small kernels to the one of Keras's layer."""

    def build(self, shape):
        super().build(shape)
        self.down = self.add_weight(shape=(shape[-1], 2))
        self.up = self.add_weight(shape=(2, self.units))

    def call(self, inputs):
        more = keras.ops.matmul(keras.ops.matmul(inputs, self.down), self.up)
        return super().call(inputs) + more


class Renamed(layers.Conv2D):
    """Keras's layer with its `call`, which a formula knows."""


def test_a_subclass_with_a_call_of_its_own_has_the_products_of_that():
    assert macs_of(OwnKernel(5), (3, 4)) == 3 * 4 * 5
    assert macs_of(LowRank(5), (3, 4)) == 3 * (4 * 5 + 4 * 2 + 2 * 5)


def test_a_subclass_with_the_call_of_keras_is_counted_as_keras_s():
    layer = layers.Conv2D(6, 3, groups=2)
    assert macs_of(Renamed(6, 3, groups=2), (6, 6, 4)) == macs_of(layer, (6, 6, 4)) > 0


# TensorFlow pads it.
NOT_AS_THEY_ARE = {"dilated convolution"}


@pytest.mark.parametrize("name", sorted(set(LINEAR) - NOT_AS_THEY_ARE))
def test_what_is_counted_in_a_trace_is_what_the_formulas_say(name):
    make, shape = LINEAR[name]
    layer, inputs = make(), keras.Input(shape)
    layer(inputs)
    assert traced_macs(layer, ((inputs,), {})) == macs_of(layer, shape)


def test_a_trace_leaves_no_losses_behind():
    layer = layers.Dense(5, activity_regularizer="l2")
    inputs = keras.Input((4,))
    layer(inputs)
    traced_macs(layer, ((inputs,), {}))
    assert layer.losses == []


class OfAUser(layers.Layer):
    """It notes when it is called: to be counted, it has to be traced."""

    calls = 0

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(4, 4))

    def call(self, inputs):
        type(self).calls += 1
        return keras.ops.matmul(inputs, self.kernel)


def test_a_copy_of_a_layer_that_was_counted_is_not_traced_again():
    x = inputs = keras.Input((4,))
    for _ in range(3):
        x = layers.Add()([x, BernoulliGate()(OfAUser()(x))])
    model = GatedModel(keras.Model(inputs, x))
    macs = summarize(model.network, latency=False).macs
    model.decide(closed=model.gates[:1])
    called = OfAUser.calls
    assert summarize(model.network, latency=False).macs == macs * 2 // 3 == 2 * 4 * 4
    assert OfAUser.calls == called


def test_unknown_sizes_count_as_one():
    assert macs_of(layers.Conv2D(4, 3, padding="same"), (None, None, 2)) == 9 * 2 * 4
    assert macs_of(layers.Dense(5), (None, 7)) == 35
    assert macs_of(layers.LSTM(3), (None, 7)) == recurrent(1, 7, 3, 4)


@pytest.mark.parametrize("name", LINEAR)
def test_a_fixed_batch_size_changes_nothing(name):
    make, shape = LINEAR[name]
    layer, inputs = make(), keras.Input(shape, batch_size=8)
    assert call_macs(layer, [inputs], [layer(inputs)]) == macs_of(make(), shape)


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
