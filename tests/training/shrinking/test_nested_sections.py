"""Sections inside of sections: what is written down when they leave."""

import keras
import numpy as np
import pytest
from small_models import FEATURES, actions, compiled, data, freeze_gates, gate

import keras_layer_prune as klp
from keras_layer_prune.training.backup.replay import replay
from keras_layer_prune.training.shrinking.decisions import describe

X, Y = data()
OWN = FEATURES * FEATURES + FEATURES  # of one layer


def dense():
    return keras.layers.Dense(FEATURES, "tanh")


def nested(make=klp.GatedResidual, prices=(None, None, None)):
    """A section `outer` that holds `inner` and one layer more, and one beside it."""
    outer, inner, beside = prices
    x = keras.Input((FEATURES,))
    y = keras.layers.Add()([x, gate("inner", 0.5, inner)(dense()(x))])
    section = keras.Model(x, dense()(y))
    x = inputs = keras.Input((FEATURES,))
    x = make(section, gate=gate("outer", 0.5, outer))(x)
    x = keras.layers.Add()([x, gate("beside", 0.5, beside)(dense()(x))])
    return keras.Model(inputs, keras.layers.Dense(1)(x))


def in_one_graph():
    """The same without a nested model: the inner branch leads to the outer one only."""
    x = inputs = keras.Input((FEATURES,))
    y = keras.layers.Add()([x, gate("inner", 0.5)(dense()(x))])
    x = keras.layers.Add()([x, gate("outer", 0.5)(dense()(y))])
    x = keras.layers.Add()([x, gate("beside", 0.5)(dense()(x))])
    return keras.Model(inputs, keras.layers.Dense(1)(x))


NETWORKS = {
    "residual": nested,
    "layer": lambda: nested(klp.GatedLayer),
    "one_graph": in_one_graph,
}


@pytest.fixture(params=NETWORKS)
def model(request):
    return compiled(freeze_gates(NETWORKS[request.param]()), train_size=len(X))


def decide(model, closed=(), opened=()):
    gates = {gate.name: gate for gate in model.gates}
    return model.decide([gates[x] for x in closed], [gates[x] for x in opened])


def costs(model):
    summary = klp.summarize(model.network, latency=False)
    return np.array([summary.parameters, summary.macs])


def booked(entries):
    """What leaves, as the entries say."""
    removed = [entry for entry in entries if entry["action"] == "removed"]
    return np.sum([[e["parameters"], e["macs"]] for e in removed], axis=0)


@pytest.mark.parametrize(
    ("closed", "opened"),
    [
        (["outer"], ["inner"]),
        (["outer"], []),
        (["outer", "inner"], []),
        (["inner", "outer", "beside"], []),
        (["outer", "beside"], ["inner"]),
    ],
)
def test_what_leaves_with_a_section_around_it_is_booked_once(model, closed, opened):
    before = costs(model)
    entries = decide(model, closed, opened)
    assert set(actions(model)) == {"outer", "inner", *closed}
    assert set(actions(model).values()) == {"removed"}
    np.testing.assert_array_equal(booked(entries), before - costs(model))
    own = {entry["section"]: entry["parameters"] for entry in entries}
    assert own["inner"] == own["outer"] == OWN
    assert model.sections == 3 - len(entries)


def test_a_section_that_stays_is_booked_as_it_is_then(model):
    before = costs(model)
    entries = decide(model, ["inner"], ["outer", "beside"])
    assert actions(model) == {"inner": "removed", "outer": "kept", "beside": "kept"}
    np.testing.assert_array_equal(booked(entries), before - costs(model))
    assert [entry["parameters"] for entry in entries] == [OWN, OWN, OWN]
    assert model.sections == 2


def test_a_kept_section_is_counted_until_one_around_it_leaves(model, tmp_path):
    decide(model, opened=["inner"])
    assert model.sections == 3
    before = costs(model)
    entries = decide(model, closed=["outer"])
    assert model.sections == 1
    np.testing.assert_array_equal(booked(entries), before - costs(model))
    klp.write_report(model, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "<td>sections</td><td>3</td><td>1</td><td>33%</td>" in text
    assert "inner: 16 MACs, removed" in text


def test_entries_say_what_a_section_stands_in(model):
    entries = decide(model, ["outer"], ["inner", "beside"])
    within = {entry["section"]: entry["within"] for entry in entries}
    assert within == {"outer": [], "inner": ["outer"], "beside": []}
    told = {entry["section"]: describe(entry) for entry in entries}
    assert "removed `inner`, inside of `outer`: " in told["inner"]
    assert "inside of" not in told["outer"] + told["beside"]


def test_events_are_counted_and_not_the_sections_that_left(model):
    decide(model, closed=["outer"])
    decide(model, opened=["beside"])
    assert [entry["event"] for entry in model.pruning_log] == [0, 0, 1]


@pytest.mark.parametrize("opened", [[], ["inner"]])
def test_a_replayed_log_gives_the_same_network(model, opened):
    network = model.network
    decide(model, ["outer"], opened)
    again = compiled(network, train_size=len(X))
    replay(again, list(model.pruning_log))
    assert [g.name for g in again.gates] == [g.name for g in model.gates] == ["beside"]
    assert klp.max_difference(model.network, again.network) == 0.0
    paths = [[v.path for v in m.network.weights] for m in (model, again)]
    assert paths[0] == paths[1]


def test_a_training_in_which_nested_sections_leave_together():
    # The outer one costs more than it can earn, the inner one earns all it wants.
    keras.utils.set_random_seed(0)
    network = nested(prices=(1e6, -1e6, -1e6))
    model = compiled(network, gate_step_size=1.0)
    prune = klp.PruneSections(verbose=0, min_saving=0.0)
    history = model.fit(X, Y, batch_size=4, epochs=4, callbacks=[prune], verbose=0)
    assert actions(model) == {"outer": "removed", "inner": "removed", "beside": "kept"}
    assert model.sections == 1
    assert history.history["sections"][-1] == 1.0
    assert sum(history.history["removed"]) == 2.0
    assert prune.trajectories["inner"][-1][1] == 0.0
