"""What has to leave for a network to fit a share of its MACs, for known benefits."""

import itertools

import keras
import numpy as np
import pytest
from small_models import FEATURES, gate, macs

from keras_layer_prune import GatedModel, GatedResidual, strip_gates
from keras_layer_prune.graph.costs.anatomy import count_macs, layers_at_work
from keras_layer_prune.graph.gates import find_gates
from keras_layer_prune.graph.rebuild import served_macs
from keras_layer_prune.training import macs_left
from keras_layer_prune.training.macs_budget import MacsBudget
from keras_layer_prune.training.macs_left import MacsLeft


def earning(benefits, widths=None, price=None):
    """A model with one section of each width, and what each is said to earn."""
    widths = widths or [4] * len(benefits)
    x = inputs = keras.Input((FEATURES,))
    for i, width in enumerate(widths):
        branch = keras.layers.Dense(width, "tanh", name=f"in_{i}")(x)
        branch = keras.layers.Dense(FEATURES, name=f"out_{i}")(branch)
        branch = gate(f"gate_{i}", 1.0, price)(branch)
        x = keras.layers.Add(name=f"sum_{i}")([x, branch])
    model = GatedModel(keras.Model(inputs, x))
    model.train_size = 64
    for each, benefit in zip(model.gates, benefits, strict=True):
        each.benefit.assign(benefit)
    return model


def names(gates):
    return sorted(each.name for each in gates)


def test_what_earns_least_goes_first():
    model = earning([0.4, 0.1, 0.3, 0.2])
    budget = MacsBudget(model, 0.5)
    assert names(budget.over()) == ["gate_1", "gate_3"]
    # A quarter of the network is due; then nothing is.
    assert names(budget.over(0.5)) == ["gate_1"]
    assert budget.over(0.0) == []


def test_what_it_earns_for_its_macs_is_what_counts():
    model = earning([0.4, 0.1, 0.3], widths=[40, 4, 20])
    # For each of its MACs, the one that earns most in all earns least.
    assert names(MacsBudget(model, 0.5).over()) == ["gate_0"]


def test_a_small_one_stays_where_a_large_one_that_goes_makes_room_for_it():
    model = earning([0.01, 0.5, 0.9], widths=[4, 40, 40])
    # The small one earns least for its MACs, but without it there is still too much.
    assert names(MacsBudget(model, 0.53).over()) == ["gate_1"]


def test_what_is_closed_already_counts():
    model = earning([0.4, 0.1, 0.3, 0.2])
    closed = [model.gates[0]]
    assert names(MacsBudget(model, 0.5).over(closed=closed)) == ["gate_1"]
    assert MacsBudget(model, 0.75).over(closed=closed) == []


@pytest.mark.parametrize("seed", range(8))
def test_no_smaller_choice_in_the_same_order_would_do(seed):
    """Against all sets of gates: it fits, and needs each gate that it closes."""
    generator = np.random.default_rng(seed)
    widths = [int(n) for n in generator.integers(1, 30, 5)]
    model = earning(generator.normal(size=5), widths)
    whole = macs(model.network)
    share = float(generator.uniform(0.1, 0.9))
    over = MacsBudget(model, share).over()

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
    assert names(budget.over()) == ["gate_3"]
    assert names(MacsBudget(model, 0.25).over()) == ["gate_2", "gate_3"]


def test_who_goes_is_charged_and_who_may_stay_after_all_is_not():
    model = earning([0.4, 0.1])
    first, second = model.gates
    budget = MacsBudget(model, 0.5)
    budget.charge(budget.over())
    # More than it earns, by what a gate that earns nothing moves by.
    assert float(second.surcharge) == pytest.approx(0.1 + 0.1)
    assert float(first.surcharge) == 0.0
    second.benefit.assign(0.5)
    budget.charge(budget.over())
    assert float(second.surcharge) == 0.0
    assert float(first.surcharge) == pytest.approx(0.4 + 0.1)


