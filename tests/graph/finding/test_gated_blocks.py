"""Layers that hold their residual connections inside, found and gated as a whole."""

import pathlib
import re

import keras
import numpy as np
import pytest
from transformer_blocks import WIDTH, Backbone, Decoder, Encoder, moved

import keras_layer_prune as klp
from keras_layer_prune.graph.checks import check_gated_network
from keras_layer_prune.graph.gates import find_gates

layers = keras.layers
PAGE = pathlib.Path(__file__).parents[3] / "docs" / "which_models_can_be_pruned.md"
BLOCKS = ["Encoder", "Decoder"]


def sentences():
    generator = np.random.default_rng(0)
    lengths = np.array([5, 3, 7, 4])
    return {
        "token_ids": generator.integers(0, 20, (4, 7)),
        "padding_mask": (np.arange(7) < lengths[:, None]).astype("int32"),
    }


def gated_backbone(block, closed=()):
    network = moved(Backbone(4, block, name="backbone"))
    gated = klp.gate_sections(network, initial_probability=1.0)
    for gate in find_gates(gated):
        if gate.name in closed:
            gate.probability.assign(0.0)
    return network, gated


def block_in(outputs, inputs):
    (section,) = klp.find_sections(keras.Model(inputs, outputs))
    return section


@pytest.mark.parametrize("block", BLOCKS)
def test_each_block_of_a_backbone_is_found(block):
    network = Backbone(2, block)
    sections = klp.find_sections(network)
    assert [section.name for section in sections] == ["block_0", "block_1"]
    for section in sections:
        layer = network.get_layer(section.name)
        assert section.prunable
        assert section.kind == "block"
        assert section.layers == [section.name]
        assert section.parameters == layer.count_params()
    assert "2 of 2 additions and blocks" in str(sections)


def test_a_block_has_the_operations_of_its_parts():
    inputs = keras.Input((5, WIDTH))
    section = block_in(Encoder(heads=2)(inputs), inputs)
    per_head = 4 * 5 * WIDTH * WIDTH + 2 * 5 * 5 * WIDTH
    assert section.macs == 2 * per_head + 2 * 5 * WIDTH * 2 * WIDTH


@pytest.mark.parametrize("block", BLOCKS)
def test_open_gates_around_blocks_change_nothing(block):
    network, gated = gated_backbone(block)
    assert klp.max_difference(network, gated, sentences()) < 1e-5
    assert [gate.name for gate in find_gates(gated)] == [
        f"block_{i}_gate" for i in range(4)
    ]
    check_gated_network(gated)


@pytest.mark.parametrize("block", BLOCKS)
def test_masks_still_matter_in_gated_blocks(block):
    _, gated = gated_backbone(block)
    everything = {**sentences(), "padding_mask": np.ones((4, 7), "int32")}
    masked, unmasked = gated(sentences()), gated(everything)
    assert np.max(np.abs(masked["pooled"] - unmasked["pooled"])) > 1e-4


@pytest.mark.parametrize("block", BLOCKS)
def test_closed_blocks_leave_and_the_others_keep_their_names(block):
    _, gated = gated_backbone(block, closed=["block_0_gate", "block_2_gate"])
    slim = klp.strip_gates(gated)
    assert klp.max_difference(gated, slim, sentences()) < 1e-5
    names = {layer.name for layer in slim.layers}
    assert {"block_1", "block_3"} <= names
    assert not {"block_0", "block_2"} & names
    assert type(slim.get_layer("block_1")).__name__ == block


def test_a_rebuilt_backbone_is_saved_with_its_new_depth(tmp_path):
    _, gated = gated_backbone("Encoder", closed=["block_1_gate"])
    slim = klp.strip_gates(gated)
    assert not isinstance(slim, Backbone)
    slim.save(tmp_path / "slim.keras")
    loaded = keras.models.load_model(tmp_path / "slim.keras")
    assert klp.max_difference(slim, loaded, sentences()) == 0.0
    assert len(loaded.weights) == len(slim.weights)


