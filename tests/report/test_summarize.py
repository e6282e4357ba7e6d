"""What networks cost, against Keras's own count and against counting by hand."""

import json

import keras
import numpy as np
import pytest

from keras_layer_prune import (
    BernoulliGate,
    GatedResidual,
    max_difference,
    remove_closed_sections,
    strip_gates,
    summarize,
)
from keras_layer_prune.report import latency

WIDTH, HIDDEN, CLASSES = 6, 5, 3


def network(*thetas, name="net"):
    """Two dense layers in each section, and one at the end."""
    x = inputs = keras.Input((WIDTH,))
    for index, theta in enumerate(thetas):
        branch = keras.layers.Dense(HIDDEN, "relu")(x)
        branch = keras.layers.BatchNormalization()(branch)
        branch = keras.layers.Dense(WIDTH)(branch)
        gate = BernoulliGate(initial_probability=theta, name=f"gate_{index}")
        x = keras.layers.Add()([x, gate(branch)])
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x), name=name)


# By hand: a layer has one weight for each pair of features and an offset for each of
# its own; a batch normalisation has four numbers for each feature.
SECTION_PARAMETERS = (WIDTH * HIDDEN + HIDDEN) + 4 * HIDDEN + (HIDDEN * WIDTH + WIDTH)
SECTION_MACS = 2 * WIDTH * HIDDEN
HEAD_PARAMETERS = WIDTH * CLASSES + CLASSES
HEAD_MACS = WIDTH * CLASSES


def test_costs_are_those_counted_by_hand():
    costs = summarize(network(0.3, 1.0), latency=False)
    assert costs.parameters == 2 * SECTION_PARAMETERS + HEAD_PARAMETERS
    assert costs.macs == 2 * SECTION_MACS + HEAD_MACS


def test_gates_do_not_count_as_parameters():
    gated = network(1.0, 1.0)
    assert summarize(gated, latency=False).parameters == (
        strip_gates(gated).count_params()
    )
    # Each gate has a probability, a benefit and the state of its generator.
    assert gated.count_params() > strip_gates(gated).count_params()


def test_each_section_has_its_own_costs():
    sections = summarize(network(0.25, 1.0), latency=False).sections
    assert sections == [
        {
            "name": f"gate_{index}",
            "theta": theta,
            "parameters": SECTION_PARAMETERS,
            "macs": SECTION_MACS,
            "latency": None,
        }
        for index, theta in enumerate((0.25, 1.0))
    ]


@pytest.mark.parametrize("make_smaller", [strip_gates, remove_closed_sections])
def test_removing_a_section_saves_what_it_costs(make_smaller):
    gated = network(0.0, 1.0)
    whole = summarize(gated, latency=False)
    smaller = summarize(make_smaller(gated), latency=False)
    section = whole.sections[0]
    assert whole.parameters - smaller.parameters == section["parameters"]
    assert whole.macs - smaller.macs == section["macs"]


def test_networks_without_gates_have_no_sections():
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    costs = summarize(plain, latency=False)
    assert (costs.parameters, costs.macs, costs.sections) == (10, 8, [])


def test_layers_count_once_as_parameters_and_each_time_as_work():
    inputs = keras.Input((4,))
    shared = keras.layers.Dense(4)
    costs = summarize(keras.Model(inputs, shared(shared(inputs))), latency=False)
    assert costs.parameters == 20
    assert costs.macs == 32


def test_convolutions_work_at_every_position():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(5, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    costs = summarize(keras.Model(inputs, keras.layers.Dense(2)(x)), latency=False)
    assert costs.macs == 4 * 4 * (3 * 3 * 3 * 5) + 5 * 2


def test_a_section_in_one_layer_is_a_section():
    section = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(4)])
    layer = GatedResidual(section, gate=BernoulliGate(name="inside"))
    model = keras.Sequential([keras.Input((4,)), layer])
    costs = summarize(model, latency=False)
    assert [(s["name"], s["macs"]) for s in costs.sections] == [("inside", 24)]


def test_the_text_names_the_network_and_its_costs():
    text = str(summarize(network(0.3, 1.0, name="mine"), latency=False))
    parameters = f"{2 * SECTION_PARAMETERS + HEAD_PARAMETERS:,} parameters"
    macs = f"{2 * SECTION_MACS + HEAD_MACS:,} MACs per example"
    assert text == f"mine: {parameters}, {macs}, 2 gated sections"


def test_the_text_has_the_latency_in_milliseconds():
    costs = summarize(network(1.0), latency=False)._replace(latency=0.01234)
    assert "12.34 ms" in str(costs)


def test_the_dictionary_is_json_and_complete():
    costs = summarize(network(0.5), latency=False)
    read = json.loads(json.dumps(costs.to_dict()))
    assert read == {
        "name": "net",
        "parameters": costs.parameters,
        "macs": costs.macs,
        "latency": None,
        "sections": costs.sections,
    }


