"""A model saved in the middle of its pruning goes on where it was."""

import json

import keras
import numpy as np
import pytest
from small_models import (
    chain,
    compiled,
    data,
    gate,
    gates_by_name,
    thetas,
    weights,
)

from keras_layer_prune import GatedModel, GaussianScaleMixturePrior, max_difference

X, Y = data()


def half_pruned():
    """One section removed, one gate opened for good, two undecided."""
    model = compiled(
        chain((0.9, 0.0, 0.6, 1.0), price=0.5),
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(0.05, 20)),
        metrics=["mae"],
        gate_step_size=keras.optimizers.schedules.ExponentialDecay(0.01, 2, 0.5),
        gate_gradient="straight_through",
        weight_prior=GaussianScaleMixturePrior(3.0),
        train_size=64,
    )
    train(model, 3)
    gates = gates_by_name(model)
    model.decide(closed=[gates["gate_1"]], opened=[gates["gate_3"]], epoch=7)
    train(model, 2)
    return model


def train(model, steps):
    for _ in range(steps):
        model.train_on_batch(X, Y)


def save_and_load(model, folder):
    path = folder / "model.keras"
    model.save(path)
    return keras.saving.load_model(path)


@pytest.fixture
def pair(tmp_path):
    model = half_pruned()
    return model, save_and_load(model, tmp_path)


def test_the_network_and_its_gates_are_the_same(pair):
    model, loaded = pair
    assert isinstance(loaded, GatedModel)
    assert thetas(loaded) == thetas(model)
    assert [gate.name for gate in loaded.gates] == ["gate_0", "gate_2"]
    benefits = [[float(g.benefit.numpy()) for g in m.gates] for m in pair]
    assert benefits[0] == benefits[1]
    assert max_difference(model.network, loaded.network) == 0.0


def test_the_pruning_log_is_kept(pair):
    model, loaded = pair
    assert list(loaded.pruning_log) == list(model.pruning_log)
    assert json.loads(json.dumps(model.pruning_log)) == model.pruning_log
    assert [(e["section"], e["action"], e["epoch"]) for e in loaded.pruning_log] == [
        ("gate_1", "removed", 7),
        ("gate_3", "kept", 7),
    ]


def test_it_is_compiled_with_the_same_arguments(pair):
    model, loaded = pair
    assert loaded.get_compile_config() == model.get_compile_config()
    assert loaded.given_train_size == 64
    assert loaded.gate_gradient == "straight_through"
    assert loaded.weight_prior.precision == 3.0
    assert loaded.gate_step_size(4) == model.gate_step_size(4)


def test_the_optimizer_is_where_it_was(pair):
    model, loaded = pair
    assert loaded.optimizer.iterations == 5
    slots = [{v.path: v.numpy() for v in m.optimizer.variables} for m in pair]
    assert len(slots[0]) == len(slots[1]) == 1 + 2 * len(weights(model))
    for path, value in slots[0].items():
        np.testing.assert_array_equal(slots[1][path], value, err_msg=path)


def test_the_training_goes_on_as_without_the_break(pair):
    model, loaded = pair
    # Keras saves no state of random generators, not of `Dropout` either.
    for one, copy in zip(model.gates, loaded.gates, strict=True):
        copy.seed_generator.state.assign(one.seed_generator.state)
    for either in pair:
        train(either, 3)
    for path, value in weights(model).items():
        np.testing.assert_allclose(weights(loaded)[path], value, atol=1e-6)
    np.testing.assert_allclose(thetas(loaded), thetas(model), atol=1e-6)
    assert loaded.clock.step == model.clock.step == 8


def test_a_model_can_be_pruned_after_it_was_loaded(pair):
    _, loaded = pair
    loaded.decide(closed=[loaded.gates[0]])
    train(loaded, 1)
    assert [gate.name for gate in loaded.gates] == ["gate_2"]
    assert loaded.optimizer.iterations == 6


def test_a_model_without_gates_left_is_saved_and_loaded(tmp_path):
    model = half_pruned()
    closed, opened = model.gates
    model.decide(closed=[closed], opened=[opened])
    loaded = save_and_load(model, tmp_path)
    assert loaded.gates == []
    assert list(loaded.pruning_log) == list(model.pruning_log)
    np.testing.assert_array_equal(loaded(X), model(X))
    history = loaded.fit(X, Y, verbose=0).history
    assert history["sections"] == [2.0]


def test_a_model_that_is_not_compiled_is_saved_and_loaded(tmp_path):
    model = GatedModel(chain())
    loaded = save_and_load(model, tmp_path)
    assert not loaded.compiled
    np.testing.assert_array_equal(loaded(X), model(X))


def test_what_a_model_was_made_with_is_saved_and_loaded(tmp_path):
    model = GatedModel(chain(), name="small", dtype="mixed_float16", trainable=False)
    assert model.trainable_variables == []
    copy = GatedModel.from_config(model.get_config())
    for other in (copy, save_and_load(model, tmp_path)):
        assert other.name == "small"
        assert other.dtype_policy.name == "mixed_float16"
        assert other.trainable_variables == []
        # Its layers train again with the model, as those of the first one do.
        assert all(layer.trainable for layer in other.network.layers)


def test_a_subclass_that_takes_a_name_alone_is_made_from_its_config():
    class Named(GatedModel):
        def __init__(self, network, pruning_log=(), name=None):
            super().__init__(network, pruning_log, name=name)

    copy = Named.from_config(Named(chain(), name="small").get_config())
    assert copy.name == "small"


def test_a_checkpoint_of_keras_holds_what_is_left(tmp_path):
    model = half_pruned()
    path = tmp_path / "last.keras"
    checkpoint = keras.callbacks.ModelCheckpoint(path)
    model.fit(X, Y, verbose=0, callbacks=[checkpoint])
    loaded = keras.saving.load_model(path)
    assert thetas(loaded) == thetas(model)
    assert list(loaded.pruning_log) == list(model.pruning_log)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_the_order_of_its_weights_is_that_of_a_model_made_anew(tmp_path):
    model = half_pruned()
    again = GatedModel.from_config(model.get_config())
    again.set_weights(model.get_weights())
    model.save(tmp_path / "model.h5")
    kinds = {"GatedModel": GatedModel, **keras.saving.get_custom_objects()}
    loaded = keras.saving.load_model(tmp_path / "model.h5", kinds, compile=False)
    for other in (again, loaded):
        assert max_difference(other.network, model.network) == 0.0
        assert thetas(other) == thetas(model)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_file_of_the_old_format_is_not_read_without_the_class(tmp_path):
    # Which is why `ModelCheckpoint` is refused that writes one.
    half_pruned().save(tmp_path / "model.h5")
    with pytest.raises(ValueError, match="Unknown layer: 'GatedModel'"):
        keras.saving.load_model(tmp_path / "model.h5", compile=False)


def test_a_vocabulary_with_weights_of_words_is_saved_and_loaded(tmp_path):
    words = keras.layers.TextVectorization(output_mode="tf_idf", max_tokens=5)
    words.adapt(["a b c", "a b", "b"])
    inputs = keras.Input((), dtype="string")
    x = keras.layers.Dense(4)(words(inputs))
    x = keras.layers.Add()([x, gate("gate")(keras.layers.Dense(4, "relu")(x))])
    model = GatedModel(keras.Model(inputs, x))
    loaded = save_and_load(model, tmp_path)
    texts = keras.ops.convert_to_tensor(["a c", "b"])
    np.testing.assert_array_equal(loaded(texts), model(texts))