@pytest.mark.parametrize("price", [-5.0, -0.2, 0.0, 0.2])
def test_a_charged_gate_closes_as_fast_as_one_that_earns_nothing(price):
    model = earning([2.0], price=price)
    (only,) = model.gates
    MacsBudget(model, 0.0).charge([only])
    pressed = price + float(only.surcharge) - 2.0
    assert pressed >= (abs(price) or 0.1) - 1e-6


def test_what_leaves_on_the_way_leaves_in_the_end():
    model = earning([0.01, 0.5, 0.9], widths=[4, 40, 40])
    budget = MacsBudget(model, 0.53)
    # At first the small one alone would do, which may stay in the end.
    assert names(budget.over(0.02)) == names(budget.over(1.0)) == ["gate_1"]


@pytest.mark.parametrize("count", [5, 10, 20])
@pytest.mark.parametrize("tenths", [1, 2, 3, 7])
def test_shares_are_exact(count, tenths):
    model = earning([0.1] * count)
    over = MacsBudget(model, tenths / 10).over()
    assert count - len(over) == count * tenths // 10


def test_frozen_gates_are_left_alone():
    model = earning([0.4, 0.1, 0.3, 0.2])
    model.gates[1].trainable = False
    assert names(MacsBudget(model, 0.5).over()) == ["gate_2", "gate_3"]


def test_what_a_frozen_gate_keeps_closed_is_not_left():
    model = earning([0.4, 0.1, 0.3, 0.2])
    model.gates[1].trainable = False
    model.gates[1].probability.assign(0.0)
    assert names(MacsBudget(model, 0.5).over()) == ["gate_3"]


def test_sections_that_save_something_only_together_leave_together():
    x = inputs = keras.Input((FEATURES,))
    shared = keras.layers.Dense(FEATURES)(keras.layers.Dense(64, "tanh")(x))
    x = keras.layers.Add()([x, gate("gate_0", 0.9)(shared)])
    x = keras.layers.Dense(FEATURES, "tanh")(x)
    x = keras.layers.Add()([x, gate("gate_1", 0.9)(shared)])
    budget = MacsBudget(GatedModel(keras.Model(inputs, x)), 0.5)
    assert names(budget.over()) == ["gate_0", "gate_1"]
    assert budget.over(closed=budget.over()) == []


def test_what_cannot_fit_is_told():
    model = earning([0.4, 0.1])
    model.gates[0].trainable = False
    budget = MacsBudget(model, 0.4)
    assert budget.complaints(model.gates) == []
    (line,) = budget.complaints([])
    assert "1.0000 of the network's MACs are left. Received: max_macs=0.4" in line
    with pytest.raises(ValueError, match=r"without.* 0\.5000 of the network's MACs"):
        budget.check()
    MacsBudget(model, None).check()


def test_a_surcharge_outlasts_a_removal():
    model = earning([0.4, 0.1, 0.3])
    MacsBudget(model, 0.1).charge(model.gates)
    charged = {each.name: float(each.surcharge) for each in model.gates}
    model.decide(closed=[model.gates[1]])
    left = {each.name: float(each.surcharge) for each in model.gates}
    assert left == {name: charged[name] for name in ("gate_0", "gate_2")}
    assert all(left.values())


def widening(benefits, widths=(8, 16, 32, 16, 8, 4)):
    """Sections that change the width, with linear ways around them.

    Of neighbours without their sections, one matrix is left.
    """
    x = inputs = keras.Input((FEATURES,))
    for i, width in enumerate(widths):
        section = keras.layers.Dense(width, "tanh", name=f"section_{i}")
        x = GatedResidual(section, gate=gate(f"gate_{i}", 1.0))(x)
    model = GatedModel(keras.Model(inputs, keras.layers.Dense(1)(x)))
    model.train_size = 64
    for each, benefit in zip(model.gates, benefits, strict=True):
        each.benefit.assign(benefit)
    return model