def test_a_gated_backbone_is_saved_with_its_gates(tmp_path):
    _, gated = gated_backbone("Decoder", closed=["block_1_gate"])
    gated.save(tmp_path / "gated.keras")
    loaded = keras.models.load_model(tmp_path / "gated.keras")
    assert klp.max_difference(gated, loaded, sentences()) == 0.0
    assert [float(gate.probability) for gate in find_gates(loaded)] == [1, 0, 1, 1]


def test_filters_choose_blocks_by_name():
    gated = klp.gate_sections(Backbone(3), filters="_[12]")
    assert [gate.name for gate in find_gates(gated)] == ["block_1_gate", "block_2_gate"]


def test_a_block_may_be_called_by_the_name_of_its_argument():
    inputs = keras.Input((5, WIDTH))
    network = keras.Model(inputs, Decoder()(decoder_sequence=inputs))
    gated = klp.gate_sections(moved(network), initial_probability=1.0)
    assert klp.max_difference(network, gated) < 1e-5
    assert klp.max_difference(network, klp.strip_gates(gated)) == 0.0


def test_a_block_in_a_branch_that_can_leave_is_not_listed_by_itself():
    x = inputs = keras.Input((5, WIDTH))
    section = block_in(layers.Add(name="sum")([x, Encoder()(x)]), inputs)
    assert section.name == "sum"
    assert section.kind == "identity"


def test_a_block_that_is_called_twice_is_not_prunable():
    inputs = keras.Input((5, WIDTH))
    block = Encoder()
    section = block_in(block(block(inputs)), inputs)
    assert not section.prunable
    assert "it is called 2 times" in section.reason
    assert "own layers" in section.advice


class Unmasking(Encoder):
    def compute_mask(self, inputs, previous_mask):
        return None


def test_a_block_that_drops_the_mask_is_not_prunable():
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(10, WIDTH, mask_zero=True)(inputs)
    assert block_in(Encoder()(x), inputs).prunable
    x = layers.Embedding(10, WIDTH, mask_zero=True)(inputs)
    assert "masked" in block_in(Unmasking()(x), inputs).reason


class Convolutions(layers.Layer):
    """Takes steps together, and parts them again; only a trace says what comes out."""

    def __init__(self, down, up, **kwargs):
        super().__init__(**kwargs)
        self.down = layers.Conv1D(WIDTH, 4, strides=down, padding="same")
        self.up = layers.Conv1DTranspose(WIDTH, 4, strides=up, padding="same")

    def build(self, inputs_shape):
        self.down.build(inputs_shape)
        self.up.build(inputs_shape)

    def call(self, inputs):
        return self.up(self.down(inputs))


