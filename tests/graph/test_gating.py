"""Gates put on the sections of models that somebody else wrote: `gate_sections`."""

import keras
import numpy as np
import pytest

import keras_layer_prune as klp
from keras_layer_prune.graph.gates import find_gates, gated_sections
from keras_layer_prune.graph.rebuilding.retrace import Retrace

layers = keras.layers

pytestmark = [
    pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask"),
    pytest.mark.filterwarnings(
        "ignore:The object being serialized includes a `lambda`"
    ),
]


def dense_section(x, width=8, activation="relu", name=None):
    branch = layers.Dense(width, activation=activation)(x)
    return layers.Add(name=name)([x, layers.Dense(width)(branch)])


def chain(sections=3):
    x = inputs = keras.Input((8,))
    for i in range(sections):
        x = dense_section(x, name=f"block{i}")
    return keras.Model(inputs, layers.Dense(2)(x), name="chain")


def several_inputs_and_outputs():
    a, b = keras.Input((8,), name="a"), keras.Input((4,), name="b")
    x = dense_section(layers.Dense(8)(b) + a)
    y = dense_section(x)
    return keras.Model({"a": a, "b": b}, {"first": x, "second": [y, layers.ReLU()(y)]})


def nested_three_deep():
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(8), layers.ReLU()])
    x = inputs = keras.Input((8,))
    x = layers.Add(name="deep")([inner(x), x])
    middle = keras.Model(inputs, dense_section(x, name="shallow"), name="middle")
    x = inputs = keras.Input((8,))
    outer = keras.Model(inputs, dense_section(middle(x)), name="outer")
    return keras.Sequential([keras.Input((8,)), outer, layers.Dense(2)])


def layer_shared_with_a_nested_model():
    shared = layers.Dense(8, activation="relu", name="shared")
    x = inputs = keras.Input((8,))
    nested = keras.Model(inputs, dense_section(shared(x)), name="nested")
    x = inputs = keras.Input((8,))
    return keras.Model(inputs, dense_section(shared(nested(x)) + x))


def model_called_twice():
    x = inputs = keras.Input((8,))
    nested = keras.Model(inputs, dense_section(x, name="inside"), name="nested")
    x = inputs = keras.Input((8,))
    y = nested(layers.ReLU()(nested(x)))
    return keras.Model(inputs, dense_section(y, name="outside"))


def masked_tokens():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 8, mask_zero=True)(inputs)
    x = x + layers.Dense(8, activation="relu")(x)
    x = layers.Add()([layers.MultiHeadAttention(2, 4)(x, x), x])
    nested_inputs = keras.Input((6, 8))
    nested = keras.Model(nested_inputs, dense_section(nested_inputs), name="nested")
    return keras.Model(inputs, layers.LSTM(3)(nested(x)))


def mask_lost_on_the_way():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 8, mask_zero=True)(inputs)
    branch = layers.Reshape((6, 8))(layers.Dense(8, activation="relu")(x))
    return keras.Model(inputs, layers.LSTM(3)(layers.Add()([x, branch])))


def images():
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same")(layers.Normalization()(x))
    for strides in (1, 2):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        y = layers.DepthwiseConv2D(3, strides, padding="same", activation="silu")(y)
        scale = layers.GlobalAveragePooling2D(keepdims=True)(y)
        y = layers.Multiply()([y, layers.Conv2D(4, 1, activation="sigmoid")(scale)])
        y = layers.Dropout(0.1)(layers.Conv2D(4, 3, padding="same", groups=2)(y))
        kept = x if strides == 1 else layers.Conv2D(4, 1, strides)(x)
        x = layers.add([y, kept])
    return keras.Model(inputs, layers.Flatten()(x))


def double(x):
    return 2.0 * x


class Scale(layers.Layer):
    """A custom layer that is not registered with Keras."""

    def __init__(self, initial, **kwargs):
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, input_shape):
        self.scale = self.add_weight(initializer=self.initial, shape=input_shape[-1:])

    def call(self, inputs):
        return inputs * self.scale

    def get_config(self):
        return {**super().get_config(), "initial": self.initial}


