"""Half precision trains and prunes as full precision does, and survives overflows."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import (
    FEATURES,
    Watch,
    actions,
    chain,
    compiled,
    data,
    gate,
    idle_model,
    prune_idle,
    thetas,
    weights,
)

from keras_layer_prune import GaussianScaleMixturePrior, PruneSections

# Half precision has 11 bits, bfloat16 has 8.
TOLERANCES = {"mixed_float16": 2e-3, "mixed_bfloat16": 2e-2}


def trained(gate_gradient="first_order", draws="row"):
    """Thetas of every step and the weights at the end, for the policy that is set."""
    keras.utils.set_random_seed(0)
    model = compiled(
        chain((0.5, 0.5), draws=draws),
        keras.optimizers.SGD(0.01, momentum=0.9),
        gate_gradient=gate_gradient,
        gate_step_size=0.05,
    )
    # So small that the scaled loss is not too large for float16.
    x, y = data(32)
    watch = Watch(thetas)
    model.fit(
        0.1 * x,
        0.1 * y,
        batch_size=8,
        epochs=4,
        verbose=0,
        shuffle=False,
        callbacks=[watch],
    )
    return model, np.array(watch.seen), weights(model)


@pytest.mark.parametrize("name", TOLERANCES)
@pytest.mark.parametrize(
    ("gate_gradient", "draws"),
    [
        ("first_order", "row"),
        ("straight_through", "row"),
        ("flip", "batch"),
        ("antithetic", "batch"),
    ],
)
def test_gates_and_weights_go_where_they_go_in_float32(
    policy, name, gate_gradient, draws
):
    _, exact_thetas, exact_weights = trained(gate_gradient, draws)
    policy(name)
    model, seen, found = trained(gate_gradient, draws)
    assert model.network.get_layer("section_0").compute_dtype == name[len("mixed_") :]
    assert {gate.probability.dtype for gate in model.gates} == {"float32"}
    assert np.abs(exact_thetas - 0.5).max() > 0.01
    np.testing.assert_allclose(seen, exact_thetas, atol=TOLERANCES[name])
    for path, value in exact_weights.items():
        np.testing.assert_allclose(found[path], value, atol=10 * TOLERANCES[name])


@pytest.mark.parametrize("name", [*TOLERANCES, "bfloat16", "float64"])
def test_the_same_sections_leave_at_the_same_steps_as_in_float32(policy, name):
    def decisions():
        keras.utils.set_random_seed(0)
        model = idle_model(run_eagerly=False, jit_compile=False)
        prune_idle(model, PruneSections(verbose=0))
        steps = [(entry["section"], entry["step"]) for entry in model.pruning_log]
        return steps, actions(model)

    expected = decisions()
    policy(name)
    assert decisions() == expected
    assert expected[1] == {"gate_idle": "removed", "gate_useful": "kept"}


def scaled(network=None, scale=2.0**15, **arguments):
    """A model whose optimizer scales the loss, and that moves fast."""
    inner = keras.optimizers.SGD(0.1, momentum=0.9)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=scale)
    network = network or chain((0.5, 0.5))
    return compiled(network, optimizer, gate_step_size=0.1, train_size=16, **arguments)


def state(model):
    return {
        **weights(model),
        **{v.path: v.numpy() for v in model.optimizer.inner_optimizer.variables},
        "thetas": np.array(thetas(model)),
        "benefits": np.array([float(gate.benefit.numpy()) for gate in model.gates]),
    }


def assert_only_the_scale_falls(model, x, y):
    before, scale = state(model), float(model.optimizer.dynamic_scale.numpy())
    model.train_on_batch(x, y)
    for path, value in state(model).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)
    assert float(model.optimizer.dynamic_scale.numpy()) == scale / 2
    assert int(model.optimizer.step_counter.numpy()) == 0


class InfiniteSlope(keras.layers.Layer):
    """Lets the values pass, and gradients until they are larger than a bound."""

    def __init__(self, bound, **kwargs):
        super().__init__(**kwargs)
        self.bound = bound

    def call(self, inputs):
        @tf.custom_gradient
        def pass_on(x):
            def gradient(upstream):
                is_small = tf.reduce_max(tf.abs(upstream)) < self.bound
                return tf.where(is_small, upstream, float("inf"))

            return tf.identity(x), gradient

        return pass_on(inputs)


def network_whose_gate_overflows(bound):
    """The overflow passes through a gate, and through no weight that trains."""
    x = inputs = keras.Input((FEATURES,))
    branch = keras.layers.Dense(FEATURES, "tanh", trainable=False)(x)
    branch = gate("gate_0", 0.5, seed=0)(branch)
    x = keras.layers.Add()([x, InfiniteSlope(bound)(branch)])
    return keras.Model(inputs, keras.layers.Dense(1, name="head")(x))


def network_whose_weights_overflow(bound):
    """The overflow passes through a weight, and through no gate."""
    x = inputs = keras.Input((FEATURES,))
    x = InfiniteSlope(bound)(keras.layers.Dense(FEATURES, name="first")(x))
    branch = keras.layers.Dense(FEATURES, "tanh", trainable=False)(x)
    x = keras.layers.Add()([x, gate("gate_0", 0.5, seed=0)(branch)])
    return keras.Model(inputs, keras.layers.Dense(1, name="head")(x))


@pytest.mark.parametrize(
    "make_network", [network_whose_gate_overflows, network_whose_weights_overflow]
)
@pytest.mark.parametrize("gate_gradient", ["first_order", "flip"])
def test_after_an_overflow_only_the_scale_falls(make_network, gate_gradient):
    network = make_network(bound=0.0)
    if gate_gradient == "flip":
        network.get_layer("gate_0").draws = "batch"
    model = scaled(network, gate_gradient=gate_gradient)
    x, y = data()
    model.optimizer.build(model.trainable_variables)
    assert_only_the_scale_falls(model, x, y)
    assert_only_the_scale_falls(model, x, y)


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_the_scale_falls_until_the_gates_can_move(run_eagerly):
    # Slopes of the loss are about 1: halved some ten times, the scale is small enough.
    model = scaled(network_whose_gate_overflows(2.0**6), run_eagerly=run_eagerly)
    x, y = data()
    for _ in range(16):
        model.train_on_batch(x, y)
    assert thetas(model) != [0.5]
    assert int(model.optimizer.iterations.numpy()) > 0
    assert 1.0 < float(model.optimizer.dynamic_scale.numpy()) < 2.0**14


def test_steps_without_an_overflow_are_those_of_keras(policy):
    policy("mixed_float16")
    plain, gated = chain((1.0,), gated=False), chain((1.0,))
    gated.get_layer("gate_0").trainable = False
    plain.set_weights([v.numpy() for v in gated.trainable_variables])
    x, y = data()
    model = scaled(gated, scale=64.0)
    plain.compile(
        keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.1, momentum=0.9), initial_scale=64.0
        ),
        "mse",
        run_eagerly=True,
    )
    model.weight_prior = GaussianScaleMixturePrior(1e-12)
    for _ in range(3):
        model.train_on_batch(0.1 * x, 0.1 * y)
        plain.train_on_batch(0.1 * x, 0.1 * y)
    for v in plain.trainable_variables:
        np.testing.assert_allclose(weights(model)[v.path], v.numpy(), atol=1e-6)


def test_looking_for_the_scale_is_not_reported():
    model = scaled(network_whose_gate_overflows(2.0**6))
    # Warnings are errors.
    model.fit(*data(64), batch_size=4, verbose=0, callbacks=[PruneSections(verbose=0)])
    assert model.clock.skipped == 0


def test_a_slope_that_is_infinite_whatever_the_scale_is_reported():
    model = scaled(network_whose_gate_overflows(0.0), scale=4.0)
    prune = PruneSections(settle_by=1.0, verbose=0)
    with pytest.warns(UserWarning, match="14 batches of epoch 1 .* NaN or infinite"):
        model.fit(*data(64), batch_size=4, verbose=0, callbacks=[prune])


def test_a_loss_that_is_not_finite_is_reported_whatever_the_scale():
    model = scaled(scale=4.0)
    x, y = data()
    model.train_on_batch(x, np.nan * y)
    assert model.clock.skipped == 1


def test_sparse_gradients_are_looked_at_too():
    x = inputs = keras.Input((), dtype="int32")
    x = keras.layers.Embedding(3, FEATURES)(x)
    branch = keras.layers.Dense(FEATURES, "tanh", trainable=False)(x)
    branch = InfiniteSlope(0.0)(gate("gate_0", 0.5, seed=0)(branch))
    network = keras.Model(
        inputs, keras.layers.Dense(1, trainable=False)(keras.layers.Add()([x, branch]))
    )
    model = scaled(network)
    model.optimizer.build(model.trainable_variables)
    assert_only_the_scale_falls(model, np.array([0, 1, 1, 2]), np.zeros((4, 1)))


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_a_weight_that_the_loss_does_not_depend_on_is_no_overflow():
    x = inputs = keras.Input((FEATURES,))
    x += keras.ops.stop_gradient(keras.layers.Dense(FEATURES, name="apart")(x))
    x += gate("gate_0", 0.5, seed=0)(keras.layers.Dense(FEATURES, "tanh")(x))
    model = scaled(keras.Model(inputs, keras.layers.Dense(1)(x)), scale=1.0)
    before = weights(model)
    model.train_on_batch(*data())
    moved = {
        path for path, value in weights(model).items() if (value != before[path]).any()
    }
    assert moved == {path for path in before if "apart" not in path}


def test_weights_of_half_precision_take_steps_of_a_scaled_loss():
    model = scaled(chain(layer={"dtype": "float16"}), scale=8.0)
    before = weights(model)
    model.train_on_batch(*data())
    assert all((value != before[path]).any() for path, value in weights(model).items())


def test_a_model_in_which_nothing_trains_does_not_overflow():
    network = chain()
    network.trainable = False
    model = scaled(network)
    model.train_on_batch(*data())
    assert model.clock.skipped == 0
