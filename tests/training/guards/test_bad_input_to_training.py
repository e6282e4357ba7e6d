"""What cannot work is refused before any work, and what was there stays."""

import random
import re
import sys

import keras
import numpy as np
import pytest
from small_models import (
    FEATURES,
    KeepsADictionary,
    chain,
    compiled,
    data,
    freeze_gates,
    freeze_weights,
    gate,
    weights,
)

from keras_layer_prune import GatedModel, GatedResidual, PruneSections
from keras_layer_prune.graph.gates import find_gates
from keras_layer_prune.graph.rebuild import check_remade

X, Y = data()


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, inputs):
        return self.dense(inputs)


class StepsByItself(keras.Model):
    def train_step(self, data):
        return {"loss": 0.0}


def class_with_a_step_of_its_own():
    network = chain()
    return StepsByItself(network.input, network.output)


class PredictsByItself(keras.Model):
    def predict_step(self, data):
        return 5.0 * self(data)


class RowPredictsByItself(keras.Sequential):
    def predict_step(self, data):
        return 5.0 * self(data)


def gated_row():
    dense = keras.layers.Dense(FEATURES)
    return [keras.Input((FEATURES,)), GatedResidual(dense, gate=gate("gate_0"))]


def gate_called_twice():
    x = inputs = keras.Input((FEATURES,))
    shared = gate("shared")
    for _ in range(2):
        x = keras.layers.Add()([x, shared(keras.layers.Dense(FEATURES)(x))])
    return keras.Model(inputs, x)


def gate_without_a_shortcut():
    inputs = keras.Input((FEATURES,))
    return keras.Model(inputs, gate("only_way")(keras.layers.Dense(2)(inputs)))


def gates_of_one_name():
    x = inputs = keras.Input((FEATURES,))
    for _ in range(2):
        inner = keras.Input((FEATURES,))
        branch = gate("same")(keras.layers.Dense(FEATURES)(inner))
        x = keras.Model(inner, keras.layers.Add()([inner, branch]))(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(
    ("make_network", "message"),
    [
        (lambda: chain(gated=False), r"has no gates.*Add\(\).*gate_sections"),
        (Subclassed, "subclassed model.*Make it functional"),
        (class_with_a_step_of_its_own, "own `train_step`.*subclass of `GatedModel`"),
        (gate_called_twice, r"called more than once.*shared.*for each branch"),
        (gates_of_one_name, r"called the same.*same.*leave the names to Keras"),
        (gate_without_a_shortcut, r"only_way.*cut an output.*GatedResidual"),
        (lambda: GatedModel(chain()), r"is a GatedModel.*`model\.network`"),
        (lambda: keras.Sequential([keras.layers.Dense(1)]), "not built yet"),
    ],
    ids=[
        "no_gates",
        "subclassed",
        "own_step",
        "gate_twice",
        "one_name",
        "cut_off",
        "gated_model",
        "not_built",
    ],
)
def test_networks_that_cannot_be_pruned_are_refused(make_network, message):
    with pytest.raises(ValueError, match=message):
        GatedModel(make_network())


def test_gates_of_one_name_are_refused_in_a_half_pruned_network_too():
    log = [{"section": "gone", "action": "removed"}]
    with pytest.raises(ValueError, match="called the same"):
        GatedModel(gates_of_one_name(), log)


@pytest.mark.parametrize("network", [None, "resnet", gate("alone")], ids=str)
def test_what_is_no_model_is_refused(network):
    with pytest.raises(TypeError, match=r"Expected a Keras model.*Received"):
        GatedModel(network)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (
            {"gate_gradient": "exact"},
            ValueError,
            r"one of.*first_order.*'exact'",
        ),
        ({"gate_gradient": "flip"}, ValueError, r"gate_0.*draws=\"batch\""),
        ({"gate_gradient": "antithetic"}, ValueError, "once per minibatch"),
        ({"gate_step_size": 0.0}, ValueError, "greater than 0.*gate_step_size=0.0"),
        ({"gate_step_size": -1}, ValueError, "greater than 0"),
        ({"gate_step_size": np.nan}, ValueError, "must be finite"),
        ({"gate_step_size": np.inf}, ValueError, "must be finite"),
        ({"gate_step_size": "fast"}, TypeError, "must be a number, a `LearningRate"),
        ({"train_size": 0}, ValueError, "greater than 0"),
        ({"weight_prior": 2.0}, TypeError, "GaussianScaleMixturePrior.*2.0"),
    ],
    ids=str,
)
def test_arguments_that_make_no_sense_are_refused(arguments, kind, message):
    model = GatedModel(chain())
    with pytest.raises(kind, match=message):
        model.compile("sgd", "mse", **arguments)
    assert not model.compiled


def test_a_thawed_gate_that_draws_otherwise_is_refused_before_the_first_step():
    network = freeze_gates(chain())
    model = compiled(network, gate_gradient="flip", gate_step_size=0.1)
    model.gates[0].trainable = True
    with pytest.raises(ValueError, match=r"per example: \['gate_0'\]"):
        model.fit(*data(), verbose=0)
    assert model.optimizer.iterations == 0


