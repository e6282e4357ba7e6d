"""Does projected SGD end at a vertex, and at the best one?

    python benchmarks/vertices.py

A residual network is trained on digits with all gates at random; then its weights are
frozen, and the objective is known at all 2^L settings of the gates. From random starts,
the projected step runs through the same `GatedModel.fit` that users call.
"""

import argparse
import itertools

import results

import datasets  # isort: skip
import keras
import numpy as np
import tensorflow as tf

import keras_layer_prune as klp
from keras_layer_prune.training.step.gate_gradients import GATE_GRADIENTS

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def main():
    arguments = parse_arguments()
    data = datasets.load("digits").train
    weights = trained_weights(data, arguments)
    objective = enumerate_vertices(weights, data, arguments)
    best = min(objective, key=objective.get)
    print(f"best of {len(objective)} vertices: {best}, objective {objective[best]:.4f}")

    rows = []
    for estimator in arguments.estimators:
        for start in range(arguments.starts):
            thetas = run_projected_sgd(weights, data, estimator, start, arguments)
            rows.append(outcome(thetas, best, objective, estimator, start))
        print_summary(estimator, rows)
    results.save("vertices", vars(arguments), rows)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sections", type=int, default=8)
    parser.add_argument("--width", type=int, default=24)
    parser.add_argument("--price", type=float, default=0.03, help="nats per example")
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--copies", type=int, default=16, help="of each example")
    parser.add_argument("--step-size", type=float, default=0.5)
    parser.add_argument(
        "--estimators", nargs="+", choices=GATE_GRADIENTS, default=["first_order"]
    )
    return parser.parse_args()


def make_network(data, arguments, draws="row", start=0):
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input(data.x.shape[1:])
    x = keras.layers.Flatten()(keras.layers.Rescaling(1.0 / 255.0)(x))
    x = keras.layers.Dense(arguments.width)(x)
    for index in range(arguments.sections):
        # Of different sizes, so that some earn their price and some do not.
        hidden = max(1, round(2 * arguments.width * 0.6**index))
        branch = keras.layers.Dense(hidden, activation="relu")(x)
        branch = keras.layers.Dense(arguments.width)(branch)
        prior = klp.FlatteningPrior(arguments.price * len(data.x))
        gate = klp.BernoulliGate(prior, 0.5, draws=draws, seed=100 * start + index)
        x = keras.layers.Add()([x, gate(branch)])
    return keras.Model(inputs, keras.layers.Dense(10)(x))


def trained_weights(data, arguments):
    """Weights that have seen every setting of the gates."""
    model = klp.GatedModel(make_network(data, arguments))
    model.compile(keras.optimizers.Adam(1e-3), LOSS)
    # Without `PruneSections` the gates draw and do not move.
    model.fit(data.x, data.y, batch_size=64, epochs=30, verbose=0)
    return [v.numpy() for v in model.network.trainable_variables]


def frozen_model(weights, data, arguments, draws, start=0):
    network = make_network(data, arguments, draws, start)
    for variable, value in zip(network.trainable_variables, weights, strict=True):
        variable.assign(value)
    model = klp.GatedModel(network)
    for layer in network.layers:
        layer.trainable = isinstance(layer, klp.BernoulliGate)
    return model


def enumerate_vertices(weights, data, arguments):
    """Data loss plus price at every setting of the gates, by plain evaluation."""
    model = frozen_model(weights, data, arguments, draws="row")
    objective = {}
    for vertex in itertools.product((0.0, 1.0), repeat=arguments.sections):
        set_gates(model, vertex)
        data_loss = float(LOSS(data.y, model.network(data.x, training=False)))
        objective[vertex] = data_loss + arguments.price * sum(vertex)
    return objective


def set_gates(model, thetas):
    for gate, theta in zip(model.gates, thetas, strict=True):
        gate.probability.assign(theta)


def run_projected_sgd(weights, data, estimator, start, arguments):
    """Final probabilities from one random start."""
    # What compares two forward passes needs one draw for all examples.
    draws = "batch" if estimator in ("flip", "antithetic") else "row"
    model = frozen_model(weights, data, arguments, draws, start)
    decreasing = keras.optimizers.schedules.PolynomialDecay(
        arguments.step_size, arguments.steps, arguments.step_size / 100
    )
    model.compile(
        "sgd",
        LOSS,
        train_size=len(data.x),
        gate_gradient=estimator,
        gate_step_size=decreasing,
    )
    starts = np.random.default_rng(start).uniform(size=arguments.sections)
    set_gates(model, starts)
    # The data's own noise is left out; what the gates draw is the noise that remains,
    # and several draws for each example make less of it.
    x, y = (np.concatenate([part] * arguments.copies) for part in data)
    whole = tf.data.Dataset.from_tensors((x, y)).repeat(arguments.steps)
    model.fit(whole, verbose=0)
    return [float(gate.probability.numpy()) for gate in model.gates]


def outcome(thetas, best, objective, estimator, start):
    nearest = tuple(float(theta >= 0.5) for theta in thetas)
    return {
        "estimator": estimator,
        "start": start,
        "thetas": thetas,
        "is_vertex": all(theta in (0.0, 1.0) for theta in thetas),
        "flips_from_best": sum(a != b for a, b in zip(nearest, best, strict=True)),
        "excess": objective[nearest] - objective[best],
    }


def print_summary(estimator, rows):
    rows = [row for row in rows if row["estimator"] == estimator]
    vertices = sum(row["is_vertex"] for row in rows)
    near = sum(row["flips_from_best"] <= 1 for row in rows)
    excess = results.spread([row["excess"] for row in rows])
    print(
        f"{estimator:<17} {vertices} of {len(rows)} ended at a vertex, {near} within "
        f"one flip of the best; objective above the best: mean {excess['mean']:.4f}, "
        f"max {excess['max']:.4f} nats per example"
    )


if __name__ == "__main__":
    main()