def left_without(model, closed):
    for each in model.gates:
        each.probability.assign(float(each not in closed))
    return macs(strip_gates(model.network))


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7])
def test_linear_layers_count_as_they_are_folded(share):
    benefits = [0.3, 0.2, 0.6, 0.5, 0.1, 0.4]
    model = widening(benefits)
    whole = macs(model.network)
    over = MacsBudget(model, share).over()
    assert left_without(model, over) <= share * whole
    for each in over:
        fewer = [other for other in over if other is not each]
        assert left_without(model, fewer) > share * whole


def test_a_budget_that_only_folding_keeps_is_no_error():
    model = widening([0.1] * 6)
    whole = macs(model.network)
    folded = left_without(model, model.gates)
    assert folded < count_macs(layers_at_work(model.network, set(model.gates)))
    MacsBudget(model, folded / whole).check()
    with pytest.raises(ValueError, match="cannot be kept"):
        MacsBudget(model, (folded - 1) / whole).check()


@pytest.fixture
def rebuilt(monkeypatch):
    """What was rebuilt to be counted, as it goes on."""
    seen = []

    def counted(network, closed):
        seen.append(closed)
        return served_macs(network, closed)

    monkeypatch.setattr(macs_left, "served_macs", counted)
    return seen


def test_counts_are_kept_while_the_network_is_the_same(rebuilt):
    budget = MacsBudget(widening([0.3, 0.2, 0.6, 0.5, 0.1, 0.4]), 0.3)
    over, times = budget.over(), len(rebuilt)
    assert budget.over() == over
    assert len(rebuilt) == times > 2


def test_a_network_is_rebuilt_only_where_linear_layers_meet(rebuilt):
    x = inputs = keras.Input((FEATURES,))
    x = keras.layers.Dense(FEATURES)(x)
    for i in range(3):
        branch = gate(f"gate_{i}", 1.0)(keras.layers.Dense(FEATURES, "tanh")(x))
        x = keras.layers.Add()([x, branch])
    network = keras.Model(inputs, keras.layers.Dense(1)(x))
    gates, left = find_gates(network), MacsLeft()
    for closed in ([], gates[1:], gates[1:2]):
        assert left.served(network, closed) == left.unfolded(network, closed)
    assert not rebuilt
    assert left.served(network, gates) < left.unfolded(network, gates)


def test_linear_layers_that_met_when_sections_left_before_are_folded():
    model = widening([0.3, 0.2, 0.6, 0.5, 0.1, 0.4])
    model.decide(closed=model.gates[1:3])
    served = MacsLeft().served(model.network, [])
    assert served == left_without(model, []) < macs(model.network)


def test_linear_layers_that_only_some_gates_join_are_counted_as_one():
    x = inputs = keras.Input((16,))
    branch = keras.layers.Dense(16, "relu")(x)
    branch = keras.layers.Dense(64)(branch)
    section = keras.layers.Dense(64, "relu")
    branch = GatedResidual(section, gate=gate("inner", 1.0))(branch)
    branch = gate("outer", 1.0)(keras.layers.Dense(16)(branch))
    x = keras.layers.Add()([x, branch])
    model = GatedModel(keras.Model(inputs, keras.layers.Dense(4, "tanh")(x)))
    model.train_size = 64
    inner = next(each for each in model.gates if each.name == "inner")
    left = MacsLeft().served(model.network, [inner])
    assert left == left_without(model, [inner]) == 2 * 16 * 16 + 16 * 4


def test_a_gate_that_thaws_is_counted_like_others():
    model = widening([0.3, 0.2, 0.6, 0.5, 0.1, 0.4])
    first, left = model.gates[0], MacsLeft()
    first.trainable = False
    left.served(model.network, [])
    first.trainable = True
    served = left.served(model.network, [first])
    assert served == left_without(model, [first])
