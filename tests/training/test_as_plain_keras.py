"""With gates that stay open, a model trains, measures and predicts as its network."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_layer_prune as klp

layers = keras.layers


def opened():
    """A gate that is the identity."""
    return klp.BernoulliGate(initial_probability=1.0, trainable=False)


def token_network():
    inputs = keras.Input((3,))
    x = layers.GlobalAveragePooling1D()(layers.Embedding(5000, 4)(inputs))
    x = layers.Add()([x, opened()(layers.Dense(4, "relu")(x))])
    return keras.Model(inputs, layers.Dense(1, dtype="float32")(x))


@pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16"])
def test_inputs_are_not_rounded_before_the_network_sees_them(policy, name):
    policy(name)
    network = token_network()
    model = klp.GatedModel(network)
    x = np.random.default_rng(0).integers(0, 5000, (8, 3)).astype("float32")
    expected = network.predict(x, verbose=0)
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
    np.testing.assert_array_equal(model(x), expected)


def test_inputs_of_double_precision_keep_it():
    inputs = keras.Input((1,), dtype="float64")
    x = layers.Rescaling(1.0, offset=-1.7e9, dtype="float64")(inputs)
    x = layers.Add()([x, opened()(layers.Dense(1)(x))])
    network = keras.Model(inputs, x)
    seconds = tf.data.Dataset.from_tensors(1.7e9 + np.arange(4.0)[:, None])
    expected = network.predict(seconds, verbose=0)
    assert len(np.unique(expected)) == 4
    found = klp.GatedModel(network).predict(seconds, verbose=0)
    np.testing.assert_array_equal(found, expected)


def test_the_loss_is_scaled_where_the_network_was_made_in_half_precision(policy):
    policy("mixed_float16")
    network = token_network()
    policy("float32")
    model = klp.GatedModel(network)
    model.compile("sgd", "mse")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)


def fully_convolutional():
    """Its output is `(None, None)` by its symbol, and `(rows, 1)` for these images."""
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 1)(inputs)
    x = layers.Add()([x, opened()(layers.Conv2D(4, 3, padding="same")(x))])
    return keras.Model(inputs, layers.Flatten()(layers.Conv2D(1, 4)(x)))


@pytest.mark.parametrize("axes", [1, 2])
def test_accuracy_is_that_of_the_shapes_that_come(axes):
    x = np.random.default_rng(0).normal(size=(32, 4, 4, 3)).astype("float32")
    y = (x.mean((1, 2, 3)) > 0).astype("float32").reshape((-1, 1)[:axes])
    network = fully_convolutional()
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    accuracies = []
    for model in (klp.GatedModel(network), network):
        model.compile(keras.optimizers.SGD(0.0), loss, metrics=["accuracy"])
        accuracies += model.fit(x, y, verbose=0).history["accuracy"]
    assert accuracies[0] == accuracies[1]


class Positive(klp.GatedModel):
    """The probability of the second of two classes."""

    def call(self, inputs, training=None):
        outputs = super().call(inputs, training=training)
        return keras.ops.softmax(outputs)[:, 1:]


def test_accuracy_is_that_of_the_outputs_of_a_subclass():
    inputs = keras.Input((4,))
    x = layers.Add()([inputs, opened()(layers.Dense(4)(inputs))])
    model = Positive(keras.Model(inputs, layers.Dense(2)(x)))
    x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    y = (x[:, :1] > 0).astype("float32")
    frozen = keras.optimizers.SGD(0.0)
    model.compile(frozen, "binary_crossentropy", metrics=["accuracy"])
    expected = np.mean((model.predict(x, verbose=0) > 0.5) == y)
    assert expected != np.mean(y == 0)
    assert model.fit(x, y, verbose=0).history["accuracy"] == [expected]


class CountsAtTheEnd(keras.callbacks.Callback):
    """Updates a metric after the last step, as Keras lets callbacks do."""

    def __init__(self, metric):
        super().__init__()
        self.metric = metric

    def on_train_batch_end(self, batch, logs=None):
        self.metric.update_state(1.0)


def test_what_callbacks_tell_metrics_is_in_the_history():
    count = keras.metrics.Sum(name="count")
    inputs = keras.Input((4,))
    x = layers.Add()([inputs, opened()(layers.Dense(4)(inputs))])
    model = klp.GatedModel(keras.Model(inputs, x))
    model.count = count
    model.compile("sgd", "mse")
    x = np.zeros((6, 4), "float32")
    callback = CountsAtTheEnd(count)
    history = model.fit(x, x, batch_size=2, verbose=0, callbacks=[callback]).history
    assert history["count"] == [3.0]


def sections(y_true, y_pred):
    return y_pred


def model_of_two_outputs(names, structure=list):
    inputs = keras.Input((4,))
    x = layers.Add()([inputs, opened()(layers.Dense(4)(inputs))])
    outputs = structure(layers.Dense(1, name=name)(x) for name in names)
    return klp.GatedModel(keras.Model(inputs, outputs))


@pytest.mark.parametrize(
    ("names", "metrics", "taken"),
    [
        (("data", "other"), None, "data_loss"),
        (("a", "b"), [None, [keras.metrics.Mean(name="sections")]], "sections"),
        (("a", "b"), [["expected_sections"], None], "expected_sections"),
        (("a", "b"), [None, [sections]], "sections"),
        (("a", "b"), [[keras.metrics.Mean(name="removed")], None], "removed"),
    ],
)
def test_names_that_the_logs_have_already_are_refused(names, metrics, taken):
    model = model_of_two_outputs(names)
    with pytest.raises(ValueError, match=rf"logged as \['{taken}'\].*another name"):
        model.compile("sgd", ["mse", "mse"], metrics=metrics)
    assert not model.compiled


def under_keys(*keys):
    return lambda outputs: dict(zip(keys, outputs, strict=True))


def test_a_key_of_the_outputs_that_the_logs_have_already_is_refused():
    model = model_of_two_outputs(("a", "b"), under_keys("data", "aux"))
    with pytest.raises(ValueError, match=r"logged as \['data_loss'\].*key, another"):
        model.compile("sgd", "mse")


def test_a_layer_may_be_called_data_where_its_output_has_another_key():
    model = model_of_two_outputs(("data", "b"), under_keys("main", "aux"))
    model.compile("sgd", "mse", metrics={"main": ["mae"]})
    x, y = np.zeros((2, 4)), np.zeros((2, 1))
    logs = model.evaluate(x, {"main": y, "aux": y}, verbose=0, return_dict=True)
    assert {"data_loss", "main_loss", "aux_loss", "main_mae"} <= logs.keys()


def test_one_output_may_be_called_data():
    inputs = keras.Input((4,))
    x = layers.Add()([inputs, opened()(layers.Dense(4)(inputs))])
    model = klp.GatedModel(keras.Model(inputs, layers.Dense(1, name="data")(x)))
    model.compile("sgd", "mse")
    assert model.compiled
