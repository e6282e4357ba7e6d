"""`PruneSections(max_macs=...)`: the network fits, and loses what earns least."""

import keras
import numpy as np
import pytest
from small_models import (
    Watch,
    actions,
    chain,
    compiled,
    data,
    gate,
    macs,
    prune_idle,
    useful_and_idle,
)

from keras_layer_prune import GatedResidual, PruneSections, strip_gates
from keras_layer_prune.graph.gates import left_for_budget
from keras_layer_prune.training.macs_budget import MacsBudget


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


@pytest.mark.parametrize("max_macs", [0.3, 0.45])
def test_linear_layers_count_as_they_are_served(max_macs):
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((4,))
    for i, width in enumerate([16, 32, 32, 16, 8, 4]):
        section = keras.layers.Dense(width, "tanh", name=f"section_{i}")
        each = gate(f"gate_{i}", 0.9, price=0.0, train_size=256)
        x = GatedResidual(section, gate=each)(x)
    network = keras.Model(inputs, keras.layers.Dense(1)(x))
    model = compiled(network, keras.optimizers.Adam(0.01), run_eagerly=False)
    dense = macs(model.network)
    x, y = data(rows=256)
    prune = PruneSections(max_macs=max_macs, verbose=0)
    model.fit(x, y, batch_size=8, epochs=10, verbose=0, callbacks=[prune])
    assert macs(strip_gates(model.network)) <= max_macs * dense
    # As the linear ways around sections are while it trains, it would not fit.
    assert macs(model.network) > max_macs * dense


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
    assert not [line for line in lines if "hovered" in line or "at once" in line]


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
        ValueError, match=r"0\.1112 of the network's MACs are left.*0\.1"
    ):
        model.fit(x, y, verbose=0, callbacks=[PruneSections(max_macs=0.1)])
    # A ninth, rounded so that it can be asked for.
    MacsBudget(model, 0.1112).check()
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


class Overrate(keras.callbacks.Callback):
    """Says for some steps that the idle section earns more than the useful one."""

    def __init__(self, steps):
        super().__init__()
        self.steps, self.theta = steps, None

    def on_train_batch_begin(self, batch, logs=None):
        gates = {gate.name: gate for gate in self.model.gates}
        if gates:
            gates["gate_idle"].benefit.assign(50.0 if self.steps > 0 else 0.0)
            self.theta = float(gates["gate_useful"].probability)
        self.steps -= 1


def test_what_had_to_leave_stays_if_there_is_room_in_the_end():
    # The section earns a bit more; not so much that it goes up by itself in no time.
    model = useful_model(price=6.0, train_size=48)
    # All are decided after 120 of 240 steps.
    overrate = Overrate(steps=119)
    prune = PruneSections(max_macs=0.6, min_saving=1.0, verbose=0)
    prune_idle(model, overrate, prune, epochs=40)
    assert overrate.theta < 0.2
    assert actions(model) == {"gate_useful": "kept", "gate_idle": "removed"}


def test_the_log_has_a_reason_for_every_section_that_left():
    model, _ = trained(0.1, thetas=(0.5,) * 4, min_saving=1.0)
    assert set(actions(model).values()) == {"removed"}
    assert any(left_for_budget(entry) for entry in model.pruning_log)
    for entry in model.pruning_log:
        assert left_for_budget(entry) or entry["benefit"] < entry["price"]


class Interrupt(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if any(float(gate.surcharge) for gate in self.model.gates):
            raise KeyboardInterrupt


@pytest.mark.parametrize("callbacks", [[PruneSections(verbose=0)], []])
def test_a_fit_without_a_budget_charges_what_it_did_before(callbacks):
    model = useful_model()
    prune = PruneSections(max_macs=0.1, min_saving=1.0, verbose=0)
    with pytest.raises(KeyboardInterrupt):
        prune_idle(model, prune, Interrupt(), epochs=40)
    assert any(float(gate.surcharge) for gate in model.gates)
    model.compile(keras.optimizers.SGD(0.0), "mse", gate_step_size=0.01)
    watch = Watch(lambda model: [float(gate.surcharge) for gate in model.gates])
    prune_idle(model, *callbacks, watch, epochs=2)
    assert not np.any(watch.seen[0])


class Freeze(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        for each in self.model.gates:
            each.trainable = each.name != "gate_useful" or epoch < 1


def test_a_budget_that_cannot_be_kept_in_the_end_is_told(capsys):
    model = useful_model()
    prune_idle(model, Freeze(), PruneSections(max_macs=0.1, min_saving=1.0), epochs=40)
    assert "`max_macs` cannot be kept" in capsys.readouterr().out
