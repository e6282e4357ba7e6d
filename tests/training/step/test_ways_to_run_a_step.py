"""The same training, whatever Keras does to run its steps."""

import keras
import numpy as np
import pytest
from small_models import (
    compiled,
    data,
    idle_model,
    prune_idle,
    thetas,
    useful_and_idle,
)

from keras_layer_prune import GatedModel, PruneSections

OUTCOME = [("gate_idle", "removed"), ("gate_useful", "kept")]


def train(model):
    """Eight steps an epoch, so that eight can be done at once."""
    history = prune_idle(model, PruneSections(verbose=0), rows=64)
    decisions = [(e["section"], e["action"], e["step"]) for e in model.pruning_log]
    return history, decisions


def slow_learning():
    return keras.optimizers.SGD(1e-4, momentum=0.9)


@pytest.fixture(scope="module")
def eager():
    return train(idle_model(optimizer=slow_learning(), run_eagerly=True))


@pytest.mark.parametrize(
    "arguments",
    [{"jit_compile": False}, {"jit_compile": False, "steps_per_execution": 8}],
    ids=["graph", "eight_steps_at_once"],
)
def test_graphs_do_the_same_as_eager_steps(eager, arguments):
    model = idle_model(optimizer=slow_learning(), run_eagerly=False, **arguments)
    history, decisions = train(model)
    expected_history, expected_decisions = eager
    assert decisions == expected_decisions
    assert [decision[:2] for decision in decisions] == OUTCOME
    for name in ("loss", "data_loss", "removed"):
        np.testing.assert_allclose(
            history[name], expected_history[name], rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("jit_compile", [True, "auto"])
def test_compiled_steps_decide_the_same(eager, jit_compile):
    # XLA draws other numbers from the same seed; "auto" takes it where it is faster.
    model = idle_model(
        optimizer=slow_learning(), run_eagerly=False, jit_compile=jit_compile
    )
    _, decisions = train(model)
    assert [decision[:2] for decision in decisions] == OUTCOME
    assert decisions[-1] == eager[1][-1]


class CountsTraces(GatedModel):
    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_step_is_traced_once(optimizer):
    x, y = data(16)
    model = CountsTraces(useful_and_idle())
    options = {"jit_compile": False, "gate_step_size": 0.01}
    model.compile(optimizer, "mse", metrics=["mae"], **options)
    history = model.fit(x, y, batch_size=8, verbose=0).history
    assert model.traces == 1
    assert {"loss", "data_loss", "mae"} <= set(history)
    model.decide(closed=model.gates[:1])
    model.fit(x, y, batch_size=8, verbose=0)
    assert model.traces == 2


def test_in_bfloat16_the_decisions_are_the_same_and_theta_stays_float32(eager):
    network = useful_and_idle(dtype="mixed_bfloat16")
    assert network.get_layer("useful").compute_dtype == "bfloat16"
    model = compiled(network, slow_learning(), run_eagerly=False, gate_step_size=1.0)
    assert {gate.probability.dtype for gate in model.gates} == {"float32"}
    _, decisions = train(model)
    assert [decision[:2] for decision in decisions] == OUTCOME


@pytest.fixture
def float16_policy():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


def thetas_after_a_step(gate_gradient, draws):
    keras.utils.set_random_seed(0)
    model = compiled(
        useful_and_idle(draws=draws),
        "sgd",
        gate_step_size=0.5,
        gate_gradient=gate_gradient,
    )
    # So small that the scaled loss is not too large for float16.
    x, y = data(8)
    model.fit(0.1 * x, 0.1 * y, shuffle=False, verbose=0)
    return model, thetas(model)


@pytest.mark.parametrize(
    ("gate_gradient", "draws"),
    [("first_order", "row"), ("straight_through", "row"), ("flip", "batch")],
)
def test_in_float16_gates_see_gradients_without_the_scale_of_the_loss(
    request, gate_gradient, draws
):
    _, exact = thetas_after_a_step(gate_gradient, draws)
    request.getfixturevalue("float16_policy")
    model, scaled = thetas_after_a_step(gate_gradient, draws)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert float(model.optimizer.dynamic_scale.numpy()) > 1e4
    assert abs(exact[0] - 0.5) > 1e-3
    moves = np.subtract([scaled, exact], 0.5)
    np.testing.assert_allclose(moves[0], moves[1], rtol=0.02, atol=1e-4)
