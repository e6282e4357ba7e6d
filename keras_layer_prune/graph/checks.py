"""Checks of networks, made before any work: can they be read, gated, served?"""

from collections import Counter

import keras

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.costs.anatomy import layers_at_work
from keras_layer_prune.graph.gates import find_gates, theta_of, undecided_gates
from keras_layer_prune.graph.reading.status import Status, output_statuses
from keras_layer_prune.graph.ties import check_no_ties

# What `keras.Model` has subclasses override to train in a way of their own.
_STEPS = (
    "train_step",
    "test_step",
    "predict_step",
    "compute_loss",
    "compute_metrics",
)


def check_gated_network(network):
    """Raise unless every gate of a network can be closed and rebuilt without.

    Args:
        network: What the user wants to train.

    Raises:
        TypeError: If `network` is not a Keras model.
        ValueError: If it is not a functional or built sequential model, holds no
            gates, calls a gate more or less than once, has gates of the same name or
            layers with the same weights, would have an output cut off from its inputs,
            or is of a class with a training step or a loss of its own.
    """
    check_graph(network)
    check_plain_training(network)
    gates = find_gates(network)
    if not gates:
        raise ValueError(
            f"Network `{network.name}` has no gates. Multiply the branch of each "
            "residual addition by a `BernoulliGate`: "
            "`Add()([x, BernoulliGate()(branch)])`, or call `gate_sections(network)`."
        )
    _check_calls(network, gates)
    check_no_ties(network)
    check_names(gates)
    _check_connection(network, gates)


def check_graph(network, name="network"):
    """Raise unless the calls of a network can be read.

    Args:
        network: What should be a functional or built sequential model.
        name: String, the argument that it is.

    Raises:
        TypeError: If it is not a Keras model.
        ValueError: If its calls cannot be read.
    """
    if not isinstance(network, keras.Model):
        raise TypeError(
            f"`{name}`: Expected a Keras model made with `keras.Model(inputs, outputs)`"
            f". Received: {name}={network!r}"
        )
    if private.graph_of(network) is not None:
        return
    if isinstance(network, keras.Sequential):
        raise ValueError(
            f"The sequential model `{network.name}` is not built yet. Put a "
            "`keras.Input(shape)` first, or call `network.build(input_shape)`."
        )
    if isinstance(getattr(network, "network", None), keras.Model):
        raise ValueError(
            f"`{network.name}` is a {type(network).__name__}, which trains a network "
            f"and is none itself. Received: {name}={network!r}. Pass its network, "
            "`model.network`."
        )
    raise ValueError(
        f"`{network.name}` is a subclassed model ({type(network).__name__}), whose "
        "calls cannot be read. Make it functional: call its layers on a "
        "`keras.Input` and wrap the result in `keras.Model(inputs, outputs)`."
    )


def check_plain_training(network, name="network"):
    """Raise if a network's class trains in a way of its own.

    What holds a network to train it has a step of its own, and a network that is made
    again is a plain one.

    Args:
        network: Functional or sequential model.
        name: String, the argument that it is.
    """
    kind = type(network)
    own = [m for m in _STEPS if getattr(kind, m) is not getattr(keras.Model, m)]
    if own:
        raise ValueError(
            f"`{network.name}` is a {kind.__name__}, whose own {_listed(own)} would "
            f"never be called. Received: {name}={network!r}. Pass a plain model, "
            f"`{_plain_model(network, name)}`, and override the same in a subclass of "
            "`GatedModel`; a loss can also be given to `compile`."
        )


def _plain_model(network, name) -> str:
    if isinstance(network, keras.Sequential):
        # Its `input` need not be there.
        return f"keras.Model({name}.inputs[0], {name}.outputs[0])"
    return f"keras.Model({name}.input, {name}.output)"


def check_names(gates):
    """Raise unless gates can be told apart by their names.

    The names of layers differ within one graph only, not from one nested model to the
    next. The pruning log, trajectories, reports and backups know gates by them.
    """
    counts = Counter(gate.name for gate in gates)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        raise ValueError(
            f"Several gates are called the same: {repeated}. The pruning log and all "
            "reports know gates by their names. Give each its own, "
            "`BernoulliGate(name=...)`, or leave the names to Keras."
        )


def check_none_hidden(network, names):
    """Raise if there are names of gates that cannot be taken out of a network."""
    if names:
        raise ValueError(
            f"Gates that the graph of `{network.name}` does not show: {names}. They "
            "are inside a layer whose calls cannot be read, or lead to no output. "
            "Move each gate out of the layer, or use `GatedResidual` or `GatedLayer`."
        )


def check_decided(network):
    """Raise if gates of a network are neither at 0 nor at 1."""
    undecided = undecided_gates(network)
    if not undecided:
        return
    thetas = {gate.name: round(theta_of(gate), 4) for gate in undecided}
    frozen = [gate.name for gate in undecided if not gate.trainable]
    advice = (
        f"These are frozen and never decided: {frozen}. Set `gate.trainable = True` "
        "before training, or call `model.decide(closed, opened)`."
        if frozen
        else "Train for more epochs, or let `PruneSections(settle_by=...)` decide the "
        "rest. After a `fit` in which sections left, the network is `model.network`."
    )
    raise ValueError(
        f"Network `{network.name}` has gates between 0 and 1: {thetas}. A served "
        f"network must be deterministic. {advice}"
    )


def _check_calls(network, gates):
    """Raise unless each gate is called exactly once, where it can be seen."""
    times = dict.fromkeys(gates, 0)
    for use in layers_at_work(network):
        if use.layer in times:
            times[use.layer] += 1
    shared = [gate.name for gate, count in times.items() if count > 1]
    hidden = [gate.name for gate, count in times.items() if count == 0]
    if shared:
        raise ValueError(
            f"Gates called more than once: {shared}. A gate decides over one section; "
            "make a new `BernoulliGate()` for each branch."
        )
    check_none_hidden(network, hidden)


def _check_connection(network, gates):
    """Raise if closing the gates would cut an output off from the inputs."""
    if not _cut_outputs(network, set(gates)):
        return
    guilty = [g.name for g in gates if _cut_outputs(network, {g})]
    names = guilty or [gate.name for gate in gates]
    raise ValueError(
        f"Closing {names} would cut an output of `{network.name}` off from its inputs. "
        "A gate belongs on the branch of a residual connection: add its output to a "
        "shortcut, `Add()([x, BernoulliGate()(branch)])`, or use `GatedResidual`."
    )


def _cut_outputs(network, closed) -> bool:
    functional = private.graph_of(network)
    return any(s != Status.LIVE for s in output_statuses(functional, closed))


def _listed(names) -> str:
    return ", ".join(f"`{name}`" for name in names)