class Twos(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return keras.ops.full(shape, 2.0, dtype)


def unregistered_objects():
    scale = 3.0
    x = inputs = keras.Input((8,))
    x = layers.Dense(8, activation=double, kernel_initializer=Twos())(x)
    x = layers.Dense(8, activation=lambda x: scale * keras.ops.tanh(x))(x)
    branch = Scale(Twos())(layers.Lambda(lambda x: keras.ops.sin(scale * x))(x))
    branch = layers.Lambda(double, output_shape=(8,))(branch)
    return keras.Model(inputs, layers.Add()([branch, x]))


class Backbone(keras.Model):
    """A functional subclass with a config of its own, as in KerasHub."""

    def __init__(self, depth, **kwargs):
        self.depth = depth
        x = inputs = keras.Input((8,))
        for i in range(depth):
            x = dense_section(x, name=f"layer{i}")
        super().__init__(inputs, x, **kwargs)

    def get_config(self):
        return {"depth": self.depth, "name": self.name}


def functional_subclass():
    return Backbone(3, name="backbone")


def functional_subclass_inside():
    x = inputs = keras.Input((8,))
    return keras.Model(inputs, layers.Dense(2)(Backbone(2, name="backbone")(x)))


NETWORKS = [
    chain,
    several_inputs_and_outputs,
    nested_three_deep,
    layer_shared_with_a_nested_model,
    model_called_twice,
    masked_tokens,
    mask_lost_on_the_way,
    images,
    unregistered_objects,
    functional_subclass,
    functional_subclass_inside,
]


def randomised(model, seed=0):
    """Give every variable a value that no initializer gives."""
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.dtype == "float32":
            variable.assign(generator.uniform(0.2, 0.9, variable.shape))
    for layer in model.layers:
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()
    return model


def example_inputs(model):
    generator = np.random.default_rng(1)

    def example(tensor):
        shape = (5, *tensor.shape[1:])
        if "int" in tensor.dtype:
            return generator.integers(0, 3, shape)
        return generator.normal(size=shape).astype("float32")

    is_sequential = isinstance(model, keras.Sequential)
    return keras.tree.map_structure(
        example, model.inputs[0] if is_sequential else model.input
    )


@pytest.fixture(params=NETWORKS, ids=lambda make: make.__name__)
def model(request):
    return randomised(request.param())


def largest_difference(a, b):
    return klp.max_difference(a, b, example_inputs(a))


def assert_equal_outputs(a, b):
    outputs = keras.tree.flatten(a(example_inputs(a)))
    scale = max(float(keras.ops.max(keras.ops.abs(x))) for x in outputs)
    assert scale > 0.0
    assert largest_difference(a, b) <= 1e-6 * scale


def test_outputs_are_unchanged_with_open_gates(model):
    gated = klp.gate_sections(model, initial_probability=1.0)
    prunable = [section for section in klp.find_sections(model) if section.prunable]
    assert len(find_gates(gated)) == len(prunable) > 0
    assert_equal_outputs(model, gated)


def test_stripping_open_gates_gives_the_model_back(model):
    gated = klp.gate_sections(model, initial_probability=1.0)
    plain = klp.strip_gates(gated)
    assert_equal_outputs(model, plain)
    assert plain.count_params() == model.count_params()
    assert len(plain.variables) == len(model.variables)


def test_closed_sections_leave_with_what_the_dry_run_counted(model):
    gated = klp.gate_sections(model, initial_probability=0.0)
    slim = klp.strip_gates(gated)
    sections = [section for section in klp.find_sections(model) if section.prunable]
    assert_equal_outputs(gated, slim)
    left = model.count_params() - slim.count_params()
    assert left >= max(section.parameters for section in sections)


def test_each_section_leaves_alone_as_counted(model):
    for section in klp.find_sections(model):
        if not section.prunable:
            continue
        gated = klp.gate_sections(model, [section.name], initial_probability=0.0)
        slim = klp.strip_gates(gated)
        assert model.count_params() - slim.count_params() == section.parameters
        assert_equal_outputs(gated, slim)


def test_the_model_is_left_as_it_was(model):
    before = [variable.numpy() for variable in model.variables]
    gated = klp.gate_sections(model, initial_probability=0.5)
    for variable in gated.variables:
        variable.assign(keras.ops.zeros_like(variable))
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert not find_gates(model)


def test_structures_of_inputs_and_outputs_are_kept():
    model = several_inputs_and_outputs()
    gated = klp.gate_sections(model)
    assert gated.input.keys() == model.input.keys()
    assert gated.output.keys() == {"first", "second"}
    assert len(gated.output["second"]) == 2


def test_gates_take_names_that_are_free():
    x = inputs = keras.Input((8,))
    x = dense_section(layers.Dense(8, name="block_gate")(x), name="block")
    (gate,) = find_gates(klp.gate_sections(keras.Model(inputs, x)))
    assert gate.name == "block_gate_more"


def test_optional_inputs_stay_optional():
    x = inputs = keras.Input((8,))
    extra = keras.Input((8,), name="extra", optional=True)
    model = keras.Model([inputs, extra], dense_section(x))
    gated = klp.gate_sections(model, initial_probability=1.0)
    data = np.ones((2, 8), "float32")
    np.testing.assert_array_equal(gated([data, None]), model([data, None]))


def test_a_shared_layer_stays_shared():
    model = layer_shared_with_a_nested_model()
    gated = klp.gate_sections(model)
    kernel = gated.get_layer("shared").kernel
    assert gated.get_layer("nested").get_layer("shared").kernel is kernel


def test_frozen_layers_stay_frozen_and_no_others():
    model = chain()
    model.layers[1].trainable = False
    model.layers[-1].trainable = False
    gated = klp.gate_sections(model)
    frozen = {layer.name for layer in gated.layers if not layer.trainable}
    assert frozen == {model.layers[1].name, model.layers[-1].name}


def test_initializers_are_kept_in_the_config():
    model = unregistered_objects()
    rebuilt = Retrace(model).rebuild()
    initializers = [type(rebuilt.layers[i].kernel_initializer) for i in (1, 2)]
    assert initializers == [Twos, keras.initializers.GlorotUniform]


def test_adapted_normalisation_is_kept():
    x = inputs = keras.Input((8,))
    normalise = layers.Normalization()
    model = keras.Model(inputs, dense_section(normalise(x)))
    normalise.adapt(np.random.default_rng(0).normal(3.0, 2.0, (50, 8)))
    assert_equal_outputs(model, klp.gate_sections(model, initial_probability=1.0))


def test_an_addition_of_a_constant_does_not_keep_zero():
    x = inputs = keras.Input((8,))
    branch = klp.BernoulliGate(initial_probability=0.0)(layers.Dense(8)(x))
    model = randomised_keeping_gates(keras.Model(inputs, x + (branch + 3.0)))
    assert_equal_outputs(model, klp.strip_gates(model))


def test_a_scaled_addition_keeps_its_scale_when_the_other_operand_goes():
    add = keras.src.applications.inception_resnet_v2.CustomScaleLayer
    for order in (1, -1):
        x = inputs = keras.Input((8,))
        branch = klp.BernoulliGate(initial_probability=0.0)(layers.Dense(8)(x))
        model = keras.Model(inputs, add(0.25)([x, branch][::order]))
        assert_equal_outputs(model, klp.strip_gates(model))


def randomised_keeping_gates(model):
    thetas = [(gate, gate.probability.numpy()) for gate in find_gates(model)]
    randomised(model)
    for gate, theta in thetas:
        gate.probability.assign(theta)
    return model


def test_a_model_shared_by_a_closed_branch_is_saved_with_its_weights(tmp_path):
    x = inputs = keras.Input((8,))
    shared = keras.Model(inputs, layers.ReLU()(layers.Dense(8)(x)), name="shared")
    x = inputs = keras.Input((8,))
    branch = klp.BernoulliGate(initial_probability=0.0)(layers.Dense(8)(x))
    model = randomised_keeping_gates(
        keras.Model(inputs, [shared(branch), shared(x), layers.Add()([x, branch])])
    )
    slim = klp.strip_gates(model)
    assert_equal_outputs(model, slim)
    slim.save(tmp_path / "slim.keras")
    loaded = keras.models.load_model(tmp_path / "slim.keras")
    assert_equal_outputs(slim, loaded)


def test_a_zero_passes_into_a_nested_model():
    a, b = keras.Input((8,)), keras.Input((8,))
    fed = layers.Dense(8, use_bias=False, name="fed")(b)
    nested = keras.Model([a, b], layers.Add()([a, fed]), name="nested")
    x = inputs = keras.Input((8,))
    gate = klp.BernoulliGate(initial_probability=0.0)
    model = keras.Model(inputs, nested([x, gate(layers.Dense(8)(x))]))
    randomised_keeping_gates(model)
    slim = klp.strip_gates(model)
    assert_equal_outputs(model, slim)
    assert slim.count_params() == 0
    (section,) = gated_sections(model)
    assert section.layers[-1].name == "fed"
    assert section.parameters == model.count_params() - 4


def test_a_vocabulary_is_kept():
    words = keras.Input((4,), dtype="string")
    lookup = layers.StringLookup()
    lookup.adapt(["blue", "red", "blue"])
    x = layers.Flatten()(layers.Embedding(4, 2)(lookup(words)))
    model = keras.Model(words, dense_section(x))
    gated = klp.gate_sections(model, initial_probability=1.0)
    data = keras.ops.convert_to_tensor([["red", "blue", "green", "red"]])
    np.testing.assert_array_equal(gated(data), model(data))
    # It belongs to the new network alone.
    numbers = keras.Model(gated.input, gated.get_layer(lookup.name).output)
    np.testing.assert_array_equal(numbers(data), lookup(data))


@keras.saving.register_keras_serializable("tests")
class WordVectors(layers.Layer):
    """A layer of a user with words, and weights for them."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.lookup = layers.StringLookup(vocabulary=["blue", "red"])
        self.vectors = layers.Embedding(3, 2)

    def build(self, input_shape):
        self.vectors.build(input_shape)

    def get_vocabulary(self):
        return self.lookup.get_vocabulary()

    def call(self, words):
        return self.vectors(self.lookup(words))

    def compute_output_spec(self, words):
        return keras.KerasTensor((*words.shape, 2))


def test_a_layer_with_words_and_weights_gets_weights_of_its_own():
    words = keras.Input((4,), dtype="string")
    model = keras.Model(words, dense_section(layers.Flatten()(WordVectors()(words))))
    gated = klp.gate_sections(model, initial_probability=1.0)
    data = keras.ops.convert_to_tensor([["red", "blue", "green", "red"]])
    np.testing.assert_array_equal(gated(data), model(data))
    assert not {id(v) for v in gated.weights} & {id(v) for v in model.weights}


def test_a_nested_model_with_a_call_of_its_own_is_not_read():
    class Doubling(keras.Model):
        def call(self, inputs, training=None, mask=None):
            return 2.0 * super().call(inputs)

    x = inputs = keras.Input((8,))
    doubling = Doubling(inputs, dense_section(x, name="inside"))
    x = inputs = keras.Input((8,))
    model = randomised(keras.Model(inputs, dense_section(doubling(x), name="out")))
    kinds = {section.name: section.kind for section in klp.find_sections(model)}
    assert kinds == {"out": "identity", "doubling": "block"}
    assert_equal_outputs(model, klp.gate_sections(model, initial_probability=1.0))


def test_a_gated_network_is_saved_and_loaded(tmp_path):
    gated = klp.gate_sections(nested_three_deep(), initial_probability=0.7)
    gated.save(tmp_path / "gated.keras")
    loaded = keras.models.load_model(tmp_path / "gated.keras")
    assert largest_difference(gated, loaded) == 0.0


def test_gates_are_named_after_their_sections():
    gated = klp.gate_sections(nested_three_deep())
    names = {gate.name for gate in find_gates(gated)}
    sections = klp.find_sections(nested_three_deep())
    assert "outer.middle.deep_gate" in names
    assert len(names) == len(sections) == 3


def gated_names(**arguments):
    return [gate.name for gate in find_gates(klp.gate_sections(chain(), **arguments))]


@pytest.mark.parametrize(
    "filters",
    ["block[02]", ["block0", "block2"], lambda section: section.name != "block1"],
)
def test_filters_choose_sections(filters):
    assert gated_names(filters=filters) == ["block0_gate", "block2_gate"]


def test_arguments_reach_every_gate():
    prior = klp.FlatteningPrior(5.0)
    gates = find_gates(klp.gate_sections(chain(), None, prior, 0.3, "batch", seed=4))
    assert {gate.prior.log_gamma for gate in gates} == {5.0}
    assert {gate.initial_probability for gate in gates} == {0.3}
    assert {gate.draws for gate in gates} == {"batch"}
    assert [gate.seed for gate in gates] == [4, 5, 6]


@pytest.mark.parametrize("filters", ["nothing", [], lambda section: False])
def test_filters_that_match_nothing_list_the_names(filters):
    with pytest.raises(ValueError, match="matches none.*'block0', 'block1', 'block2'"):
        klp.gate_sections(chain(), filters)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match=r"not there: \['blok0'\].*'block0'"):
        klp.gate_sections(chain(), ["blok0", "block1"])


def test_names_that_are_not_prunable_say_why():
    with pytest.raises(ValueError, match="not prunable.*called 2 times"):
        klp.gate_sections(model_called_twice(), ["nested.inside"])


class TrainsInItsOwnWay(keras.Model):
    def compute_loss(self, *args, **kwargs):
        return 2.0 * super().compute_loss(*args, **kwargs)


def test_a_model_whose_class_has_a_training_step_is_refused():
    plain = chain()
    model = TrainsInItsOwnWay(plain.input, plain.output)
    with pytest.raises(ValueError, match=r"own `compute_loss`.*keras.Model\("):
        klp.gate_sections(model)
    klp.gate_sections(keras.Model(model.input, model.output))


def test_weights_of_the_first_call_are_made_before():
    x = inputs = keras.Input((8,))
    x = layers.Add()([x, layers.Dense(8, activation=layers.PReLU("ones"))(x)])
    gated = klp.gate_sections(keras.Model(inputs, x), initial_probability=1.0)
    assert len(gated.trainable_weights) == 3
    ones = -np.ones((2, 8), "float32")
    before = gated(ones)
    assert len(gated.trainable_weights) == 3
    slim = klp.strip_gates(gated)
    np.testing.assert_array_equal(slim(ones), before)


def test_a_model_with_gates_is_refused():
    with pytest.raises(ValueError, match="3 gates already.*GatedModel.*strip_gates"):
        klp.gate_sections(klp.gate_sections(chain()))


def test_a_model_without_residual_connection_is_told_of_gated_residual():
    model = keras.Sequential([keras.Input((8,)), layers.Dense(8), layers.ReLU()])
    with pytest.raises(ValueError, match="no residual connection.*`GatedResidual"):
        klp.gate_sections(model)


def test_a_model_without_shortcut_is_told_of_gated_residual():
    x = inputs = keras.Input((8,))
    a, b = (layers.Dense(8, activation="relu")(x) for _ in range(2))
    with pytest.raises(ValueError, match="None of the sections.*`GatedResidual"):
        klp.gate_sections(keras.Model(inputs, a + b))


def test_a_section_about_which_there_is_advice_can_be_chosen_by_its_name():
    inputs = keras.Input((8,))
    total = layers.Add(name="sum")([inputs, layers.Dense(8)(inputs)])
    model = keras.Model(inputs, total)
    (section,) = klp.find_sections(model)
    assert section.prunable and section.advice
    assert klp.gate_sections(model, ["sum"]).get_layer("sum_gate")


def siamese(call):
    inputs = keras.Input((8,))
    block = layers.Add()([inputs, layers.Dense(8, "tanh", name="section")(inputs)])
    pair = [keras.Input((8,)), keras.Input((8,))]
    outputs = call(keras.Model(inputs, block, name="encoder"), pair)
    return keras.Model(pair, layers.Dot(1)(outputs))


def test_a_model_that_is_called_on_two_inputs_is_told_how_one_call_serves_both():
    twice = siamese(lambda encoder, pair: [encoder(x) for x in pair])
    with pytest.raises(ValueError, match="called 2 times.*Concatenate.*split"):
        klp.gate_sections(twice)

    def at_once(encoder, pair):
        return keras.ops.split(encoder(layers.Concatenate(axis=0)(pair)), 2, axis=0)

    once = siamese(at_once)
    once.get_layer("encoder").set_weights(twice.get_layer("encoder").get_weights())
    assert klp.max_difference(once, twice) < 1e-5
    assert len(klp.GatedModel(klp.gate_sections(once)).gates) == 1


def test_a_subclassed_model_is_told_to_become_functional():
    class Subclassed(keras.Model):
        pass

    with pytest.raises(ValueError, match=r"`keras.Model\(inputs, outputs\)`"):
        klp.gate_sections(Subclassed())


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="Expected a Keras model"):
        klp.gate_sections("ResNet50")


def test_gates_do_not_round_what_they_multiply(policy):
    x = inputs = keras.Input((8,))
    network = keras.Model(inputs, dense_section(x))
    policy("mixed_float16")
    gated = klp.gate_sections(network, initial_probability=1.0)
    policy("float32")
    (gate,) = find_gates(gated)
    assert gate.compute_dtype == "float32"
    # Beyond what 16 bits can hold.
    data = np.full((2, 8), 1e6, "float32")
    np.testing.assert_allclose(gated(data), network(data), rtol=1e-6)


def test_a_network_keeps_its_precision_in_another_session(policy):
    policy("mixed_float16")
    inputs = keras.Input((8,))
    network = keras.Model(inputs, dense_section(inputs))
    policy("float32")
    model = klp.GatedModel(klp.gate_sections(network))
    model.compile("adam", "mse")
    # By it Keras scales the loss for half precision.
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