def test_a_refused_compile_leaves_the_former_one():
    model = compiled(chain(draws="batch"), gate_gradient="flip", train_size=9)
    before = model.get_compile_config()
    with pytest.raises(ValueError, match="gate_step_size"):
        model.compile("adam", "mae", gate_gradient="first_order", gate_step_size=-1.0)
    assert model.get_compile_config() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"settle_by": 1.5}, "`settle_by` must be between 0 and 1.*1.5"),
        ({"settle_by": 0.0, "hold": 0.0}, "`hold` must be smaller than `settle_by`"),
        ({"hold": -0.1}, "`hold` must be between 0 and 1"),
        ({"hold": 0.5}, r"`hold` must be smaller.*hold=0.5, settle_by=None"),
        ({"hold": np.nan}, "`hold` must be finite"),
        ({"every": 0}, r"`every` must be a number of steps.*every=0"),
        ({"every": 2.5}, r"`every`.*every=2.5"),
        ({"every": np.int64(0)}, r"`every`.*every=np.int64\(0\)"),
        ({"min_saving": 1.01}, "`min_saving` must be between 0 and 1"),
        ({"max_macs": 50}, "`max_macs` must be between 0 and 1"),
    ],
    ids=str,
)
def test_schedules_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PruneSections(**arguments)


def test_the_callback_refuses_a_plain_model_before_it_trains():
    network = chain(gated=False)
    network.compile("sgd", "mse", run_eagerly=True)
    before = {v.path: v.numpy() for v in network.trainable_variables}
    with pytest.raises(TypeError, match=r"needs a `GatedModel`.*Functional"):
        network.fit(X, Y, verbose=0, callbacks=[PruneSections()])
    for variable in network.trainable_variables:
        np.testing.assert_array_equal(variable, before[variable.path])


def test_fit_without_compile_says_so():
    with pytest.raises(ValueError, match="must call `compile"):
        GatedModel(chain()).fit(X, Y)


@pytest.mark.parametrize("prepare", [lambda network: network, freeze_weights])
def test_without_an_optimizer_a_model_is_evaluated_and_not_trained(prepare):
    model = compiled(prepare(chain()), None)
    assert np.isfinite(model.evaluate(X, Y, verbose=0))
    with pytest.raises(ValueError, match=r"needs an optimizer.*evaluated only.*any"):
        model.fit(X, Y, verbose=0, callbacks=[PruneSections(verbose=0)])


def test_prices_are_asked_for_where_the_training_set_is_not_known():
    model = compiled(chain(price=1.0))
    with pytest.raises(ValueError, match=r"not known outside of `fit`.*train_size="):
        model.decide(closed=model.gates)
    assert len(model.gates) == 2
    assert list(model.pruning_log) == []


class NoConfig(keras.layers.Dense):
    """Cannot be made again, as its config lacks an argument."""

    def __init__(self, secret, **kwargs):
        super().__init__(FEATURES, **kwargs)


def network_that_cannot_be_rebuilt(place="stem"):
    layers = {name: keras.layers.Dense(FEATURES) for name in ("stem", "section")}
    layers[place] = NoConfig("secret", name="opaque")
    inputs = keras.Input((FEATURES,))
    x = layers["stem"](inputs)
    x = keras.layers.Add()([x, gate("gate_0")(layers["section"](x))])
    return keras.Model(inputs, x)


# A section is made again as often as another one leaves before it.
@pytest.mark.parametrize("place", ["stem", "section"])
def test_a_network_that_cannot_be_rebuilt_is_refused_before_the_first_batch(place):
    model = compiled(network_that_cannot_be_rebuilt(place))
    before = weights(model)
    with pytest.raises(ValueError, match="(?s)`opaque` of class NoConfig.*`get_config"):
        model.fit(X, X, epochs=9, verbose=0, callbacks=[PruneSections()])
    for path, value in weights(model).items():
        np.testing.assert_array_equal(value, before[path])
    assert not model.optimizer.built


def test_to_try_whether_it_can_be_rebuilt_draws_no_random_numbers():
    network = chain()
    random.seed(3)
    expected = random.getstate()
    check_remade(network, find_gates(network))
    assert random.getstate() == expected


def test_zeros_of_unknown_size_inside_of_another_section_are_refused_at_once():
    inputs = keras.Input((None, 4))
    inner = gate("inner")(keras.layers.Dense(4)(inputs))
    # Its offset makes the zeros of a closed gate something else.
    branch = gate("outer")(keras.layers.BatchNormalization()(inner))
    x = keras.layers.Add()([inputs, branch])
    network = keras.Model(inputs, keras.layers.Dense(1)(x))
    with pytest.raises(ValueError, match="its size is not known"):
        check_remade(network, find_gates(network))


