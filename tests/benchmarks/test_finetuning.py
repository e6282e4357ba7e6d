"""Every way to prune a trained network starts from the weights that it has."""

import argparse

import choices
import finetuning
import numpy as np
import pytest
import ranking
from tables import finetuning as table

import keras_layer_prune as klp

ARGUMENTS = argparse.Namespace(
    dataset="mnist",
    train_examples=None,
    trained=2,
    epochs=1,
    sections=2,
    width=4,
    seeds=1,
    batch_size=8,
    learning_rate=1e-3,
    augment=False,
    price=None,
    settle_by=None,
    hold=None,
    max_macs=None,
    precision=None,
)


@pytest.fixture(scope="module")
def rows(small_data):
    """Rows of ways that train nothing but the network at the beginning."""
    trained = []

    def fit(model, data, seed, epochs, arguments, callbacks=()):
        if not trained:
            model.set_weights([w + 0.1 for w in model.get_weights()])
        if callbacks:
            gates = model.gates
            model.decide(closed=gates[:1], opened=gates[1:])
        trained.append((model, epochs))
        return {}, 1.0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choices, "load", lambda arguments: small_data)
        patch.setattr(choices, "fit", fit)
        found = finetuning.run_seed(0, ARGUMENTS)
    assert [epochs for _, epochs in trained] == [2] + [1] * (len(trained) - 1)
    return found, [model for model, _ in trained]


def test_one_row_for_each_way(rows):
    found, _ = rows
    ours = ["ours, early", "ours, defaults"]
    kinds = ["as it was", "trained on", *ours, *ranking.RANKINGS]
    assert [row["kind"] for row in found] == kinds
    budget = found[2]["macs"]
    assert budget < found[0]["macs"] == found[1]["macs"]
    assert all(row["macs"] <= budget for row in found[4:])


def test_all_start_from_the_trained_weights(rows):
    _, (whole, trained_on, *others) = rows
    assert klp.max_difference(whole, trained_on) == 0.0
    assert trained_on is not whole
    for model in others:
        network = getattr(model, "network", model)
        kernels = [net.layers[-1].get_weights()[0] for net in (whole, network)]
        np.testing.assert_array_equal(*kernels)


def test_the_table_says_what_was_compared(rows):
    settings = vars(ARGUMENTS)
    text = "\n".join(table.lines({"settings": settings, "rows": rows[0]}))
    assert "1 epochs after 2" in text
    assert "| ours, early | " in text
    name = finetuning.result_name(ARGUMENTS)
    assert name == "finetuning_after_2_mnist_1_epochs"
