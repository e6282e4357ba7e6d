"""The gates of a network, and the sections that they hold."""

from collections import Counter
from typing import NamedTuple

import keras

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.anatomy import (
    count_macs,
    layers_at_work,
    saved,
)
from keras_layer_prune.graph.status import Status, output_statuses
from keras_layer_prune.graph.ties import check_no_ties
from keras_layer_prune.layers.bernoulli_gate import BernoulliGate

# What `keras.Model` has subclasses override to train in a way of their own.
_STEPS = ("train_step", "test_step", "compute_loss", "compute_metrics")


class GatedSection(NamedTuple):
    """What leaves a network with one gate.

    Attributes:
        name: String, the gate's name.
        gate: `BernoulliGate`.
        layers: List of layers that only this gate keeps in the network.
        parameters: Int, weights in these layers.
        macs: Int, multiply-accumulates per example of these layers.
    """

    name: str
    gate: BernoulliGate
    layers: list
    parameters: int
    macs: int


def find_gates(network) -> list[BernoulliGate]:
    """All gates of a model, at any depth, each once."""
    return [x for x in private.all_layers(network) if isinstance(x, BernoulliGate)]


def gated_sections(network) -> list[GatedSection]:
    """The sections of a gated network, in the order of its gates.

    Args:
        network: Functional or built sequential model with gates.

    Returns:
        List of `GatedSection`.
    """
    whole = layers_at_work(network)
    return [_section(gate, whole, network) for gate in find_gates(network)]


def _section(gate, whole, network) -> GatedSection:
    rest = layers_at_work(network, closed={gate})
    remaining = {use.layer for use in rest}
    layers = [use.layer for use in whole if use.layer not in remaining]
    layers = [layer for layer in dict.fromkeys(layers) if layer is not gate]
    return GatedSection(gate.name, gate, layers, **saved(whole, rest))


def kept_sections(pruning_log) -> list[str]:
    """Names of decided sections that are still in the network.

    One that was kept leaves later, without a gate, if a section around it does.
    """
    removed = {e["section"] for e in pruning_log if e["action"] == "removed"}
    kept = [entry for entry in pruning_log if entry["action"] == "kept"]
    return [e["section"] for e in kept if removed.isdisjoint(e.get("within", ()))]


def saved_share(network, closed) -> float:
    """The share of a network's multiply-accumulates that leaves with some gates."""
    whole = count_macs(layers_at_work(network))
    rest = count_macs(layers_at_work(network, set(closed)))
    return 1.0 - rest / whole if whole else 1.0


def layers_behind(gates, network) -> set:
    """Layers, and other gates, that only some gates keep in the network."""
    whole = {use.layer for use in layers_at_work(network)}
    rest = {use.layer for use in layers_at_work(network, set(gates))}
    return whole - rest - set(gates)


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
            "`keras.Model(network.input, network.output)`, and give a loss of your own "
            "to `compile`, or override `compute_loss` in a subclass of `GatedModel`."
        )


def _listed(names) -> str:
    return ", ".join(f"`{name}`" for name in names)


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


def check_none_hidden(network, names):
    """Raise if there are names of gates that cannot be taken out of a network."""
    if names:
        raise ValueError(
            f"Gates that the graph of `{network.name}` does not show: {names}. They "
            "are inside a layer whose calls cannot be read, or lead to no output. "
            "Move each gate out of the layer, or use `GatedResidual` or `GatedLayer`."
        )


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
