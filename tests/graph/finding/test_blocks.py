"""Sections as real architectures write them."""

import keras
import numpy as np
import pytest
from gated_networks import gate, kinds_in, model, names_in

from keras_layer_prune import max_difference, remove_closed_sections, strip_gates

layers = keras.layers


def convolution(name=None):
    return layers.Conv2D(4, 3, padding="same", name=name)


def post_activation(x, i):
    branch = layers.BatchNormalization()(convolution(f"section_{i}_a")(x))
    branch = convolution(f"section_{i}_b")(layers.ReLU()(branch))
    branch = yield layers.BatchNormalization(name=f"section_{i}_c")(branch)
    yield layers.ReLU()(layers.Add()([x, branch]))


def pre_activation(x, i):
    branch = layers.ReLU()(layers.BatchNormalization(name=f"section_{i}_a")(x))
    branch = yield convolution(f"section_{i}_b")(branch)
    yield layers.Add()([branch, x])


def squeeze_and_excite(x, i):
    branch = convolution(f"section_{i}_a")(x)
    scale = layers.GlobalAveragePooling2D(keepdims=True)(branch)
    scale = layers.Conv2D(4, 1, activation="sigmoid", name=f"section_{i}_b")(scale)
    branch = yield layers.Multiply()([branch, scale])
    yield layers.Add()([branch, x])


def excited_after_the_gate(x, i):
    branch = yield convolution(f"section_{i}_a")(x)
    scale = layers.GlobalAveragePooling2D(keepdims=True)(branch)
    scale = layers.Conv2D(4, 1, activation="sigmoid", name=f"section_{i}_b")(scale)
    yield layers.Add()([branch * scale, x])


def dropped_after_the_gate(x, i):
    branch = yield convolution(f"section_{i}_a")(x)
    yield layers.Add()([x, layers.Dropout(0.5)(branch)])


def inverted_bottleneck(x, i):
    branch = layers.Conv2D(8, 1, activation="silu", name=f"section_{i}_a")(x)
    branch = layers.DepthwiseConv2D(3, padding="same", name=f"section_{i}_b")(branch)
    branch = yield layers.Conv2D(4, 1, use_bias=False, name=f"section_{i}_c")(branch)
    yield x + branch


def scaled_after_the_gate(x, i):
    # As ConvNeXt scales its branches, with the gate before.
    branch = yield convolution(f"section_{i}_a")(x)
    scale = layers.EinsumDense("abcd,d->abcd", (None, None, 4), name=f"section_{i}_b")
    yield x + scale(branch)


BLOCKS = [
    post_activation,
    pre_activation,
    squeeze_and_excite,
    excited_after_the_gate,
    dropped_after_the_gate,
    inverted_bottleneck,
    scaled_after_the_gate,
]


def network_of(block, thetas):
    """Blocks in a row. A block yields its branch, and gets it back with a gate."""
    inputs = keras.Input((6, 6, 3))
    x = layers.ReLU()(convolution("stem")(inputs))
    for i, theta in enumerate(thetas):
        parts = block(x, i)
        branch = next(parts)
        x = parts.send(gate(theta)(branch))
    return model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


def sections_in(network):
    names = [name for name in names_in(network) if name.startswith("section_")]
    return {int(name.split("_")[1]) for name in names}


@pytest.mark.parametrize("thetas", [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)])
@pytest.mark.parametrize("block", BLOCKS)
def test_closed_blocks_leave_and_open_ones_stay(block, thetas):
    network = network_of(block, thetas)
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert sections_in(slim) == {i for i, theta in enumerate(thetas) if theta == 1.0}


@pytest.mark.parametrize("block", BLOCKS)
def test_only_closed_blocks_leave_a_network_that_is_still_training(block):
    network = network_of(block, [0.0, 0.4])
    smaller = remove_closed_sections(network)
    assert max_difference(network, smaller) < 1e-5
    assert sections_in(smaller) == {1}


@pytest.mark.parametrize("block", [post_activation, pre_activation])
def test_open_blocks_go_on_normalizing_by_the_batch(block):
    network = network_of(block, [1.0, 0.0])
    slim = strip_gates(network)
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype("float32")
    outputs, slim_outputs = (m(x, training=True) for m in (network, slim))
    np.testing.assert_allclose(slim_outputs, outputs, atol=1e-5)


def test_a_rectifier_behind_a_rectifier_goes_with_the_section_between_them():
    network = network_of(post_activation, [0.0, 0.0])
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert [type(x).__name__ for x in slim.layers].count("ReLU") == 1


def test_a_rectifier_that_goes_in_one_place_stays_in_another():
    shared = layers.ReLU(name="shared")
    inputs = keras.Input((4,))
    x = layers.ReLU()(layers.Dense(4)(shared(layers.Dense(4)(inputs))))
    x = layers.Add()([x, gate(0.0)(layers.Dense(4, name="gone")(x))])
    # The output cannot keep its name, which the first call still has.
    network = model(inputs, shared(x))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert [type(x).__name__ for x in slim.layers].count("ReLU") == 2


@pytest.mark.parametrize(
    "second",
    [
        layers.ReLU(max_value=0.5),
        layers.LeakyReLU(),
        layers.Activation("relu", dtype="float64"),
        layers.Activation("relu", activity_regularizer="l2"),
    ],
    ids=["bound", "slope", "dtype", "regularizer"],
)
def test_an_activation_that_does_more_than_to_rectify_stays(second):
    inputs = keras.Input((4,))
    x = layers.ReLU()(layers.Dense(4)(inputs))
    x = layers.Add()([x, gate(0.0)(layers.Dense(4, name="gone")(x))])
    network = model(inputs, second(x))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert type(second).__name__ in kinds_in(slim)


def test_a_layer_shared_by_a_closed_and_an_open_branch_stays_once():
    shared = layers.Dense(4, "sigmoid", name="shared")
    x = inputs = keras.Input((4,))
    for i, theta in enumerate([0.0, 1.0, 1.0]):
        branch = layers.Dense(4, name=f"section_{i}")(shared(x))
        x = layers.Add()([x, gate(theta)(branch)])
    network = model(inputs, x)
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert slim.count_params() == 3 * (4 * 4 + 4)
    assert sections_in(slim) == {1, 2}


def test_a_branch_that_is_read_before_its_gate_stays_for_that_reader():
    inputs = keras.Input((4,))
    branch = layers.Dense(4, name="read")(inputs)
    after = gate(0.0)(layers.Dense(4, name="section_0")(branch))
    x = layers.Add()([inputs, after])
    network = model(inputs, [x, layers.Dense(2)(branch)])
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert "read" in names_in(slim)
    assert sections_in(slim) == set()


@keras.saving.register_keras_serializable("tests")
class DropPath(keras.layers.Layer):
    """Stochastic depth as people write it, unknown to the package."""

    def call(self, inputs, training=False):
        if not training:
            return inputs
        kept = keras.random.uniform((keras.ops.shape(inputs)[0], 1)) < 0.8
        return inputs * keras.ops.cast(kept, inputs.dtype)


@pytest.mark.parametrize("theta", [0.0, 1.0])
def test_a_custom_layer_behind_the_gate_changes_nothing_in_the_outputs(theta):
    inputs = keras.Input((4,))
    branch = DropPath()(gate(theta)(layers.Dense(4, name="section_0")(inputs)))
    network = model(inputs, layers.Add()([inputs, branch]))
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert sections_in(slim) == ({0} if theta == 1.0 else set())
