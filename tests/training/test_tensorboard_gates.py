"""Gates and decisions in TensorBoard, read back from what was written."""

import importlib.util

import keras
import numpy as np
import pytest
from event_files import events, single
from small_models import chain, compiled, data, idle_model, prune_idle, thetas

import keras_layer_prune as klp
from keras_layer_prune.training import tensorboard_gates

pytest.importorskip("tensorboard")

EPOCHS = 8


def trained(folder, *others, first=False, **arguments):
    """A training in which one section leaves; the model and its `PruneSections`."""
    prune = klp.PruneSections(verbose=0, **arguments)
    model, board = idle_model(), klp.TensorBoardGates(folder)
    order = [board, prune] if first else [prune, board]
    prune_idle(model, *others, *order, epochs=EPOCHS)
    return model, prune


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("logs")
    return *trained(folder), events(folder / "gates")


def test_the_lines_of_the_gates_are_their_trajectories(run):
    _, prune, found = run
    for name, points in prune.trajectories.items():
        # What is true at the end of one epoch is so at the beginning of the next.
        at_ends = {round(at) - 1: theta for at, theta in points if at in range(1, 9)}
        end = int(np.ceil(points[-1][0])) - 1
        assert single(found[f"gates/{name}"]) == pytest.approx(
            {**at_ends, end: points[-1][1]}
        )


def test_a_line_ends_where_its_gate_was_decided(run):
    model, _, found = run
    for entry in model.pruning_log:
        steps = single(found[f"gates/{entry['section']}"])
        assert max(steps) == entry["epoch"]
        assert steps[entry["epoch"]] == float(entry["action"] == "kept")


def test_the_size_of_the_network_is_shown_for_every_epoch(run):
    model, _, found = run
    sections = single(found["network/sections"])
    assert list(sections) == [*range(EPOCHS)]
    assert (sections[0], sections[EPOCHS - 1]) == (2, 1)
    costs = klp.summarize(model.network, latency=False)
    removed = next(e for e in model.pruning_log if e["action"] == "removed")
    for tag, left, saved in (
        ("network/parameters", costs.parameters, removed["parameters"]),
        ("network/MACs per example", costs.macs, removed["macs"]),
    ):
        written = single(found[tag])
        assert (written[0], written[EPOCHS - 1]) == (left + saved, left)


def test_every_decision_is_told_in_the_epoch_in_which_it_was_made(run):
    model, _, found = run
    assert {entry["action"] for entry in model.pruning_log} == {"removed", "kept"}
    for entry in model.pruning_log:
        ((step, text),) = single(found[f"decisions/{entry['section']}"]).items()
        assert step == entry["epoch"]
        for part in (
            f"step {entry['step']} in epoch {step + 1} of the console",
            f"{entry['action']} `{entry['section']}`",
            f"{entry['benefit']:.4f}",
            f"{entry['price']:.4f}",
            f"{entry['parameters']:,} parameters, {entry['macs']:,} MACs",
        ):
            assert part in text.decode()


def test_the_place_among_the_callbacks_does_not_matter(run, tmp_path):
    # Sections then leave at the end of an epoch, behind what the user has put first.
    trained(tmp_path, first=True)
    assert events(tmp_path / "gates") == run[2]


@pytest.mark.parametrize("update_freq", ["epoch", 5])
def test_it_stands_beside_the_callback_of_keras(update_freq, run, tmp_path):
    keras.utils.set_random_seed(0)
    of_keras = keras.callbacks.TensorBoard(tmp_path, update_freq=update_freq)
    trained(tmp_path, of_keras)
    assert events(tmp_path / "gates") == run[2]
    if update_freq == "epoch":
        mine = single(run[2]["network/sections"])
        its = events(tmp_path / "train")["epoch_data_loss"]
        assert list(single(its)) == list(mine)


def test_gates_that_move_without_pruning_are_shown(tmp_path):
    model = compiled(chain(), gate_step_size=0.01)
    model.fit(*data(), epochs=2, verbose=0, callbacks=[klp.TensorBoardGates(tmp_path)])
    found = events(tmp_path / "gates")
    last = [single(found[f"gates/{gate.name}"])[1] for gate in model.gates]
    assert last == pytest.approx(thetas(model))


def test_epochs_are_those_of_fit(tmp_path):
    model = compiled(chain(), gate_step_size=0.01)
    board = klp.TensorBoardGates(tmp_path)
    for first in (0, 2):
        model.fit(
            *data(), initial_epoch=first, epochs=first + 2, verbose=0, callbacks=[board]
        )
    found = events(tmp_path / "gates")
    assert list(single(found["network/sections"])) == [0, 1, 2, 3]


class DecideAt(keras.callbacks.Callback):
    """Removes a section at the end of an epoch, and does not say in which."""

    moves_gates = True

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            self.model.decide(closed=[self.model.gates[0]])


def test_decisions_of_others_are_told_and_those_of_an_earlier_fit_are_not(tmp_path):
    model = compiled(chain((0.9, 0.9, 0.9)), gate_step_size=0.01, train_size=16)
    first, second, third = (gate.name for gate in model.gates)
    model.decide(opened=[model.gates[2]], epoch=0)
    # Behind the one that shows it.
    both = [klp.TensorBoardGates(tmp_path), DecideAt()]
    model.fit(*data(), epochs=3, verbose=0, callbacks=both)
    found = events(tmp_path / "gates")
    assert [tag for tag in found if tag.startswith("decisions")] == [
        f"decisions/{first}"
    ]
    assert list(single(found[f"gates/{first}"])) == [0, 1]
    assert list(single(found[f"gates/{second}"])) == [0, 1, 2]
    assert f"gates/{third}" not in found


def test_a_list_of_callbacks_of_keras_is_put_in_order_too(tmp_path):
    model = compiled(chain(), gate_step_size=0.01, train_size=16)
    both = [klp.TensorBoardGates(tmp_path), DecideAt()]
    callbacks = keras.callbacks.CallbackList(
        both, add_history=True, model=model, epochs=2, steps=1
    )
    model.fit(*data(), epochs=2, verbose=0, callbacks=callbacks)
    assert single(events(tmp_path / "gates")["network/sections"]) == {0: 2, 1: 1}


def test_a_process_that_is_not_the_chief_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard_gates, "is_chief", lambda strategy: False)
    trained(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_gates_of_ours_is_refused_before_the_first_batch(tmp_path):
    plain = chain(gated=False)
    plain.compile("sgd", "mse")
    before = plain.get_weights()
    with pytest.raises(TypeError, match="needs a `GatedModel`.*fit it, or leave"):
        plain.fit(*data(), verbose=0, callbacks=[klp.TensorBoardGates(tmp_path)])
    np.testing.assert_equal(plain.get_weights(), before)
    assert list(tmp_path.iterdir()) == []


def test_without_tensorboard_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    model = compiled(chain(), gate_step_size=0.01)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        model.fit(*data(), verbose=0, callbacks=[klp.TensorBoardGates(tmp_path)])
    assert model.optimizer.iterations == 0


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "taken"
    path.write_text("mine")
    with pytest.raises(ValueError, match="`log_dir` must be a folder.*which is a file"):
        klp.TensorBoardGates(path)


def test_the_config_makes_the_same_callback_again(tmp_path):
    config = keras.saving.serialize_keras_object(klp.TensorBoardGates(tmp_path))
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == {"log_dir": str(tmp_path)}
