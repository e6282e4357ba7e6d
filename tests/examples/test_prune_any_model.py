import json
import sys

import datasets
import keras
import numpy as np
import prune_any_model
import pytest

import keras_layer_prune as klp


def images(count):
    generator = np.random.default_rng(0)
    x = generator.uniform(0.0, 255.0, (count, 8, 8, 1)).astype("float32")
    return datasets.Split(x, np.arange(count) % 3)


DATA = datasets.Data(images(64), images(32), images(32))


def arguments(monkeypatch, *more):
    command = ["prune_any_model.py", "--model", "tiny_model.tiny", *more]
    monkeypatch.setattr(sys, "argv", command)
    return prune_any_model.parse_arguments()


def test_small_grey_images_come_to_the_model_as_it_wants_them(monkeypatch):
    network = prune_any_model.make_network(DATA, arguments(monkeypatch))
    body = network.get_layer("tiny")
    assert body.input_shape == (None, 32, 32, 3)
    seen = keras.Model(network.input, inputs_of(body))
    values = seen(DATA.train.x).numpy()
    assert -1.0 <= values.min() < values.max() <= 1.0
    assert network.output_shape == (None, 3)


def inputs_of(body):
    """What the model is called on in the network around it."""
    return body._inbound_nodes[-1].input_tensors[0]


def test_sections_are_found_inside_of_the_model(monkeypatch):
    network = prune_any_model.make_network(DATA, arguments(monkeypatch))
    sections = [x for x in klp.find_sections(network) if x.prunable]
    assert [section.name.split(".")[0] for section in sections] == ["tiny", "tiny"]


@pytest.mark.parametrize("name", ["nonsense", "keras.applications.Nothing", "no.such"])
def test_a_model_that_is_not_there_is_an_error_with_a_way_out(name):
    with pytest.raises(SystemExit, match="by its whole name"):
        prune_any_model.find_maker(name)


@pytest.mark.slow
def test_the_whole_way_leaves_a_table_and_a_model(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(datasets, "load", lambda name: DATA)
    folder = tmp_path / "output"
    arguments(monkeypatch, "--epochs", "1", "--output", str(folder))
    prune_any_model.main()
    before, after = json.loads((folder / "result.json").read_text())
    assert before["sections"] == 2
    assert after["parameters"] <= before["parameters"]
    loaded = keras.models.load_model(folder / "slim.keras")
    assert loaded(DATA.test.x).shape == (32, 3)
    assert (folder / "served" / "saved_model.pb").exists()
    assert "2 of 2 additions" in capsys.readouterr().out
