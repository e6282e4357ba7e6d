"""Masks that exist only when a network runs, which symbolic tensors do not show."""

import keras
import pytest
from gated_networks import gate, model, names_in
from masked_sequences import TOKENS, attended

import keras_layer_prune as klp
from keras_layer_prune import max_difference, strip_gates

layers = keras.layers


@keras.saving.register_keras_serializable("test_masks_made_in_calls")
class Holds(layers.Wrapper):
    """A layer of a user around one of Keras, of whose masks it knows nothing."""

    def call(self, x):
        return self.layer(x)


@keras.saving.register_keras_serializable("test_masks_made_in_calls")
class Attends(layers.Layer):
    """Attention that no graph shows, and whose output has no mask."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(2, 4)

    def build(self, shape):
        self.attention.build(shape, shape)

    def call(self, x):
        return self.attention(x, x) + 0.0


@keras.saving.register_keras_serializable("test_masks_made_in_calls")
class Counts(layers.Layer):
    """A layer that can be run, and not traced."""

    def call(self, x):
        return keras.ops.convert_to_tensor(x.numpy() + 1.0)

    def compute_output_shape(self, shape):
        return shape


def reversible(tokens):
    return layers.ReversibleEmbedding(10, 4, mask_zero=True)(tokens)


def held(tokens):
    return Holds(layers.Embedding(10, 4, mask_zero=True))(tokens)


def pipeline(tokens):
    return layers.Pipeline([layers.Embedding(10, 4, mask_zero=True)])(tokens)


def averaged(x):
    return layers.GlobalAveragePooling1D()(x)


def recurrent(x):
    return layers.LSTM(4)(x)


def unmasked(x):
    """A branch that has no mask, so that its sum has none."""
    return layers.Conv1D(4, 3, padding="same")(x)


def masked(x):
    return layers.Dense(4, "tanh")(x)


@pytest.fixture(params=[reversible, held, pipeline])
def embedded(request):
    """Tokens, and what has become of them, with a mask when the network runs."""
    tokens = keras.Input((6,), dtype="int32")
    return tokens, request.param(tokens)


def check_the_same(network):
    assert max_difference(network, strip_gates(network), TOKENS) < 1e-5


@pytest.mark.filterwarnings("ignore:.*does not support masking")
@pytest.mark.parametrize("theta", [0.0, 1.0])
@pytest.mark.parametrize("reader", [averaged, recurrent, attended])
@pytest.mark.parametrize("branch_of", [masked, unmasked])
def test_sums(embedded, branch_of, reader, theta):
    tokens, x = embedded
    x = layers.Add()([x, gate(theta)(branch_of(x))])
    check_the_same(model(tokens, reader(x)))


@pytest.mark.filterwarnings("ignore:.*does not support masking")
@pytest.mark.parametrize("theta", [0.0, 1.0])
@pytest.mark.parametrize("section_of", [layers.Dense, lambda n: layers.Conv1D(n, 1)])
def test_gated_residuals(embedded, section_of, theta):
    tokens, x = embedded
    x = klp.GatedResidual(section_of(4), gate=gate(theta))(x)
    check_the_same(model(tokens, averaged(x)))


@pytest.mark.filterwarnings("ignore:.*does not support masking")
@pytest.mark.parametrize("theta", [0.0, 1.0])
def test_branches_of_layers_whose_masks_no_graph_shows(embedded, theta):
    tokens, x = embedded
    x = layers.Add()([x, gate(theta)(Holds(layers.Dense(4))(x))])
    check_the_same(model(tokens, averaged(x)))


@pytest.mark.filterwarnings("ignore:.*does not support masking")
def test_attention_inside_of_a_layer_takes_the_mask_from_others():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    branch = gate(0.0)(Attends()(x))
    network = model(tokens, averaged(layers.Add()([x, branch])))
    check_the_same(network)


@pytest.mark.filterwarnings("ignore:.*does not support masking")
def test_nested_models_that_join_sequences_one_behind_the_other():
    inputs = [keras.Input((6, 4)), keras.Input((6, 4))]
    joined = layers.Concatenate(axis=1)(inputs)
    inner = keras.Model(inputs, joined + gate(0.0)(masked(joined)))
    tokens = keras.Input((6,), dtype="int32")
    embedding = layers.Embedding(10, 4, mask_zero=True)
    plain = layers.Embedding(10, 4)
    x = inner([embedding(tokens), plain(tokens)])
    check_the_same(model(tokens, averaged(x)))


def test_rows_of_linear_layers_are_not_folded_where_masks_pass(embedded):
    tokens, x = embedded
    x = layers.Dense(4, name="first")(x)
    x = klp.GatedResidual(layers.Dense(4, "relu"), gate=gate(0.0))(x)
    network = model(tokens, averaged(layers.Dense(4, name="second")(x)))
    check_the_same(network)
    assert {"first", "second"} <= names_in(strip_gates(network))


def test_a_block_that_hands_on_its_mask_can_be_gated(embedded):
    tokens, x = embedded
    block = Holds(keras.Sequential([layers.Dense(4), layers.Dense(4)]), name="block")
    network = model(tokens, averaged(block(x)))
    (section,) = [x for x in klp.find_sections(network) if x.name == "block"]
    assert section.prunable, section.reason


@pytest.mark.filterwarnings("ignore:.*does not support masking")
def test_of_what_cannot_be_traced_symbolic_tensors_tell():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    x = layers.Add()([x, gate(0.0)(unmasked(x))])
    check_the_same(model(tokens, [averaged(x), Counts()(x)]))


def test_networks_without_masks_are_not_traced():
    """Every rebuilding would take as long as a trace."""
    calls = []

    def counted(x):
        calls.append(x)
        return x

    inputs = keras.Input((4,))
    x = layers.Lambda(counted)(layers.Add()([inputs, layers.Dense(4)(inputs)]))
    network = model(inputs, x)
    # What the function multiplies is counted in a trace of it alone, once.
    klp.summarize(network, latency=False)
    calls.clear()
    klp.find_sections(network)
    assert not calls
