"""What peers hand to processes of other frameworks, and what comes back."""

import argparse
import stat
import sys

import choices
import numpy as np
import peers
import pytest
import torch_process
import training
from tables import cells
from tables import peers as peers_table
from torch_peers import handed

import keras_layer_prune as klp

ARGUMENTS = argparse.Namespace(
    sections=2,
    width=4,
    epochs=2,
    batch_size=8,
    learning_rate=1e-3,
    augment=False,
    price=None,
    settle_by=0.5,
    hold=None,
    max_macs=None,
)
SIZE = [("sections", 2), ("width", 4)]


@pytest.fixture(scope="module")
def given(small_data):
    whole = peers.make_network(small_data, 0, ARGUMENTS)
    return peers.hand_over(whole, small_data, 0, 1000, ARGUMENTS)


def test_what_is_handed_over_comes_back(given, tmp_path):
    handed.write(tmp_path / "handed.npz", given)
    back = handed.read(tmp_path / "handed.npz")
    assert back.settings == {**given.settings, "shape": [9, 9, 1]}
    assert len(back.weights) == len(given.weights)
    for expected, found in zip(given.weights, back.weights, strict=True):
        np.testing.assert_array_equal(expected, found)
    for name in handed.SPLITS:
        for expected, found in zip(given.splits[name], back.splits[name], strict=True):
            np.testing.assert_array_equal(expected, found)
    np.testing.assert_array_equal(given.logits, back.logits)


def test_a_process_gets_the_file_and_its_row_comes_back(given, tmp_path):
    python = fake_python(
        tmp_path,
        "_, _, kind, source, target = sys.argv[1:]\n"
        "budget = handed.read(source).settings['budget']\n"
        "open(target, 'w').write(json.dumps({'kind': kind, 'macs': budget}))\n",
    )
    row = torch_process.run("OTO", python, given)
    assert row == {"kind": "OTO", "macs": 1000}


def test_versions_are_what_the_process_says(tmp_path):
    python = fake_python(tmp_path, "print(json.dumps({'torch': '1.2'}))\n")
    assert torch_process.versions("Torch-Pruning", python) == {"torch": "1.2"}


def test_a_process_without_the_library_says_how_to_make_its_environment(tmp_path):
    python = fake_python(tmp_path, "import no_such_library\n")
    with pytest.raises(
        SystemExit, match=r"(?s)No module named 'no_such_library'.*\.venv-oto.*oto\.txt"
    ):
        torch_process.versions("OTO", python)


def test_a_python_that_is_not_there_says_how_to_make_one(tmp_path):
    with pytest.raises(SystemExit, match=r"(?s)No such file.*torch_pruning\.txt"):
        torch_process.versions("Torch-Pruning", str(tmp_path / "python"))


@pytest.mark.parametrize("kind", torch_process.ENVIRONMENTS)
def test_the_file_that_makes_an_environment_exists(kind):
    _, requirements = torch_process.ENVIRONMENTS[kind]
    assert requirements in torch_process.installation(kind)
    assert (torch_process.FOLDER / "torch_peers" / requirements).exists()


def test_without_a_python_the_row_is_left_out_and_said_to_be(capsys):
    arguments = argparse.Namespace(torch_python=None, oto_python=None)
    assert peers.others(arguments) == {}
    said = capsys.readouterr().out
    assert "Torch-Pruning is left out" in said
    assert "OTO is left out" in said


def test_results_name_no_path_of_the_machine(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["peers.py", "--torch-python", "/home/me/python"])
    others = {"Torch-Pruning": "/home/me/python"}
    arguments = argparse.Namespace(
        seeds=3, torch_python="/home/me/python", oto_python=None, others=others
    )
    assert peers.settings(arguments) == {"seeds": 3}
    line = peers.command(arguments)
    assert line == "python peers.py --torch-python .venv-torch/bin/python"


def test_ours_starts_from_the_weights_of_the_others(small_data, monkeypatch):
    whole = peers.make_network(small_data, 0, ARGUMENTS)

    def without_training(model, *_, **__):
        open_all(model.gates)
        return {}, 0.0

    monkeypatch.setattr(choices, "fit", without_training)
    ours, _ = peers.train_ours(whole, small_data, 0, ARGUMENTS)
    assert klp.max_difference(whole, ours) == 0.0


