"""What no config holds stays as it is where a network is made again."""

import os

import keras
import numpy as np
import pytest
from gated_networks import FEATURES, dense, gate, randomized

from keras_layer_prune import gate_sections, max_difference, strip_gates

X = np.random.default_rng(0).normal(size=(64, FEATURES)).astype("float32")


class Normalized(keras.layers.Layer):
    """A layer of a user that holds others."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(FEATURES)
        self.norm = keras.layers.BatchNormalization()

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.norm.build(input_shape)

    def call(self, inputs, training=None):
        return self.norm(self.dense(inputs), training=training)


class GrowsByHand(keras.layers.Layer):
    """It gets a part that its constructor knows nothing of."""

    def call(self, inputs):
        return inputs if not hasattr(self, "extra") else self.extra(inputs)


def gated(*first_layers, theta=1.0):
    """A network that begins with some layers; its one section may be open."""
    x = inputs = keras.Input((FEATURES,))
    for layer in first_layers:
        x = layer(x)
    x = keras.layers.Add()([x, gate(theta)(dense()(x))])
    return keras.Model(inputs, dense("head")(x))


def layer_of(network, kind):
    return next(layer for layer in network.layers if isinstance(layer, kind))


def test_bins_that_were_learned_from_data_stay():
    bins = keras.layers.Discretization(num_bins=4)
    bins.adapt(X)
    network = gated(bins, keras.layers.Rescaling(1.0))
    slim = strip_gates(network)
    copy = layer_of(slim, keras.layers.Discretization)
    assert copy.bin_boundaries == bins.bin_boundaries != []
    assert max_difference(network, slim, X) == 0.0


def test_a_mean_that_was_learned_from_data_stays():
    norm = keras.layers.Normalization()
    norm.adapt(3.0 * X + 1.0)
    network = gated(norm)
    assert max_difference(network, strip_gates(network), X) == 0.0


@pytest.mark.parametrize("frozen", ["all", "norm", "none"])
def test_layers_inside_of_a_users_layer_stay_frozen(frozen):
    layer = Normalized()
    network = gated(layer)
    if frozen != "none":
        (layer if frozen == "all" else layer.norm).trainable = False
    copy = layer_of(strip_gates(network), Normalized)
    flags = [[x.trainable for x in (y, y.dense, y.norm)] for y in (layer, copy)]
    assert flags[0] == flags[1]
    assert flags[1][-1] == (frozen == "none")


def test_regularizers_and_constraints_of_single_weights_stay():
    network = gated(dense("stem"))
    stem = network.get_layer("stem")
    stem.kernel.regularizer = keras.regularizers.L2(0.5)
    stem.bias.constraint = keras.constraints.NonNeg()
    slim = strip_gates(network)
    copy = slim.get_layer("stem")
    assert float(sum(slim.losses)) == pytest.approx(0.5 * np.sum(stem.kernel**2))
    assert isinstance(copy.bias.constraint, keras.constraints.NonNeg)
    assert copy.bias.regularizer is copy.kernel.constraint is None


def test_what_a_copy_would_not_hold_is_an_error():
    layer = GrowsByHand(name="mine")
    layer.extra = dense("extra")
    with pytest.raises(ValueError, match="`mine` of class GrowsByHand.*other layers"):
        strip_gates(gated(layer))


def frozen_base(*thetas):
    x = inputs = keras.Input((FEATURES,))
    for index, theta in enumerate(thetas):
        branch = dense(f"section_{index}")(x)
        if theta is not None:
            branch = gate(theta, name=f"gate_{index}")(branch)
        x = keras.layers.Add(name=f"sum_{index}")([x, branch])
    base = keras.Model(inputs, x, name="base")
    base.trainable = False
    return base


def test_what_trains_inside_of_a_frozen_model_goes_on_training():
    base = frozen_base(1.0, None)
    base.get_layer("section_1").trainable = True
    inputs = keras.Input((FEATURES,))
    slim = strip_gates(keras.Model(inputs, dense("head")(base(inputs))))
    found = {w.path.split("/")[-2] for w in slim.trainable_weights}
    assert found == {"section_1", "head"}


def test_gates_of_a_frozen_model_can_move():
    base = frozen_base(None, None)
    inputs = keras.Input((FEATURES,))
    network = gate_sections(keras.Model(inputs, dense("head")(base(inputs))))
    copy = network.get_layer("base")
    assert [x.trainable for x in copy.layers if x.name.endswith("gate")] == [True, True]
    found = {w.path.split("/")[-2] for w in network.trainable_weights}
    assert found == {"head"}


class CountsRows(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.rows = keras.metrics.Sum(name="rows")

    def call(self, inputs):
        self.rows.update_state(keras.ops.ones_like(inputs[:, 0]))
        return inputs


def test_what_a_layer_measures_goes_on_where_it_was():
    network = gated(CountsRows())
    network(X)
    (metric,) = strip_gates(network).metrics
    assert metric.result() == len(X)


class Scales(keras.layers.Layer):
    """What it learns is no variable; methods of its own write it into files."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scale = np.ones(FEATURES, "float32")

    def call(self, inputs):
        return inputs * self.scale