def test_the_markdown_table_has_a_row_for_each_section_and_one_for_all():
    lines = summarize(network(0.25, 1.0), latency=False).to_markdown().splitlines()
    assert [line.count("|") for line in lines] == [5] * 5
    section = f"{SECTION_PARAMETERS:,} | {SECTION_MACS:,}"
    assert lines[0] == "| section | theta | parameters | MACs |"
    assert lines[2] == f"| gate_0 | 0.25 | {section} |"
    assert lines[3] == f"| gate_1 | 1.00 | {section} |"
    total = f"{2 * SECTION_PARAMETERS + HEAD_PARAMETERS:,} | "
    assert lines[4].endswith(f"| {total}{2 * SECTION_MACS + HEAD_MACS:,} |")
    assert "whole network" in lines[4]


def test_latency_is_measured_unless_it_is_not_wanted():
    costs = summarize(network(1.0))
    assert costs.latency > 0.0
    assert [section["latency"] for section in costs.sections] == [None]
    assert summarize(network(1.0), latency=False).latency is None


@pytest.fixture
def timed(monkeypatch):
    """The models that are timed; a call takes a millisecond for each weight."""
    models = {}

    def call(model, batch_size):
        models[model.count_params()] = model
        return model.count_params()

    monkeypatch.setattr(latency, "_inference_call", call)
    monkeypatch.setattr(latency, "_WARM_UP_CALLS", 0)
    monkeypatch.setattr(latency, "_seconds", lambda run: run * 1e-3)
    return models


def test_the_latency_of_a_section_is_what_leaves_with_it(timed):
    costs = summarize(network(0.3, 1.0), latency="sections")
    whole = 2 * SECTION_PARAMETERS + HEAD_PARAMETERS
    assert costs.latency == pytest.approx(whole * 1e-3)
    assert [s["latency"] for s in costs.sections] == pytest.approx(
        [SECTION_PARAMETERS * 1e-3] * 2
    )
    assert json.loads(json.dumps(costs.to_dict())) == costs.to_dict()


@pytest.mark.parametrize("wanted", [True, "sections"])
def test_what_is_timed_is_the_network_as_it_is_served(wanted, timed):
    gated = network(0.0, 0.3)
    summarize(gated, latency=wanted)
    for model in timed.values():
        assert not any(isinstance(x, BernoulliGate) for x in model.layers)
    for index in range(2):
        # Both in it, though one is closed and the other undecided.
        gated.get_layer(f"gate_{index}").probability.assign(1.0)
    assert max_difference(timed[max(timed)], strip_gates(gated)) == 0.0


def test_sections_are_timed_with_the_clock_too():
    costs = summarize(network(0.3, 1.0), latency="sections")
    assert costs.latency > 0.0
    # The clock decides whether they are above 0.
    assert [type(section["latency"]) for section in costs.sections] == [float, float]


def test_a_plain_network_is_timed_as_it_is(timed):
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    costs = summarize(plain, latency="sections")
    assert list(timed.values()) == [plain]
    assert (costs.latency, costs.sections) == (pytest.approx(0.01), [])


def test_text_and_table_have_the_latencies_of_sections_in_milliseconds(timed):
    costs = summarize(network(0.25, 1.0, name="mine"), latency="sections")
    ms = f"{SECTION_PARAMETERS:.2f}"
    whole = f"{2 * SECTION_PARAMETERS + HEAD_PARAMETERS:.2f}"
    text = str(costs).splitlines()
    assert f"{whole} ms, 2 gated sections" in text[0]
    section = f"{SECTION_PARAMETERS} parameters, {SECTION_MACS} MACs, {ms} ms"
    assert text[1:] == [f"  gate_{index}: {section}" for index in range(2)]
    lines = costs.to_markdown().splitlines()
    assert lines[0] == "| section | theta | parameters | MACs | latency, ms |"
    assert [line.count("|") for line in lines] == [6] * 5
    assert [line.split(" | ")[-1] for line in lines[2:]] == [
        f"{ms} |",
        f"{ms} |",
        f"{whole} |",
    ]


def test_without_the_latency_of_sections_their_cells_are_empty(timed):
    lines = summarize(network(0.25)).to_markdown().splitlines()
    assert lines[2].endswith(f"| {SECTION_MACS} |  |")
    assert lines[3].endswith(f"| {SECTION_PARAMETERS + HEAD_PARAMETERS:.2f} |")


@pytest.mark.parametrize("wanted", ["section", 1, None, ["sections"]])
def test_another_word_for_the_latency_is_an_error(wanted):
    with pytest.raises(ValueError, match='must be True .*"sections".*latency='):
        summarize(network(1.0), latency=wanted)


def test_summarizing_leaves_the_network_as_it_was():
    model = network(0.5)
    before = [w.copy() for w in model.get_weights()]
    summarize(model, latency=False)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


class Opaque(keras.Model):
    def call(self, inputs):
        return inputs


def test_a_network_that_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match="subclassed model"):
        summarize(Opaque(), latency=False)
