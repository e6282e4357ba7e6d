"""Sections leave the network during `fit`, the useless ones and no others."""

import contextlib

import numpy as np
import pytest
from small_models import (
    Watch,
    actions,
    chain,
    compiled,
    data,
    gates_by_name,
    idle_model,
    prune_idle,
    thetas,
    useful_and_idle,
)

from keras_layer_prune import PruneSections

OUTCOME = {"gate_useful": "kept", "gate_idle": "removed"}


def test_with_the_defaults_the_idle_section_leaves_and_the_useful_one_stays():
    model = compiled(useful_and_idle(), run_eagerly=False)
    history = prune_idle(model, PruneSections(verbose=0), epochs=12)
    assert actions(model) == OUTCOME
    assert model.gates == []
    # Nothing of what the target is made of was lost.
    assert history["data_loss"][-1] < 0.05
    names = {layer.name for layer in model.network.layers}
    assert "useful" in names
    assert "idle" not in names


# For more than a few steps.
GRAPH = {"run_eagerly": False}


def watched(callback, look=len, run_eagerly=True, **fit_arguments):
    """A trained model, and what was seen of its gates after every step."""
    model = idle_model(run_eagerly=run_eagerly)
    watch = Watch(lambda model: look(model.gates))
    # Before the callback: what is seen is the state that a step has left behind.
    prune_idle(model, watch, callback, **fit_arguments)
    return model, watch.seen


def test_closed_sections_leave_at_the_end_of_an_epoch():
    model, gates = watched(PruneSections(verbose=0, min_saving=0.2))
    entry = next(e for e in model.pruning_log if e["action"] == "removed")
    assert entry["step"] == 6 * (entry["epoch"] + 1) < 24
    assert gates[: entry["step"]] == [2] * entry["step"]
    assert gates[entry["step"]] == 1


def test_in_long_epochs_closed_sections_leave_before_the_end():
    # Epochs of 240 steps: the default looks after each thirty.
    model, gates = watched(PruneSections(verbose=0), epochs=4, rows=1920, **GRAPH)
    entry = next(e for e in model.pruning_log if e["action"] == "removed")
    assert entry["step"] % 30 == 0
    assert 100 <= entry["step"] < 240
    assert gates[: entry["step"]] == [2] * entry["step"]
    assert gates[entry["step"]] == 1


def test_the_longer_the_training_the_smaller_the_part_in_which_gates_are_decided():
    # 800 steps, after a twentieth of the 2,400.
    prune = PruneSections(verbose=0, min_saving=1.0)
    model, gates = watched(prune, epochs=10, rows=1920, **GRAPH)
    assert actions(model) == OUTCOME
    assert gates.index(0) == 120 + 800


def test_closed_sections_leave_between_steps_if_asked():
    # In a single short epoch, only `every` can do it before all gates are decided.
    asked = {"verbose": 0, "min_saving": 0.2}
    late, _ = watched(PruneSections(**asked), epochs=1, rows=384)
    early, gates = watched(PruneSections(every=5, **asked), epochs=1, rows=384)
    assert actions(late) == actions(early) == OUTCOME
    step = {m: next(e["step"] for e in m.pruning_log) for m in (late, early)}
    assert step[late] == 24
    assert step[early] < 24
    assert step[early] % 5 == 0
    assert gates[step[early]] == 1


@pytest.mark.parametrize("min_saving", [0.9, None])
def test_closed_sections_wait_until_removing_them_is_worth_it(min_saving):
    # In so few steps, nothing saves what it takes to trace the step again.
    model, gates = watched(PruneSections(min_saving=min_saving, verbose=0))
    assert actions(model) == OUTCOME
    assert gates[:24] == [2] * 24
    assert {entry["step"] for entry in model.pruning_log} == {24}


@pytest.mark.parametrize("hold", [0.0, 0.1, 0.25])
def test_gates_hold_at_first(hold):
    model = idle_model()
    watch = Watch(thetas)
    prune_idle(model, watch, PruneSections(hold=hold, settle_by=0.6, verbose=0))
    held = round(hold * 48)
    start = [0.5] * 2
    assert watch.seen[:held] == [start] * held
    # Nothing is charged yet in the first step, but the useful gate opens.
    assert watch.seen[held] == [1.0, 0.5]


@pytest.mark.parametrize(("settle_by", "step"), [(0.2, 10), (0.5, 24), (1.0, 48)])
def test_all_gates_are_decided_when_they_have_to_be(settle_by, step):
    model = compiled(useful_and_idle())
    watch = Watch(lambda model: len(model.gates))
    prune_idle(
        model, PruneSections(settle_by=settle_by, verbose=0, min_saving=1), watch
    )
    assert watch.seen.index(0) + 1 == step
    assert sorted(actions(model)) == sorted(OUTCOME)


def test_gates_in_between_are_rounded_where_nothing_is_known_of_them():
    # Prices and steps too small to move anything.
    network = chain((0.2, 0.49, 0.5, 0.8))
    model = compiled(network, gate_step_size=1e-12)
    model.fit(*data(), epochs=2, verbose=0, callbacks=[PruneSections(verbose=0)])
    assert actions(model) == {
        "gate_0": "removed",
        "gate_1": "removed",
        "gate_2": "kept",
        "gate_3": "kept",
    }
    assert [round(e["theta"], 2) for e in model.pruning_log] == [0.2, 0.49, 0.5, 0.8]
    assert {e["step"] for e in model.pruning_log} == {1}


