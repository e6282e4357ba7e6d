"""`PruneSections(max_macs=...)`: the network fits, and loses what earns least."""

import itertools

import keras
import numpy as np
import pytest
from small_models import (
    FEATURES,
    Watch,
    actions,
    chain,
    compiled,
    data,
    gate,
    prune_idle,
    useful_and_idle,
)

from keras_layer_prune import (
    GatedModel,
    PruneSections,
    strip_gates,
    summarize,
)
from keras_layer_prune.training.macs_budget import MacsBudget


def macs(network):
    return summarize(network, latency=False).macs


def earning(benefits, widths=None):
    """A model with one section of each width, and what each is said to earn."""
    widths = widths or [4] * len(benefits)
    x = inputs = keras.Input((FEATURES,))
    for i, width in enumerate(widths):
        branch = keras.layers.Dense(width, "tanh", name=f"in_{i}")(x)
        branch = keras.layers.Dense(FEATURES, name=f"out_{i}")(branch)
        branch = gate(f"gate_{i}", 1.0)(branch)
        x = keras.layers.Add(name=f"sum_{i}")([x, branch])
    model = GatedModel(keras.Model(inputs, x))
    for each, benefit in zip(model.gates, benefits, strict=True):
        each.benefit.assign(benefit)
    return model


def names(gates):
    return sorted(each.name for each in gates)


def test_what_earns_least_goes_first():
    model = earning([0.4, 0.1, 0.3, 0.2])
    budget = MacsBudget(model, 0.5)
    assert names(budget.charge(1.0)) == ["gate_1", "gate_3"]
    # A quarter of the network is due; then nothing is.
    assert names(budget.charge(0.5)) == ["gate_1"]
    assert budget.charge(0.0) == []


def test_what_it_earns_for_its_macs_is_what_counts():
    model = earning([0.4, 0.1, 0.3], widths=[40, 4, 20])
    # For each of its MACs, the one that earns most in all earns least.
    assert names(MacsBudget(model, 0.5).charge(1.0)) == ["gate_0"]


def test_a_small_one_stays_where_a_large_one_that_goes_makes_room_for_it():
    model = earning([0.01, 0.5, 0.9], widths=[4, 40, 40])
    # The small one earns least for its MACs, but without it there is still too much.
    assert names(MacsBudget(model, 0.53).charge(1.0)) == ["gate_1"]


def test_what_is_closed_already_counts():
    model = earning([0.4, 0.1, 0.3, 0.2])
    closed = [model.gates[0]]
    assert names(MacsBudget(model, 0.5).charge(1.0, closed)) == ["gate_1"]
    assert MacsBudget(model, 0.75).charge(1.0, closed) == []


@pytest.mark.parametrize("seed", range(8))
def test_no_smaller_choice_in_the_same_order_would_do(seed):
    """Against all sets of gates: it fits, and needs each gate that it closes."""
    generator = np.random.default_rng(seed)
    widths = [int(n) for n in generator.integers(1, 30, 5)]
    model = earning(generator.normal(size=5), widths)
    whole = macs(model.network)
    share = float(generator.uniform(0.1, 0.9))
    over = MacsBudget(model, share).charge(1.0)

    def left(gates):
        # Nothing but its two layers leaves with a section.
        gone = [widths[model.gates.index(each)] for each in gates]
        return whole - sum(2 * FEATURES * width for width in gone)

    assert left(over) <= share * whole
    for size in range(len(over)):
        for fewer in itertools.combinations(over, size):
            assert left(fewer) > share * whole


def test_the_share_is_that_of_the_network_before_sections_left():
    model = earning([0.4, 0.1, 0.3, 0.2])
    model.decide(closed=[model.gates[1]])
    budget = MacsBudget(model, 0.5)
    assert names(budget.charge(1.0)) == ["gate_3"]
    assert names(MacsBudget(model, 0.25).charge(1.0)) == ["gate_2", "gate_3"]


def test_who_goes_is_charged_and_who_may_stay_after_all_is_not():
    model = earning([0.4, 0.1])
    first, second = model.gates
    budget = MacsBudget(model, 0.5)
    budget.charge(1.0)
    # More than it earns, by what a gate that earns nothing moves by.
    assert float(second.surcharge) == pytest.approx(0.1 + 0.1)
    assert float(first.surcharge) == 0.0
    second.benefit.assign(0.5)
    budget.charge(1.0)
    assert float(second.surcharge) == 0.0
    assert float(first.surcharge) == pytest.approx(0.4 + 0.1)


