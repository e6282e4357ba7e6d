"""Tiny networks with gates, data for them, and ways to look at what became of them."""

import keras
import numpy as np

from keras_layer_prune import BernoulliGate, FlatteningPrior, GatedModel, summarize

FEATURES = 4


def data(rows=16, seed=0):
    """Inputs, and a target that is not linear in them."""
    x = np.random.default_rng(seed).normal(size=(rows, FEATURES)).astype("float32")
    return x, np.abs(x).sum(axis=1, keepdims=True)


def chain(thetas=(0.9, 0.9), gated=True, layer=None, **gate_arguments):
    """Sections one behind the other, each a nonlinear layer with an offset."""
    layer = {"activation": "tanh", "bias_initializer": "random_normal", **(layer or {})}
    x = inputs = keras.Input((FEATURES,))
    for index, theta in enumerate(thetas):
        branch = keras.layers.Dense(FEATURES, name=f"section_{index}", **layer)(x)
        if gated:
            branch = gate(f"gate_{index}", theta, seed=index, **gate_arguments)(branch)
        x = keras.layers.Add(name=f"sum_{index}")([x, branch])
    return keras.Model(inputs, keras.layers.Dense(1, name="head")(x))


def gate(name, theta=0.9, price=None, train_size=64, **arguments):
    """A gate, with a price in nats per example if one is given."""
    prior = None if price is None else FlatteningPrior(price * train_size)
    return BernoulliGate(prior, theta, name=name, **arguments)


def useful_and_idle(theta=0.5, dtype=None, **gate_arguments):
    """One section that the target of `data` is made of, and one that gives nothing.

    The weights of both are fixed and those after them right from the start: what each
    section takes off the loss is known, about ten nats per example and exactly zero.
    """
    eye, zero = np.eye(FEATURES), np.zeros((FEATURES, 2 * FEATURES))
    x = inputs = keras.Input((FEATURES,))
    both_signs = fixed_layer(np.hstack([eye, -eye]), "relu", dtype=dtype)(x)
    useful = fixed_layer(np.vstack([eye, eye]), name="useful", dtype=dtype)(both_signs)
    useful = gate("gate_useful", theta, seed=0, dtype=dtype, **gate_arguments)(useful)
    x = keras.layers.Add(dtype=dtype)([x, useful])
    idle = fixed_layer(zero, "relu", name="idle", dtype=dtype)(x)
    idle = fixed_layer(zero.T, dtype=dtype)(idle)
    idle = gate("gate_idle", theta, seed=1, dtype=dtype, **gate_arguments)(idle)
    x = keras.layers.Add(dtype=dtype)([x, idle])
    head = keras.layers.Dense(1, kernel_initializer="ones", name="head")
    return keras.Model(inputs, head(x))


def useful_and_idle_data(rows=48):
    x, total = data(rows)
    return x, total + x.sum(axis=1, keepdims=True)


def idle_model(theta=0.5, optimizer=None, **arguments):
    """A model of `useful_and_idle` whose gates decide within a few steps.

    Its weights stay as they are, unless an optimizer is given: with the useful section
    the loss is then zero, and no step is ever taken away from it.
    """
    return compiled(
        useful_and_idle(theta),
        optimizer or keras.optimizers.SGD(0.0),
        **{"gate_step_size": 1.0, **arguments},
    )


def prune_idle(model, *callbacks, epochs=8, rows=48, **arguments):
    """Train a model of `useful_and_idle` for 6 steps an epoch; return the history."""
    arguments = {"verbose": 0, "shuffle": False, **arguments}
    x, y = useful_and_idle_data(rows)
    fitted = model.fit(
        x, y, batch_size=8, epochs=epochs, callbacks=list(callbacks), **arguments
    )
    return fitted.history


def fixed_layer(kernel, activation=None, name=None, dtype=None):
    return keras.layers.Dense(
        kernel.shape[1],
        activation,
        use_bias=False,
        kernel_initializer=keras.initializers.Constant(kernel.astype("float32")),
        trainable=False,
        name=name,
        dtype=dtype,
    )


def compiled(network, optimizer="sgd", loss="mse", run_eagerly=True, **arguments):
    """A `GatedModel`; eager, as a step or two are faster that way."""
    model = GatedModel(network)
    if not run_eagerly:
        arguments.setdefault("jit_compile", False)
    model.compile(optimizer, loss, run_eagerly=run_eagerly, **arguments)
    return model


def freeze_weights(network):
    for layer in network.layers:
        layer.trainable = isinstance(layer, BernoulliGate)
    return network


def freeze_gates(network):
    for layer in network.layers:
        layer.trainable = not isinstance(layer, BernoulliGate)
    return network


def thetas(model):
    return [float(gate.probability.numpy()) for gate in model.gates]


def gates_by_name(model):
    return {gate.name: gate for gate in model.gates}


def weights(model):
    """Trainable weights by path."""
    return {v.path: v.numpy() for v in model.trainable_variables}


def macs(network):
    return summarize(network, latency=False).macs


def actions(model):
    """What became of each decided section."""
    return {entry["section"]: entry["action"] for entry in model.pruning_log}


class KeepsADictionary(keras.optimizers.SGD):
    """Its slots are not in a list, by which they could be carried over."""

    def build(self, variables):
        super().build(variables)
        self.momenta = {
            v.path: self.add_variable_from_reference(v, "momentum") for v in variables
        }


class StartClock(keras.callbacks.Callback):
    """Moves the gates as `GateClock.start` is told, and removes nothing."""

    moves_gates = True

    def __init__(self, **clock):
        super().__init__()
        self.clock = clock

    def on_train_begin(self, logs=None):
        self.model.clock.start(**self.clock)


class Watch(keras.callbacks.Callback):
    """Calls a function with the model after every step, and keeps what it returns."""

    def __init__(self, look):
        super().__init__()
        self.look = look
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(self.look(self.model))