@pytest.mark.parametrize("price", [None, 0.2])
def test_a_training_with_gates_starts_from_the_dense_one_s_weights(small_data, price):
    arguments = argparse.Namespace(network="residual", size=SIZE, price=price)
    dense = training.make_network(small_data, 0, arguments, gated=False)
    model = klp.GatedModel(training.make_network(small_data, 0, arguments, gated=True))
    open_all(model.gates)
    assert klp.max_difference(dense, klp.strip_gates(model.network)) == 0.0
    expected = None if price is None else pytest.approx(price * len(small_data.train.x))
    assert all(
        (gate.prior and gate.prior.log_gamma) == expected for gate in model.gates
    )


def open_all(gates):
    for gate in gates:
        gate.probability.assign(1.0)


def test_a_part_of_a_data_set_a_length_and_a_choice_have_results_of_their_own():
    def named(**given):
        unset = ("train_examples", *choices.CHOICES)
        none = dict.fromkeys(unset)
        given = {"augment": False, "epochs": 8, **none, **given}
        return argparse.Namespace(dataset="mnist", **given)

    def name(**given):
        return choices.result_name("peers", arguments=named(**given))

    assert name() == "peers_mnist_8_epochs"
    assert name(epochs=24) == "peers_mnist_24_epochs"
    assert name(train_examples=20_000) == "peers_mnist_20000_8_epochs"
    assert name(settle_by=0.35) == "peers_mnist_8_epochs_settle_by_0.35"
    assert name(hold=0.0) == "peers_mnist_8_epochs_hold_0.0"
    assert name(price=0.2) == "peers_mnist_8_epochs_price_0.2"
    assert name(precision=0.01) == "peers_mnist_8_epochs_precision_0.01"
    assert name(augment=True) == "peers_mnist_augmented_8_epochs"
    sizes = {"network": "lenet", "size": SIZE}
    expected = "training_lenet_sections_2_width_4_mnist_8_epochs"
    assert training.result_name(named(**sizes)) == expected
    assert "20,000 training examples" in cells.data(vars(named(train_examples=20_000)))
    assert cells.data(vars(named(augment=True))) == "mnist, random crops and flips"


def test_the_table_says_what_is_not_the_default():
    assert choices.in_words({"settle_by": None}) == "defaults"
    # The oldest results do not say what was the default then.
    assert choices.in_words({}) == "`settle_by=0.5`"
    chosen = choices.in_words({"price": 0.01, "settle_by": 0.35})
    assert chosen == "price 0.01 nats per example, `settle_by=0.35`"
    assert choices.in_words({"settle_by": None, "hold": 0.0}) == "`hold=0.0`"
    chosen = choices.in_words({"settle_by": None, "precision": 0.01})
    assert chosen == "precision 0.01 per example"


def test_the_table_says_what_of_the_whole_network_s_time_is_left():
    rows = [table_row("ours", 2.0), {**table_row("OTO", 1.0), "versions": {"x": "1.2"}}]
    settings = {"dataset": "digits", "sections": 2, "epochs": 2, "seeds": 1}
    text = "\n".join(peers_table.lines({"settings": settings, "rows": rows}))
    assert "| 2.00 (2.00-2.00) | 0.50 (0.50-0.50) |" in text
    assert "| 1.00 (1.00-1.00) | 0.25 (0.25-0.25) |" in text
    assert "x 1.2" in text
    assert torch_process.installation("OTO") in text


def table_row(kind, milliseconds):
    names = ("test", "validation", "macs", "parameters", "seconds")
    numbers = dict.fromkeys(names, 0.0)
    latencies = {n: milliseconds for n in ("1", "32")}
    whole = {"whole latency ms": {"1": 4.0, "32": 4.0}}
    row = {"kind": kind, "seed": 0, **numbers}
    return {**row, "latency ms": latencies, **whole}


def fake_python(folder, code):
    """A script that is called as an interpreter is."""
    path = folder / "python"
    head = (
        f"#!{sys.executable}\nimport json, os, sys\nsys.path.insert(0, os.getcwd())\n"
    )
    path.write_text(head + "from torch_peers import handed\n" + code)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)