def test_a_network_that_cannot_be_rebuilt_is_left_as_it_was():
    network = network_that_cannot_be_rebuilt()
    model = compiled(freeze_gates(network), train_size=len(X))
    model.train_on_batch(X, X)
    network, optimizer, before = model.network, model.optimizer, weights(model)
    with pytest.raises(ValueError, match="`opaque` of class NoConfig"):
        model.decide(closed=model.gates)
    assert model.network is network
    assert model.optimizer is optimizer
    assert list(model.pruning_log) == []
    assert weights(model).keys() == before.keys()
    model.train_on_batch(X, X)
    assert optimizer.iterations == 2


@pytest.mark.parametrize("reduction", [None, "none"])
@pytest.mark.parametrize("wrapped", [lambda x: x, lambda x: [x], lambda x: {"head": x}])
def test_a_loss_that_is_not_reduced_is_refused(reduction, wrapped):
    loss = keras.losses.MeanSquaredError(reduction=reduction)
    with pytest.raises(ValueError, match="`mean_squared_error` is not reduced"):
        GatedModel(chain()).compile("sgd", wrapped(loss))


@pytest.mark.parametrize("kind", [PruneSections, keras.callbacks.History])
def test_a_class_among_the_callbacks_is_refused(kind):
    model = compiled(chain())
    with pytest.raises(TypeError, match=rf"`{kind.__name__}\(\.\.\.\)`"):
        model.fit(X, Y, callbacks=[kind], verbose=0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PredictsByItself(*ends_of(chain())),
        lambda: RowPredictsByItself(gated_row()),
    ],
    ids=["functional", "sequential"],
)
def test_a_prediction_of_its_own_is_refused_with_advice_that_works(make):
    network = make()
    with pytest.raises(ValueError, match="own `predict_step`") as caught:
        GatedModel(network)
    (advice,) = re.findall(r"Pass a plain model, `(.*?)`", str(caught.value))
    again = eval(advice, {"keras": keras, "network": network})
    assert type(again).predict_step is keras.Model.predict_step
    x = np.ones((2, FEATURES), "float32")
    np.testing.assert_array_equal(GatedModel(again)(x), network(x))


def ends_of(network):
    return network.input, network.output


def test_an_optimizer_that_cannot_be_carried_over_is_not_compiled_with():
    model = compiled(chain(), "adam")
    before = model.get_compile_config()
    with pytest.raises(ValueError, match="cannot be carried over"):
        model.compile(KeepsADictionary(0.1), "mae")
    assert model.get_compile_config() == before


def test_two_schedules_for_the_same_gates_are_refused():
    callbacks = [PruneSections(), PruneSections(settle_by=0.4)]
    with pytest.raises(ValueError, match="holds 2 of `PruneSections`.*Leave one"):
        compiled(chain()).fit(X, Y, callbacks=callbacks, verbose=0)


def test_zeros_of_no_known_size_are_refused_before_the_first_batch():
    inputs = keras.Input((None, FEATURES))
    closed = gate("gate_0")(keras.layers.Dense(FEATURES)(inputs))
    x = keras.layers.Concatenate(axis=1)([inputs, closed])
    model = compiled(keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(x)))
    with pytest.raises(ValueError, match="its size is not known"):
        model.fit(X[:, None], X, epochs=9, verbose=0, callbacks=[PruneSections()])
    assert not model.optimizer.built


def test_an_interval_may_be_a_number_of_numpy():
    assert type(PruneSections(every=np.int64(5)).every) is int


def test_a_missing_package_of_an_export_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    model = compiled(chain((1.0, 0.0)))
    with pytest.raises(
        ImportError, match=r"onnx.*pip install 'keras_layer_prune\[onnx"
    ):
        model.export(tmp_path / "net.onnx", format="onnx")


class LooksInside(GatedModel):
    """Keeps something of its network in an attribute."""

    def __init__(self, network, look=lambda network: network.get_layer("head")):
        super().__init__(network)
        self.head = look(network)


@pytest.mark.filterwarnings("ignore:Nothing moves the gates:UserWarning")
def test_a_layer_of_the_network_that_would_be_left_behind_is_refused():
    model = LooksInside(chain())
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(ValueError, match=r"`self.head` of LooksInside.*get_layer"):
        model.fit(X, Y, verbose=0, callbacks=[PruneSections(verbose=0)])
    model.fit(X, Y, verbose=0)


@pytest.mark.parametrize(
    "look",
    [
        lambda network: network.layers[1:],
        lambda network: {"last": [network.layers[-1]], 1: None},
        lambda network: network.layers[-1].kernel,
        lambda network: [(network,)],
    ],
    ids=["list", "dictionary", "variable", "network"],
)
def test_trained_weights_that_would_be_left_behind_are_refused(look):
    model = LooksInside(chain(), look)
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(ValueError, match=r"`self.head` of LooksInside.*get_layer"):
        model.fit(X, Y, verbose=0, callbacks=[PruneSections(verbose=0)])


def test_a_list_of_gates_is_left_behind_without_harm():
    model = LooksInside(chain(price=1000.0), find_gates)
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(X, Y, epochs=4, verbose=0, callbacks=[PruneSections(verbose=0)])
    assert len(model.pruning_log) == 2
    assert not model.gates