def test_frozen_gates_are_left_alone():
    model = earning([0.4, 0.1, 0.3, 0.2])
    model.gates[1].trainable = False
    assert names(MacsBudget(model, 0.5).charge(1.0)) == ["gate_2", "gate_3"]


def test_a_surcharge_outlasts_a_removal():
    model = earning([0.4, 0.1, 0.3])
    MacsBudget(model, 0.1).charge(1.0)
    charged = {each.name: float(each.surcharge) for each in model.gates}
    model.decide(closed=[model.gates[1]])
    left = {each.name: float(each.surcharge) for each in model.gates}
    assert left == {name: charged[name] for name in ("gate_0", "gate_2")}
    assert all(left.values())


def trained(max_macs, thetas=(0.9,) * 4, price=0.0, **arguments):
    """A trained chain, whose sections have 16 MACs each, and what it can do without."""
    keras.utils.set_random_seed(0)
    network = chain(thetas, price=price, train_size=256)
    model = compiled(network, keras.optimizers.Adam(0.01), run_eagerly=False)
    dense = macs(model.network)
    x, y = data(rows=256)
    prune = PruneSections(max_macs=max_macs, verbose=0, **arguments)
    model.fit(x, y, batch_size=8, epochs=10, verbose=0, callbacks=[prune])
    return model, macs(strip_gates(model.network)) / dense


@pytest.mark.parametrize(("max_macs", "left"), [(0.2, 0), (0.4, 1), (0.6, 2), (0.8, 3)])
def test_without_a_price_as_many_sections_stay_as_fit(max_macs, left):
    model, share = trained(max_macs)
    assert list(actions(model).values()).count("kept") == left
    assert share == (4 + 16 * left) / 68 <= max_macs


def test_a_budget_that_is_kept_anyway_changes_nothing():
    with_it, without = (trained(m, price=0.1)[0] for m in (1.0, None))
    assert with_it.pruning_log == without.pruning_log
    for weight, other in zip(with_it.weights, without.weights, strict=True):
        np.testing.assert_array_equal(weight, other)


def useful_model(**gate_arguments):
    network = useful_and_idle(0.9, **gate_arguments)
    return compiled(network, keras.optimizers.SGD(0.0), run_eagerly=False)


@pytest.mark.parametrize("price", [0.0, 0.1])
def test_of_two_as_large_the_useless_one_leaves(price):
    model = useful_model(price=price, train_size=48)
    prune_idle(model, PruneSections(max_macs=0.6, verbose=0), epochs=40)
    assert actions(model) == {"gate_useful": "kept", "gate_idle": "removed"}


def test_a_section_that_earns_its_price_leaves_if_it_has_to_and_the_log_says_why(
    capsys,
):
    model = useful_model()
    prune_idle(model, PruneSections(max_macs=0.1), epochs=40)
    assert set(actions(model).values()) == {"removed"}
    entry = next(e for e in model.pruning_log if e["section"] == "gate_useful")
    assert entry["price"] < entry["benefit"] < entry["price"] + entry["surcharge"]
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if "removed `gate_useful`" in line]
    assert "cost 0.1000, but did not fit `max_macs`" in line


def test_sections_leave_one_after_another():
    watch = Watch(lambda model: round(sum(float(g.surcharge) > 0 for g in model.gates)))
    keras.utils.set_random_seed(0)
    model = compiled(chain((0.9,) * 4, price=0.0), "adam", run_eagerly=False)
    x, y = data(rows=256)
    prune = PruneSections(max_macs=0.2, min_saving=1.0, verbose=0)
    model.fit(x, y, batch_size=8, epochs=10, verbose=0, callbacks=[prune, watch])
    # 160 steps for it, of which the price, and with it the budget, takes 70% to rise.
    first = [watch.seen.index(n) for n in (1, 2, 3, 4)]
    assert first == sorted(first)
    assert first[0] > 16
    assert first[-1] - first[0] > 60


def test_a_callback_made_again_has_the_same_budget():
    prune = PruneSections(max_macs=0.3)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(prune)
    )
    assert again.get_config() == prune.get_config()
    assert again.max_macs == 0.3


def test_a_budget_that_cannot_be_kept_is_refused_before_the_first_batch():
    model = compiled(chain())
    before = [weight.numpy() for weight in model.weights]
    x, y = data()
    with pytest.raises(
        ValueError, match=r"0\.1111 of the network's MACs are left.*0\.1"
    ):
        model.fit(x, y, verbose=0, callbacks=[PruneSections(max_macs=0.1)])
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
