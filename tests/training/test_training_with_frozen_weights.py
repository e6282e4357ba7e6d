"""A training in which single weights are frozen, which Keras lets users do."""

import keras
import numpy as np
import pytest
from small_models import chain, compiled, data, freeze_gates, gates_by_name, weights

X, Y = data()
OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(0.1),
    "loss_scale": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.1)
    ),
}


def network_with_frozen_kernels(*names):
    keras.utils.set_random_seed(0)
    network = freeze_gates(chain((1.0, 0.0, 1.0)))
    freeze_kernels(network, *names)
    return network


def freeze_kernels(network, *names):
    for name in names:
        network.get_layer(name).kernel.trainable = False


def train(model, steps):
    for _ in range(steps):
        model.train_on_batch(X, Y)


def remove_closed_section(model):
    model.decide(closed=[gates_by_name(model)["gate_1"]])


def assert_learn_the_same(cut, whole):
    expected = weights(whole)
    assert weights(cut).keys() < expected.keys()
    for path, value in weights(cut).items():
        np.testing.assert_allclose(value, expected[path], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_frozen_weight_stays_as_it_is_after_a_section_left(name):
    cut, whole = (
        compiled(
            network_with_frozen_kernels("section_0", "section_1"),
            OPTIMIZERS[name](),
            train_size=len(X),
        )
        for _ in range(2)
    )
    frozen = cut.network.get_layer("section_0").kernel.numpy()
    for model in (cut, whole):
        train(model, 2)
    remove_closed_section(cut)
    for model in (cut, whole):
        train(model, 2)
    kernel = cut.network.get_layer("section_0").kernel
    assert not kernel.trainable
    np.testing.assert_array_equal(kernel, frozen)
    assert_learn_the_same(cut, whole)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_weight_frozen_in_the_middle_leaves_the_others_their_momenta(name):
    cut, whole = (
        compiled(network_with_frozen_kernels(), OPTIMIZERS[name](), train_size=len(X))
        for _ in range(2)
    )
    for model in (cut, whole):
        train(model, 2)
        freeze_kernels(model.network, "section_0")
    remove_closed_section(cut)
    for model in (cut, whole):
        train(model, 2)
    assert_learn_the_same(cut, whole)
