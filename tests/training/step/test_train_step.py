"""What one step does to the weights, against Keras's own step and one by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import (
    chain,
    compiled,
    data,
    freeze_gates,
    thetas,
    weights,
)

from keras_layer_prune import GaussianScaleMixturePrior

NO_PULL = GaussianScaleMixturePrior(1e-9)


def copy_weights(source, target):
    values = {v.path: v for v in source.trainable_variables}
    for variable in target.trainable_variables:
        variable.assign(values[variable.path])


@pytest.mark.parametrize(
    "make_optimizer",
    [
        lambda: keras.optimizers.SGD(0.05, momentum=0.9),
        lambda: keras.optimizers.Adam(0.05),
        lambda: keras.optimizers.AdamW(0.05, weight_decay=0.1, global_clipnorm=0.5),
    ],
    ids=["momentum", "adam", "adamw"],
)
def test_with_open_gates_weights_learn_as_in_keras(make_optimizer):
    gated = freeze_gates(chain((1.0, 1.0)))
    plain = chain((1.0, 1.0), gated=False)
    copy_weights(gated, plain)
    plain.compile(make_optimizer(), "mse", run_eagerly=True)
    model = compiled(gated, make_optimizer(), weight_prior=NO_PULL)

    x, y = data(10)
    for either in (model, plain):
        either.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)

    for path, value in weights(plain).items():
        np.testing.assert_allclose(weights(model)[path], value, atol=1e-6)


def test_a_step_descends_the_loss_plus_the_weights_prior():
    network = freeze_gates(chain((1.0,)))
    model = compiled(
        network,
        keras.optimizers.SGD(0.1),
        weight_prior=GaussianScaleMixturePrior(5.0),
        train_size=40,
    )
    x, y = data()
    start = weights(model)
    w = {path: tf.constant(value) for path, value in start.items()}
    with tf.GradientTape() as tape:
        tape.watch(w)
        section = tf.tanh(x @ w["section_0/kernel"] + w["section_0/bias"])
        outputs = (x + section) @ w["head/kernel"] + w["head/bias"]
        behind_gate = [w["section_0/kernel"], w["section_0/bias"]]
        nats = 0.5 * 5.0 * sum(tf.reduce_sum(v**2) for v in behind_gate)
        cost = tf.reduce_mean((outputs - y) ** 2) + nats / 40.0
    gradients = tape.gradient(cost, w)

    model.fit(x, y, verbose=0)

    for path, value in weights(model).items():
        expected = start[path] - 0.1 * gradients[path]
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


def test_the_optimizer_has_slots_for_weights_only():
    model = compiled(chain(), "adam", gate_step_size=0.01)
    model.fit(*data(), verbose=0)
    names = ["iteration", "learning_rate"]
    for layer in ("section_0", "section_1", "head"):
        for weight in ("kernel", "bias"):
            names += [f"{layer}_{weight}_momentum", f"{layer}_{weight}_velocity"]
    assert sorted(v.name for v in model.optimizer.variables) == sorted(names)


def thetas_after_a_step(optimizer):
    keras.utils.set_random_seed(0)
    model = compiled(
        chain((1.0, 1.0), price=3.0),
        optimizer,
        gate_step_size=0.05,
        gate_gradient="straight_through",
    )
    model.fit(*data(), verbose=0)
    return thetas(model)


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.AdamW(0.1, weight_decay=0.9),
        keras.optimizers.SGD(0.1, weight_decay=0.9, global_clipnorm=1e-6),
        keras.optimizers.Adam(10.0, clipvalue=1e-6),
        keras.optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=1),
    ],
    ids=["decay", "global_clipnorm", "clipvalue", "ema"],
)
def test_nothing_of_the_optimizer_reaches_the_probabilities(optimizer):
    untouched = thetas_after_a_step(keras.optimizers.SGD(0.0))
    assert max(untouched) < 1.0
    np.testing.assert_allclose(thetas_after_a_step(optimizer), untouched, rtol=1e-6)


def test_the_gradients_of_gates_do_not_count_in_the_clipping_of_weights():
    after = []
    for freeze in (freeze_gates, lambda network: network):
        keras.utils.set_random_seed(0)
        model = compiled(
            freeze(chain((1.0, 1.0), price=1e3)),
            keras.optimizers.SGD(0.1, global_clipnorm=0.01),
            gate_step_size=0.05,
            gate_gradient="straight_through",
        )
        model.fit(*data(), verbose=0)
        after.append(weights(model))
    frozen, moving = after
    for path, value in frozen.items():
        np.testing.assert_array_equal(moving[path], value)