class Convolution(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.only = layers.Conv1D(WIDTH, 4, padding="same")

    def build(self, inputs_shape):
        self.only.build(inputs_shape)

    def call(self, inputs):
        return self.only(inputs)


def test_a_block_says_how_many_layers_it_holds():
    inputs = keras.Input((8, WIDTH))
    two = block_in(Convolutions(1, 1)(inputs), inputs)
    assert two.advice == "as a whole: the 2 layers inside cannot be told apart"
    one = block_in(Convolution()(inputs), inputs)
    assert one.advice == "as a whole, with the layer inside"


@pytest.mark.parametrize(("down", "up"), [(2, 1), (1, 2), (2, 4)])
def test_a_block_that_changes_an_unknown_length_is_not_prunable(down, up):
    inputs = keras.Input((None, WIDTH))
    section = block_in(Convolutions(down, up)(inputs), inputs)
    assert not section.prunable
    made = (16 * up // down, WIDTH)
    assert f"it makes {made} of {(16, WIDTH)}" in section.reason


@pytest.mark.parametrize("times", [1, 2])
def test_a_block_that_keeps_an_unknown_length_is_prunable(times):
    inputs = keras.Input((None, WIDTH))
    network = keras.Model(inputs, Convolutions(times, times)(inputs))
    gated = klp.gate_sections(network, initial_probability=1.0)
    assert klp.max_difference(network, gated) < 1e-5


class SaysLittle(Encoder):
    """Does not say what it makes of known sizes."""

    def compute_output_shape(self, inputs_shape):
        return (inputs_shape[0], None, WIDTH)


class WantsAnotherLength(Encoder):
    def compute_output_shape(self, inputs_shape):
        if inputs_shape[1] is not None:
            raise ValueError
        return inputs_shape


@pytest.mark.parametrize("kind", [SaysLittle, WantsAnotherLength])
def test_a_block_of_which_shapes_do_not_tell_more_is_prunable(kind):
    inputs = keras.Input((None, WIDTH))
    assert block_in(kind()(inputs), inputs).prunable


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(WIDTH, name="dense")

    def call(self, inputs):
        return inputs + self.dense(inputs)


def test_a_subclassed_model_inside_of_a_network_is_a_block():
    inputs = keras.Input((WIDTH,))
    network = keras.Model(inputs, Subclassed(name="own")(inputs))
    gated = klp.gate_sections(moved(network), initial_probability=1.0)
    assert [gate.name for gate in find_gates(gated)] == ["own_gate"]
    assert klp.max_difference(network, gated) < 1e-5


NO_BLOCKS = {
    "attention of Keras": lambda x: layers.MultiHeadAttention(2, 4)(x, x),
    "recurrent in both directions": lambda x: layers.Bidirectional(
        layers.LSTM(WIDTH // 2, return_sequences=True)
    )(x),
    "dense": lambda x: layers.Dense(WIDTH)(x),
}


@pytest.mark.parametrize("call", NO_BLOCKS.values(), ids=NO_BLOCKS)
def test_layers_of_keras_are_no_blocks(call):
    inputs = keras.Input((5, WIDTH))
    assert klp.find_sections(keras.Model(inputs, call(inputs))) == []


def test_a_model_in_time_distributed_is_named():
    x = inputs = keras.Input((WIDTH,))
    model = keras.Model(inputs, x + layers.Dense(WIDTH)(x), name="per_step")
    inputs = keras.Input((5, WIDTH))
    section = block_in(layers.TimeDistributed(model, name="steps")(inputs), inputs)
    assert section.name == "steps"
    assert not section.prunable
    assert "`per_step` with additions" in section.reason
    assert "TimeDistributed" in section.reason
    assert "Call `per_step` in the graph" in section.advice


def test_the_recipe_of_the_docs_opens_a_block():
    *_, recipe = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {"keras": keras}
    exec(recipe, names)
    inputs = keras.Input((5, WIDTH))
    block = Encoder()
    closed = keras.Model(inputs, block(inputs))
    network = keras.Model(inputs, names["opened"](block, inputs))
    moved(closed)
    assert klp.max_difference(closed, network) < 1e-5
    kinds = {x.layers[-1]: x.kind for x in klp.find_sections(network)}
    assert kinds == {"attention": "identity", "narrow": "identity"}


def test_blocks_leave_while_their_network_trains():
    network = klp.gate_sections(
        moved(Backbone(2)), prior=klp.FlatteningPrior(1e6), initial_probability=0.5
    )
    model = klp.GatedModel(network)
    model.compile("sgd", {"sequence": "mse", "pooled": "mse"})
    targets = {"sequence": np.zeros((4, 7, WIDTH)), "pooled": np.zeros((4, 3))}
    model.fit(
        sentences(),
        targets,
        epochs=3,
        verbose=0,
        callbacks=[klp.PruneSections()],
    )
    kinds = {type(layer).__name__ for layer in model.network.layers}
    assert not {"Encoder", "GatedLayer"} & kinds
    assert model.gates == []


def test_a_half_precision_block_in_a_full_precision_session_stays_half():
    # As after loading a network that was made under another policy.
    inputs = keras.Input((5, WIDTH))
    network = keras.Model(inputs, Encoder(dtype="mixed_bfloat16")(inputs))
    gated = klp.gate_sections(moved(network), initial_probability=1.0)
    assert gated.outputs[0].dtype == network.outputs[0].dtype == "bfloat16"
    x = np.random.default_rng(0).normal(size=(4, 5, WIDTH)).astype("float32")
    expected, outputs = (np.asarray(m(x), "float32") for m in (network, gated))
    # `x + (layer(x) - x)` is rounded twice, and the layer alone is not.
    np.testing.assert_allclose(outputs, expected, rtol=0.02, atol=0.05)
