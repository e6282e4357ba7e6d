"""Data in every form that `fit` takes, and models and callbacks used once more."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import (
    FEATURES,
    actions,
    chain,
    compiled,
    data,
    gates_by_name,
    idle_model,
    prune_idle,
    useful_and_idle_data,
    weights,
)

from keras_layer_prune import (
    BackupAndRestore,
    GatedModel,
    PruneSections,
    TensorBoardGates,
)

OUTCOME = {"gate_useful": "kept", "gate_idle": "removed"}
X, Y = useful_and_idle_data()
HALF_WEIGHTS = np.tile([1.0, 0.5], len(X) // 2)


class Batches(keras.utils.PyDataset):
    """Batches of eight, the last one smaller."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def __len__(self):
        return -(-self.rows // 8)

    def __getitem__(self, index):
        rows = slice(8 * index, min(8 * index + 8, self.rows))
        return X[rows], Y[rows]


def endless():
    while True:
        for start in range(0, len(X), 8):
            yield X[start : start + 8], Y[start : start + 8]


ARRAYS = {"x": X, "y": Y, "batch_size": 8}
FORMS = {
    "sample_weights": lambda: {**ARRAYS, "sample_weight": HALF_WEIGHTS},
    "class_weights": lambda: {
        **ARRAYS,
        "y": np.round(Y).astype("int32"),
        "class_weight": {label: 0.5 + 0.01 * label for label in range(100)},
    },
    "ragged_last_batch": lambda: {"x": X[:43], "y": Y[:43], "batch_size": 8},
    "dataset_with_a_ragged_last_batch": lambda: {
        "x": tf.data.Dataset.from_tensor_slices((X[:43], Y[:43])).batch(8)
    },
    "generator": lambda: {"x": endless(), "steps_per_epoch": 6},
    "pydataset": lambda: {"x": Batches(43)},
    "validation_split": lambda: {**ARRAYS, "validation_split": 0.25},
    "shuffled": lambda: {**ARRAYS, "shuffle": True},
}


def fit(model, arguments, epochs=8):
    """Train with pruning; return the history."""
    fitted = model.fit(
        **{"verbose": 0, "shuffle": False, **arguments},
        epochs=epochs,
        callbacks=[PruneSections(verbose=0)],
    )
    return fitted.history


@pytest.mark.parametrize("form", FORMS)
def test_the_same_section_leaves_whatever_form_the_data_has(form):
    train_size = len(X) if form == "generator" else None
    model = idle_model(
        optimizer=keras.optimizers.SGD(1e-4), run_eagerly=False, train_size=train_size
    )
    history = fit(model, FORMS[form]())
    assert actions(model) == OUTCOME
    assert history["sections"][-1] == 1.0
    assert all(np.isfinite(values).all() for values in history.values())


def test_class_weights_are_the_weights_of_their_examples():
    labels = np.round(Y).astype("int32")
    by_class = {label: 0.5 + 0.01 * label for label in range(100)}
    by_example = np.vectorize(by_class.get)(labels[:, 0])
    found = []
    for weighing in ({"class_weight": by_class}, {"sample_weight": by_example}):
        model = idle_model(optimizer=keras.optimizers.SGD(1e-4))
        history = fit(model, {**ARRAYS, "y": labels, **weighing})
        found.append((history["data_loss"], list(model.pruning_log)))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)
    assert [e["step"] for e in found[0][1]] == [e["step"] for e in found[1][1]]


def test_a_second_fit_may_be_on_other_data_for_other_epochs():
    model = idle_model()
    prune_idle(model, epochs=1)
    assert model.train_size == 48
    assert len(model.gates) == 2
    prune_idle(model, PruneSections(verbose=0), epochs=5, rows=40)
    assert model.train_size == 40
    assert actions(model) == OUTCOME
    prune_idle(model, PruneSections(verbose=0), epochs=2, rows=16)
    assert model.optimizer.iterations == 6 + 5 * 5 + 2 * 2


def test_a_callback_serves_one_training_after_the_other():
    prune = PruneSections(verbose=0)
    logs = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        model = idle_model()
        prune_idle(model, prune)
        logs.append((list(model.pruning_log), dict(prune.trajectories)))
    assert logs[0] == logs[1]
    # On a model that has nothing left to decide, it does nothing.
    prune_idle(model, prune, epochs=1)
    assert list(model.pruning_log) == logs[1][0]
    assert prune.trajectories == {}