@keras.saving.register_keras_serializable("tests")
class ScalesFromStore(Scales):
    def save_own_variables(self, store):
        store["scale"] = self.scale

    def load_own_variables(self, store):
        self.scale = store["scale"][:]


@keras.saving.register_keras_serializable("tests")
class ScalesFromAssets(Scales):
    def save_assets(self, path):
        np.save(os.path.join(path, "scale.npy"), self.scale)

    def load_assets(self, path):
        self.scale = np.load(os.path.join(path, "scale.npy"))


@pytest.mark.parametrize("kind", [ScalesFromStore, ScalesFromAssets])
def test_what_a_layer_writes_into_files_by_itself_stays(kind):
    layer = kind()
    layer.scale = np.arange(FEATURES, dtype="float32")
    network = gated(layer)
    assert max_difference(network, strip_gates(network), X) == 0.0


class ScalesThatCannotBeWritten(ScalesFromStore):
    def save_own_variables(self, store):
        raise RuntimeError("adapt first")


def test_a_method_that_fails_is_told_with_its_layer():
    network = gated(ScalesThatCannotBeWritten(name="mine"))
    with pytest.raises(ValueError, match="`mine` of class .* copied.* adapt first"):
        strip_gates(network)


class Passes(keras.layers.Layer):
    """Attributes and methods whose names mean something in other layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.stateful, self.states = True, ["idle", "busy"]

    def load_assets(self, path):
        raise AssertionError

    def call(self, inputs):
        return inputs


def test_names_that_mean_something_else_disturb_nothing():
    network = gated(Passes())
    assert max_difference(network, strip_gates(network), X) == 0.0


def test_running_states_go_on_where_they_were():
    x = inputs = keras.Input(batch_shape=(2, 3, FEATURES))
    x = keras.layers.LSTM(FEATURES, return_sequences=True, stateful=True)(x)
    x = keras.layers.Add()([x, gate(1.0)(dense()(x))])
    network = keras.Model(inputs, x)
    sequence = X[:6].reshape(2, 3, FEATURES)
    network(sequence)
    slim = strip_gates(network)
    np.testing.assert_array_equal(slim(sequence), network(sequence))


def test_layers_in_8_bit_floats_may_have_got_their_scales_last():
    network = gated(dense("stem"))
    network.get_layer("stem").quantize("float8")
    assert max_difference(network, strip_gates(network), X) == 0.0


def test_adapters_inside_of_attention_stay():
    x = inputs = keras.Input((3, FEATURES))
    attention = keras.layers.MultiHeadAttention(2, 3)
    x = keras.layers.Add()([x, gate(1.0)(attention(x, x))])
    network = keras.Model(inputs, x)
    attention.query_dense.enable_lora(2, lora_alpha=6)
    randomized(network)
    slim = strip_gates(network)
    assert max_difference(network, slim) == 0.0
    copy = layer_of(slim, keras.layers.MultiHeadAttention).query_dense
    assert (copy.lora_enabled, copy.lora_rank, copy.lora_alpha) == (True, 2, 6)
    trained = [len(layer.trainable_weights) for layer in (attention.query_dense, copy)]
    assert trained[0] == trained[1]


def test_adapters_that_a_config_knows_of_are_added_once():
    network = gated(dense("stem"))
    network.get_layer("stem").enable_lora(2)
    randomized(network)
    slim = strip_gates(network)
    assert max_difference(network, slim) == 0.0
    assert slim.get_layer("stem").lora_enabled


def test_a_weight_that_a_copy_would_not_hold_is_an_error():
    layer = Normalized(name="mine")
    layer.extra = keras.Variable(1.0)
    with pytest.raises(ValueError, match="`mine` of class Normalized.*its constructor"):
        strip_gates(gated(layer))
