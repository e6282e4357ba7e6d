"""The gates of a network, and the sections that they hold."""

from typing import NamedTuple

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.costs.anatomy import (
    count_macs,
    gone,
    layers_at_work,
    saved,
)
from keras_layer_prune.layers.bernoulli_gate import BernoulliGate


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


def free_gates(network) -> list[BernoulliGate]:
    """Gates that training decides: those that the user has not frozen."""
    return [gate for gate in find_gates(network) if gate.trainable]


def theta_of(gate) -> float:
    """The probability of a gate, as a Python float."""
    return float(gate.probability.numpy())


def undecided_gates(network) -> list:
    """Gates of a network that are neither at 0 nor at 1."""
    return [g for g in find_gates(network) if theta_of(g) not in (0.0, 1.0)]


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
    left = dict.fromkeys(use.layer for use in gone(whole, rest))
    layers = [layer for layer in left if layer is not gate]
    return GatedSection(gate.name, gate, layers, **saved(whole, rest))


def kept_sections(pruning_log) -> list[str]:
    """Names of decided sections that are still in the network.

    One that was kept leaves later, without a gate, if a section around it does.
    """
    removed = {e["section"] for e in pruning_log if e["action"] == "removed"}
    kept = [entry for entry in pruning_log if entry["action"] == "kept"]
    return [e["section"] for e in kept if removed.isdisjoint(e.get("within", ()))]


def left_for_budget(entry) -> bool:
    """Whether a section had to leave although it earned its price."""
    return entry["benefit"] >= entry["price"] and entry.get("surcharge", 0.0) > 0.0


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
