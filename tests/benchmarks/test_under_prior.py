"""Peers that train under the prior on weights that ours has."""

import argparse

import choices
import networks
import numpy as np
import peers
import pytest

import keras_layer_prune as klp


@pytest.fixture
def network():
    return networks.residual_network((9, 9, 1), 3, sections=2, width=4, gated=False)


@pytest.fixture
def fitted(monkeypatch):
    """Every model that would have been trained."""
    seen = []

    def fit(model, *_):
        seen.append(model)
        return {"val_accuracy": [0.5]}, 1.0

    monkeypatch.setattr(choices, "fit", fit)
    return seen


def test_all_sections_train_for_good(network, fitted):
    trained, _, _ = choices.fit_under_prior(network, None, 0, 2, None)
    (model,) = fitted
    assert not model.gates
    assert model.sections == 2
    assert klp.find_sections(trained) == klp.find_sections(network)
    assert klp.max_difference(trained, network) < 1e-5


def test_their_weights_are_under_the_prior(network, fitted):
    choices.fit_under_prior(network, None, 0, 2, None)
    (model,) = fitted
    model.compile("sgd", "mse", train_size=10)
    names = [name for s in klp.find_sections(network) for name in s.layers]
    weights = [w for name in names for w in network.get_layer(name).trainable_weights]
    squares = sum(np.sum(w.numpy() ** 2) for w in weights)
    assert float(model.weight_cost()) == pytest.approx(0.0005 * squares, rel=1e-5)


@pytest.mark.parametrize("under_prior", [False, True])
def test_peers_choose(network, fitted, under_prior):
    arguments = argparse.Namespace(epochs=4, under_prior=under_prior)
    trained, seconds = peers.train(network, None, 0, arguments)
    (model,) = fitted
    assert isinstance(model, klp.GatedModel) == under_prior
    assert klp.find_sections(trained) == klp.find_sections(network)
    assert seconds == 1.0


def test_their_results_have_a_name_of_their_own():
    given = {"dataset": "mnist", "train_examples": None, "augment": False, "epochs": 8}
    given |= dict.fromkeys(choices.CHOICES)
    names = [
        peers.result_name(argparse.Namespace(**given, under_prior=under_prior))
        for under_prior in (False, True)
    ]
    assert names == ["peers_mnist_8_epochs", "peers_mnist_8_epochs_under_prior"]