def decided_between(theta, moving_steps):
    """What becomes of gates whose steps are too small to move them."""
    model = idle_model(theta, gate_step_size=1e-12, **GRAPH)
    prune = PruneSections(settle_by=moving_steps / 240, hold=0.0, verbose=0)
    prune_idle(model, prune, epochs=40)
    return actions(model)


@pytest.mark.parametrize("theta", [0.3, 0.7])
def test_gates_in_between_go_where_their_benefits_take_them(theta):
    assert decided_between(theta, moving_steps=110) == OUTCOME


@pytest.mark.parametrize(("theta", "action"), [(0.3, "removed"), (0.7, "kept")])
def test_after_a_few_steps_benefits_do_not_count(theta, action):
    assert set(decided_between(theta, moving_steps=90).values()) == {action}


def test_benefits_of_batches_that_were_skipped_do_not_count():
    model = idle_model(0.7, gate_step_size=1e-12, loss=lambda y, p: p * np.nan, **GRAPH)
    prune = PruneSections(settle_by=0.5, hold=0.0, verbose=0)
    with pytest.warns(UserWarning, match="NaN or infinite"):
        prune_idle(model, prune, epochs=40)
    assert set(actions(model).values()) == {"kept"}


def test_a_closed_gate_opens_again_if_its_section_would_earn_its_price():
    model = idle_model(theta=0.0)
    # It is still held at 0 at the end of the first epoch, but has been tried.
    watch = Watch(lambda model: thetas(model)[:1])
    prune = PruneSections(hold=0.4, settle_by=0.9, verbose=0)
    prune_idle(model, watch, prune, epochs=4, rows=96)
    assert watch.seen[:19] == [[0.0]] * 19
    assert [1.0] in watch.seen
    assert actions(model) == OUTCOME


def test_a_gate_that_starts_at_0_is_not_taken_for_closed_before_it_may_move():
    # In the few steps of an epoch, its running mean does not come up to its price.
    network = useful_and_idle(0.0, price=5.0)
    model = compiled(network, train_size=64, gate_step_size=1.0)
    prune_idle(model, PruneSections(hold=0.4, settle_by=0.9, min_saving=0.0, verbose=0))
    assert actions(model).keys() == OUTCOME.keys()
    assert min(entry["step"] for entry in model.pruning_log) > 0.4 * 48


@pytest.mark.parametrize("theta", [0.0, 0.5, 1.0])
def test_frozen_gates_are_not_decided(theta):
    model = idle_model()
    frozen = gates_by_name(model)["gate_useful"]
    frozen.trainable = False
    frozen.probability.assign(theta)
    is_stuck = theta == 0.5
    warns = pytest.warns(UserWarning, match="Frozen gates.*gate_useful")
    with warns if is_stuck else contextlib.nullcontext():
        prune_idle(model, PruneSections(verbose=0))
    assert actions(model) == {"gate_idle": "removed"}
    assert thetas(model) == [theta]


def test_the_log_says_what_each_section_earned_cost_and_held():
    model = idle_model()
    prune_idle(model, PruneSections(verbose=0))
    removed, kept = model.pruning_log
    assert removed["section"] == "gate_idle"
    assert removed["theta"] == removed["benefit"] == 0.0
    assert (removed["parameters"], removed["macs"]) == (64, 64)
    assert (kept["parameters"], kept["macs"]) == (64, 64)
    assert kept["benefit"] > kept["price"] == removed["price"] > 0.0


def test_outputs_stay_the_same_when_decided_gates_go():
    network = chain((0.0, 1.0, 0.4))
    model = compiled(network, "adam")
    x, y = data()
    before = model(x).numpy()
    closed, opened, _ = model.gates
    model.decide(closed=[closed], opened=[opened])
    np.testing.assert_allclose(model(x), before, atol=1e-6)
    assert [gate.name for gate in model.gates] == ["gate_2"]


def test_validation_goes_on_with_the_smaller_network():
    model = idle_model(run_eagerly=False)
    x, y = data(8)
    history = prune_idle(model, PruneSections(verbose=0), validation_data=(x, y))
    expected = model.evaluate(x, y, verbose=0, return_dict=True)["data_loss"]
    assert len(history["val_data_loss"]) == 8
    assert history["val_data_loss"][-1] == pytest.approx(expected)


def test_what_has_been_evaluated_before_is_then_the_smaller_network():
    model = compiled(chain((0.0, 1.0)), run_eagerly=False)
    x, y = data()
    for _ in range(2):
        loss = model.evaluate(x, y, verbose=0, return_dict=True)["data_loss"]
        outputs = model.predict(x, verbose=0)
        expected = np.asarray(model.network(x))
        np.testing.assert_allclose(outputs, expected, atol=1e-6)
        assert loss == pytest.approx(np.mean((expected - y) ** 2), rel=1e-5)
        model.decide(closed=model.gates[:1])
        model.network.get_layer("head").bias.assign([3.0])


def test_a_learning_rate_changed_on_the_way_is_kept():
    model = idle_model()
    model.optimizer.learning_rate = 0.025
    watch = Watch(lambda model: float(model.optimizer.learning_rate.numpy()))
    prune_idle(model, watch, PruneSections(verbose=0))
    assert model.gates == []
    assert set(watch.seen) == {np.float32(0.025)}
