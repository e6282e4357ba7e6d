"""One training step: weights by the optimizer, gates by a projected step."""

import keras
import tensorflow as tf

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.gates import free_gates
from keras_layer_prune.layers._draws import Draws
from keras_layer_prune.training.step.gate_clock import LONGEST_STEP
from keras_layer_prune.training.step.gate_gradients import (
    DRAWS_OF,
    PAIRED_ESTIMATORS,
    Estimate,
)
from keras_layer_prune.training.step.gate_update import (
    GateStep,
    all_finite,
    move_gates,
    scales,
)
from keras_layer_prune.training.step.overflow import (
    announced,
    finite_everywhere,
    is_scale_search,
)
from keras_layer_prune.training.step.replicas import (
    replicas,
    rows_of_replica,
    sum_over_replicas,
)
from keras_layer_prune.training.step.train_size import number_of_rows


def training_step(model, data) -> dict:
    """Step the weights and the gates of a model on one batch.

    Args:
        model: Compiled `GatedModel`.
        data: What the data set yields: `x`, `(x, y)` or `(x, y, sample_weight)`.

    Returns:
        Dictionary of the metrics, as `train_step` of Keras returns it.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    gates = free_gates(model.network)
    thetas = [gate.probability.value for gate in gates]
    weights = model.trainable_variables
    draws = Draws(**DRAWS_OF[model.gate_gradient], rows=rows_of_replica(x))

    with tf.GradientTape() as tape:
        tape.watch(thetas)
        with draws.active():
            outputs = model(x, training=True)
        data_cost = private.loss_in_training(model, x, y, outputs, sample_weight)
        weight_cost = tf.cast(model.weight_cost(), data_cost.dtype)
        cost = data_cost + weight_cost / replicas()
        scaled_cost = model.optimizer.scale_loss(cost)
    weight_gradients, slopes = tape.gradient(
        scaled_cost, ([w.value for w in weights], thetas)
    )
    is_finite = finite_everywhere(model.optimizer, [*weight_gradients, *slopes])
    is_search = is_scale_search(model.optimizer, data_cost)
    # Before the weights move: some estimates evaluate the loss once more.
    if gates and model.gate_gradient in PAIRED_ESTIMATORS:
        estimate = _from_a_pair(model, data, gates, data_cost, draws)
    elif gates:
        estimate = _from_slopes(model, slopes)
    if weights:
        weight_gradients = announced(model.optimizer, weight_gradients, is_finite)
        model.optimizer.apply_gradients(zip(weight_gradients, weights, strict=True))
    now = model.clock.tick()
    if gates:
        _move_gates(model, now, gates, estimate, data_cost, is_finite, is_search)
    return _step_logs(model, x, y, outputs, sample_weight, cost)


def _from_slopes(model, slopes) -> Estimate:
    """First-order estimates for the gates, from what the tape returns."""
    # A gate that the loss does not depend on has no slope.
    known = [tf.zeros([]) if slope is None else slope for slope in slopes]
    scale = model.optimizer.scale_loss(tf.ones([]))
    return Estimate(tf.stack(known) / scale, tf.ones([len(known)]))


def _from_a_pair(model, data, gates, data_cost, draws) -> Estimate:
    """Unbiased estimates for the gates, from a second forward pass."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)

    def evaluate(other_draws):
        with model.unmeasured(), other_draws.active():
            outputs = model(x, training=True)
            loss = private.loss_in_training(model, x, y, outputs, sample_weight)
        return tf.cast(loss, tf.float32)

    return PAIRED_ESTIMATORS[model.gate_gradient](
        evaluate, gates, tf.cast(data_cost, tf.float32), draws, model.estimator_seed
    )


def _move_gates(model, now, gates, estimate, data_cost, is_finite, is_search):
    differences = sum_over_replicas(estimate.differences)
    # An infinite square would never leave the running mean.
    is_usable = tf.logical_and(is_finite, all_finite([data_cost, differences**2]))
    model.clock.count_skipped(tf.logical_or(is_usable, is_search))
    prices = [model.price(gate) for gate in gates]
    step = _gate_step(model, now, gates, prices)
    due = tf.constant(prices, tf.float32) * model.clock.pressure(now)
    due += tf.stack([gate.surcharge.value for gate in gates])
    move_gates(gates, differences, estimate.charged * due, step, is_usable)


def _gate_step(model, now, gates, prices) -> GateStep:
    """How far gates move at the training step `now`."""
    clock, chosen = model.clock, model.gate_step_size
    if chosen is None:
        # Each by its own scale, so that a dear or a protected one slows no other.
        return GateStep(clock.reach(now) / scales(gates, prices), LONGEST_STEP)
    size = tf.cast(chosen(now) if callable(chosen) else chosen, tf.float32)
    return GateStep(tf.where(clock.is_holding(now), 0.0, size))


def _step_logs(model, x, y, outputs, sample_weight, cost) -> dict:
    loss = next(metric for metric in model.metrics if metric.name == "loss")
    loss.update_state(
        tf.cast(cost * replicas(), tf.float32) + model.gate_cost(),
        # As Keras weighs a batch's loss in an epoch.
        sample_weight=number_of_rows(x),
    )
    logs = model.compute_metrics(x, y, outputs, sample_weight)
    thetas = [gate.probability.value for gate in model.gates]
    decided = float(model.sections - len(thetas))
    logs["expected_sections"] = tf.add_n([*thetas, tf.constant(decided)])
    logs["sections"] = tf.constant(float(model.sections))
    return logs
