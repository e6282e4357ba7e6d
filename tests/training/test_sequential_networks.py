"""A sequential network with gates trains and shrinks as a functional one."""

import keras
import numpy as np
import pytest
from small_models import FEATURES, actions, compiled, data, gate

import keras_layer_prune as klp

layers = keras.layers


def sequential(price=None, theta=0.9):
    section = keras.Sequential([layers.Dense(8, "relu"), layers.Dense(FEATURES)])
    return keras.Sequential(
        [
            keras.Input((FEATURES,)),
            klp.GatedResidual(section, gate=gate("first", theta, price, seed=0)),
            klp.GatedResidual(
                layers.Dense(6, "tanh"), gate=gate("second", theta, price, seed=1)
            ),
            layers.Dense(1, name="head"),
        ]
    )


def to_functional(network):
    return keras.Model(network.inputs, network.outputs)


def fit(network, *callbacks, epochs=2):
    model = compiled(network, "sgd", run_eagerly=False, metrics=["mae"])
    keras.utils.set_random_seed(0)
    x, y = data(rows=64)
    settings = {"batch_size": 8, "verbose": 0, "shuffle": False}
    history = model.fit(
        x, y, epochs=epochs, validation_data=(x, y), callbacks=callbacks, **settings
    )
    return model, history.history


@pytest.mark.filterwarnings("ignore:Nothing moves the gates:UserWarning")
def test_it_trains_as_the_same_network_written_as_a_functional_one():
    histories = []
    for make in (lambda network: network, to_functional):
        keras.utils.set_random_seed(0)
        histories.append(fit(make(sequential()))[1])
    history, expected = histories
    assert history == expected


def test_it_shrinks_and_goes_on_and_is_served(tmp_path):
    prune = klp.PruneSections(max_macs=0.6, verbose=0)
    model, history = fit(sequential(price=0.0), prune, epochs=8)
    assert "removed" in actions(model).values()
    assert history["sections"][-1] < 2.0
    assert np.all(np.isfinite(history["val_mae"]))
    model.save(tmp_path / "model.keras")
    model.export(tmp_path / "served", verbose=False)
    x, _ = data()
    again = keras.models.load_model(tmp_path / "model.keras")
    expected = model.predict(x, verbose=0)
    np.testing.assert_array_equal(again.predict(x, verbose=0), expected)
    slim = klp.strip_gates(model.network)
    np.testing.assert_allclose(slim.predict(x, verbose=0), expected, rtol=1e-5)


def test_a_half_decided_one_is_saved_and_loaded(tmp_path):
    model = compiled(sequential(), "sgd")
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again.network, keras.Sequential)
    again.decide(closed=again.gates)
    assert again.sections == 0
