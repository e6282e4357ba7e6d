"""A callback is easily forgotten; `fit` says so."""

import warnings

import keras
import numpy as np
import pytest

import keras_layer_prune as klp

FORGOTTEN = "Nothing moves the gates"


def compiled_model(**options):
    inputs = keras.Input((4,))
    branch = klp.BernoulliGate()(keras.layers.Dense(4)(inputs))
    network = keras.Model(inputs, keras.layers.Add()([inputs, branch]))
    model = klp.GatedModel(network)
    model.compile("sgd", "mse", **options)
    return model


def fit(model, **options):
    x = np.ones((4, 4), "float32")
    model.fit(x, x, verbose=0, **options)


def test_fit_without_anything_that_moves_gates_warns():
    with pytest.warns(UserWarning, match=FORGOTTEN):
        fit(compiled_model())


@pytest.mark.parametrize("as_list", [True, False])
def test_fit_with_the_callback_does_not_warn(as_list):
    prune = klp.PruneSections(verbose=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", FORGOTTEN)
        fit(compiled_model(), callbacks=[prune] if as_list else prune)


def model_with_a_frozen_gate(theta):
    model = compiled_model()
    model.gates[0].trainable = False
    model.gates[0].probability.assign(theta)
    return model


def test_frozen_gates_that_nothing_will_decide_warn():
    model = model_with_a_frozen_gate(0.5)
    name = model.gates[0].name
    with pytest.warns(UserWarning, match=rf"Frozen gates.*{name}"):
        fit(model, epochs=4, callbacks=[klp.PruneSections(verbose=0)])
    with pytest.raises(ValueError, match=rf"frozen and never.*{name}"):
        klp.strip_gates(model.network)


def test_frozen_gates_that_are_decided_do_not_warn():
    model = model_with_a_frozen_gate(1.0)
    fit(model, epochs=4, callbacks=[klp.PruneSections(verbose=0)])
    assert klp.strip_gates(model.network)


def test_fit_with_a_step_size_does_not_warn():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", FORGOTTEN)
        fit(compiled_model(gate_step_size=0.1))
