"""The prior on the weights holds sections for as long as they are in the network."""

import keras
import numpy as np
import pytest
from small_models import (
    FEATURES,
    chain,
    compiled,
    data,
    gate,
    gates_by_name,
    weights,
)

import keras_layer_prune as klp

pytestmark = pytest.mark.filterwarnings("ignore:Nothing moves the gates")

ROWS = 8
X, Y = data(ROWS)
# What a step of `pull` leaves of a weight under the prior.
KEPT = 1.0 - 0.1 * 4.0 / ROWS


def model_of(network):
    prior = klp.GaussianScaleMixturePrior(4.0)
    optimizer = keras.optimizers.SGD(0.1)
    return compiled(network, optimizer, weight_prior=prior, train_size=ROWS)


def pull(model):
    """What a step leaves of each weight if the prior is all there is, by path."""
    start = weights(model)
    # Without weight, no example says anything.
    nothing = np.zeros(ROWS, "float32")
    model.fit(X, Y, sample_weight=nothing, batch_size=ROWS, verbose=0)
    return {path: value / start[path] for path, value in weights(model).items()}


def dense():
    return keras.layers.Dense(FEATURES, "tanh", bias_initializer="random_normal")


def two_kinds():
    """A section inside of another one, and a layer that holds its own connection."""
    x = keras.Input((FEATURES,))
    y = keras.layers.Add()([x, gate("inner", 0.5)(dense()(x))])
    section = keras.Model(x, dense()(y))
    x = inputs = keras.Input((FEATURES,))
    x = klp.GatedResidual(section, gate=gate("outer", 0.5))(x)
    norm = keras.layers.BatchNormalization(beta_initializer="ones")
    row = keras.Sequential([dense(), norm, dense()])
    x = klp.GatedResidual(row, gate=gate("row", 0.5))(x)
    x = klp.GatedLayer(dense(), gate("layer", 0.5))(x)
    head = keras.layers.Dense(1, bias_initializer="ones", name="head")
    return keras.Model(inputs, head(x))


def check(model, weights_of_sections):
    """Raise unless the prior pulls so many weights, and the head is not among them."""
    left = pull(model)
    sections = {p: v for p, v in left.items() if not p.startswith("head/")}
    assert len(left) == len(sections) + 2
    assert len(sections) == weights_of_sections
    for path, value in left.items():
        expected = KEPT if path in sections else 1.0
        np.testing.assert_allclose(value, expected, rtol=1e-6, err_msg=path)


def headed(network):
    """The network, its head's offset away from zero."""
    head = network.get_layer("head")
    head.bias.assign(np.ones(1))
    return network


def test_it_pulls_sections_behind_gates_and_nothing_else():
    # Whatever its gate's probability: the prior does not depend on it.
    check(model_of(headed(chain((1.0, 0.5)))), 4)


def test_sections_that_stay_are_pulled_as_before():
    model = model_of(headed(chain((0.5, 0.5, 0.5))))
    gates = gates_by_name(model)
    model.decide(closed=[gates["gate_0"]], opened=[gates["gate_1"]])
    check(model, 4)
    model.decide(opened=[gates_by_name(model)["gate_2"]])
    check(model, 4)


@pytest.mark.parametrize("first", ["inner", "outer", "row", "layer"])
def test_sections_of_every_kind_are_pulled_once_decided(first):
    model = model_of(two_kinds())
    # Six kernels and offsets, a scale and a shift.
    check(model, 12)
    model.decide(opened=[gates_by_name(model)[first]])
    check(model, 12)
    model.decide(opened=model.gates)
    check(model, 12)


def test_a_section_that_stayed_leaves_the_prior_with_the_one_around_it():
    model = model_of(two_kinds())
    model.decide(opened=[gates_by_name(model)["inner"]])
    model.decide(closed=[gates_by_name(model)["outer"]])
    check(model, 8)


def test_it_holds_after_saving_and_loading(tmp_path):
    model = model_of(headed(chain((0.5, 0.5, 0.5))))
    gates = gates_by_name(model)
    model.decide(opened=[gates["gate_1"], gates["gate_2"]])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.weight_cost() == model.weight_cost()
    check(loaded, 6)


def test_frozen_weights_are_not_pulled_until_they_train():
    network = chain((0.5, 0.5))
    network.get_layer("section_0").trainable = False
    model = model_of(network)
    model.decide(opened=model.gates)
    assert float(model.weight_cost()) == pytest.approx(cost_of(model, ["section_1"]))
    model.network.get_layer("section_0").trainable = True
    both = ["section_0", "section_1"]
    assert float(model.weight_cost()) == pytest.approx(cost_of(model, both))


@pytest.mark.parametrize("train_size", [ROWS, 1000 * ROWS])
def test_by_default_it_pulls_as_hard_whatever_the_number_of_examples(
    train_size, tmp_path
):
    model = compiled(chain((0.5,)), train_size=train_size)
    expected = 0.0005 * squares(model, ["section_0"])
    assert float(model.weight_cost()) == pytest.approx(expected)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.compile(train_size=20 * train_size)
    assert float(loaded.weight_cost()) == pytest.approx(expected)


def test_it_costs_the_same_before_the_model_is_compiled():
    network = chain((0.5,))
    cost = float(klp.GatedModel(network).weight_cost())
    assert cost == float(compiled(network).weight_cost()) > 0.0


def cost_of(model, layers):
    """Half the precision times the squares, in nats per example."""
    return 0.5 * 4.0 * squares(model, layers) / ROWS


def squares(model, layers):
    """The sum of the squares of the weights of some layers."""
    kept = [w for x in layers for w in model.network.get_layer(x).get_weights()]
    return sum(np.sum(w**2) for w in kept)


def test_what_is_overwritten_by_its_gradient_is_not_under_the_prior():
    """As the scales of 8-bit layers are: their "gradients" are their next values."""
    model = model_of(chain((1.0,)))
    section = model.network.get_layer("section_0")
    section.bias.overwrite_with_gradient = True
    expected = 0.5 * 4.0 * np.sum(section.kernel.numpy() ** 2) / ROWS
    assert float(model.weight_cost()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("layer", ["section_0", "head"])
def test_it_stays_with_its_weights_if_a_layer_gets_further_ones(layer):
    model = model_of(headed(chain((0.5, 0.5))))
    under = {weight.path for weight in model.weights_under_prior}
    model.network.get_layer(layer).enable_lora(1)
    model.compile("sgd", "mse", weight_prior=model.weight_prior, train_size=ROWS)
    new = {w.path for w in model.weights_under_prior} - under
    assert {path.split("/")[-1] for path in new} == (
        {"lora_kernel_a", "lora_kernel_b"} if layer == "section_0" else set()
    )
    frozen = {w.path for w in model.network.weights if not w.trainable}
    trained = (under | new) - frozen
    assert float(model.weight_cost()) == pytest.approx(
        0.5 * 4.0 / ROWS * sum(np.sum(weights(model)[path] ** 2) for path in trained)
    )


@pytest.mark.parametrize("places", [False, 0, [99], [-1], ["kernel"]])
def test_places_that_a_network_does_not_have_are_an_error(places):
    config = model_of(headed(chain((0.5,)))).get_config()
    with pytest.raises(ValueError, match="`places_under_prior` must be a list"):
        klp.GatedModel.from_config({**config, "places_under_prior": places})
