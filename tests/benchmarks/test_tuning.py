"""Settings compared on held out examples: which trainings, and on what."""

import sys

import numpy as np
import pytest
import tuning
from datasets import Data, Split


@pytest.fixture
def data():
    x = np.arange(20.0).reshape(20, 1, 1, 1)
    y = np.arange(20) % 2
    rows = slice(0, 12), slice(12, 15), slice(15, 20)
    return Data(*(Split(x[part], y[part]) for part in rows))


def parsed(monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", ["tuning.py", *options])
    return tuning.parse_arguments()


def test_the_test_set_is_left_out(data):
    train, validation, judged = tuning.held_out(data)
    assert train.x.ravel().tolist() == list(range(12))
    assert validation.x.ravel().tolist() == judged.x.ravel().tolist() == [12, 13, 14]
    assert judged.y.tolist() == data.validation.y.tolist()


def test_every_combination_is_trained(monkeypatch):
    options = ["--prices", "0.1", "0.2", "--settle-bys", "0.3", "--also", "dense"]
    arguments = parsed(monkeypatch, *options)
    runs = list(tuning.combinations(arguments))
    chosen = [(run.kind, run.price, run.settle_by, run.precision) for run in runs]
    assert chosen == [
        ("price 0.1 nats per example, `settle_by=0.3`", 0.1, 0.3, None),
        ("price 0.2 nats per example, `settle_by=0.3`", 0.2, 0.3, None),
        ("dense", None, None, None),
    ]


def test_nothing_asked_for_is_the_defaults(monkeypatch):
    (run,) = tuning.combinations(parsed(monkeypatch))
    assert run.kind == "defaults"


def test_lengths_and_settings_have_results_of_their_own(monkeypatch):
    sizes = ["--size", "width=8", "--dataset", "cifar10", "--epochs", "24"]
    name = tuning.result_name(parsed(monkeypatch, *sizes, "--augment"))
    assert name == "tuning_width_8_cifar10_augmented_24_epochs"
    options = ["--settle-bys", "0.15", "0.25", "--prices", "0.1", "--holds", "0"]
    name = tuning.result_name(parsed(monkeypatch, *options))
    assert name == "tuning_mnist_12_epochs_prices_0.1_settle_bys_0.15_0.25_holds_0.0"


def test_rows_say_nothing_of_a_test(monkeypatch, data):
    monkeypatch.setattr(tuning.choices, "load", lambda _: data)
    seen = []

    def trained(given, seed, arguments):
        seen.append((given, seed))
        return {"kind": "pruned", "test": 0.5, "validation": 0.5}, None

    monkeypatch.setattr(tuning.training, "run_pruned", trained)
    (arguments,) = tuning.combinations(parsed(monkeypatch))
    assert tuning.run(arguments, 3) == {"kind": "defaults", "validation": 0.5}
    ((given, seed),) = seen
    assert seed == 3 and len(given.train.x) == 12