def test_callbacks_can_be_copied_after_one_training_and_serve_another(tmp_path):
    callbacks = [
        PruneSections(verbose=0),
        TensorBoardGates(tmp_path / "logs"),
        BackupAndRestore(tmp_path / "backup"),
    ]
    prune_idle(idle_model(), *callbacks)
    before = copy.deepcopy(callbacks[0].trajectories)
    assert before
    copies = copy.deepcopy(callbacks)
    assert copies[0].trajectories == before

    other = idle_model()
    prune_idle(other, *copies, epochs=4)
    assert actions(other) == OUTCOME
    assert callbacks[0].trajectories == before != copies[0].trajectories
    assert len(list((tmp_path / "logs" / "gates").iterdir())) == 2


def test_a_callback_can_be_copied_after_an_interrupt(tmp_path):
    model, gates = idle_model(), TensorBoardGates(tmp_path)
    interrupt = keras.callbacks.LambdaCallback(on_epoch_begin=interrupt_the_second)
    with pytest.raises(KeyboardInterrupt):
        prune_idle(model, PruneSections(verbose=0), gates, interrupt)
    copied = copy.deepcopy(gates)
    # Which is also to say that TensorFlow still is as it was.
    prune_idle(model, PruneSections(verbose=0), copied)
    assert actions(model) == OUTCOME
    assert len(list((tmp_path / "gates").iterdir())) == 2


def interrupt_the_second(epoch, logs):
    if epoch == 1:
        raise KeyboardInterrupt


def test_a_model_compiled_again_between_events_decides_the_rest():
    model = compiled(chain((0.5, 0.5)), "adam", train_size=16)
    model.decide(closed=[gates_by_name(model)["gate_0"]])
    before = weights(model)
    model.compile(keras.optimizers.SGD(0.01), "mae", run_eagerly=True)
    for path, value in weights(model).items():
        np.testing.assert_array_equal(value, before[path])
    model.fit(*data(), epochs=4, verbose=0, callbacks=[PruneSections(verbose=0)])
    assert actions(model).keys() == {"gate_0", "gate_1"}
    assert model.gates == []


def test_looking_at_the_model_on_the_way_changes_nothing():
    def trained(*callbacks):
        keras.utils.set_random_seed(0)
        model = idle_model(optimizer=keras.optimizers.SGD(1e-4), run_eagerly=False)
        prune_idle(model, PruneSections(verbose=0), *callbacks)
        return model

    seen = []
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(looked.predict(X, verbose=0))
    )
    keras.utils.set_random_seed(0)
    looked = idle_model(optimizer=keras.optimizers.SGD(1e-4), run_eagerly=False)
    prune_idle(looked, PruneSections(verbose=0), look)
    plain = trained()
    assert list(looked.pruning_log) == list(plain.pruning_log)
    for path, value in weights(plain).items():
        np.testing.assert_array_equal(weights(looked)[path], value)
    assert len(seen) == 8
    np.testing.assert_allclose(seen[-1], plain.network(X).numpy(), rtol=1e-5)


def test_a_model_that_shares_layers_keeps_them_when_the_other_is_pruned():
    network = chain((0.0, 1.0))
    middle = keras.Model(network.input, network.get_layer("sum_0").output)
    model = compiled(network, "adam", train_size=16)
    x, y = data()
    expected = middle(x).numpy()
    closed, opened = model.gates
    model.decide(closed=[closed], opened=[opened])
    np.testing.assert_array_equal(middle(x), expected)
    # From here on the two train apart: the smaller network has layers of its own.
    model.train_on_batch(x, y)
    np.testing.assert_array_equal(middle(x), expected)
    middle.compile("sgd", "mse", run_eagerly=True)
    outputs = model(x).numpy()
    middle.train_on_batch(x, np.zeros((len(x), FEATURES)))
    np.testing.assert_array_equal(model(x), outputs)


def test_two_models_of_one_network_prune_it_each_for_itself():
    network = chain((0.5, 0.5))
    first, second = compiled(network, train_size=16), compiled(network, train_size=16)
    first.decide(closed=first.gates)
    assert first.gates == []
    assert second.network is network
    assert [gate.name for gate in second.gates] == ["gate_0", "gate_1"]
    second.train_on_batch(*data())
    second.decide(closed=[second.gates[0]])
    assert [gate.name for gate in second.gates] == ["gate_1"]


def test_a_loaded_model_is_trained_until_all_is_decided(tmp_path):
    model = idle_model(run_eagerly=False)
    prune_idle(model, epochs=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, GatedModel)
    prune_idle(loaded, PruneSections(verbose=0))
    assert actions(loaded) == OUTCOME
    assert loaded.optimizer.iterations == 6 + 8 * 6
