"""Networks without what their gates have closed."""

import contextlib
import random
import warnings
import weakref

import keras

from keras_layer_prune.graph.checks import (
    check_decided,
    check_graph,
    check_none_hidden,
)
from keras_layer_prune.graph.folding import fold_seams, folded_macs
from keras_layer_prune.graph.gates import find_gates, gated_sections, theta_of
from keras_layer_prune.graph.rebuilding.retrace import Retrace

# Networks that have been replaced by smaller ones while they were trained.
_LEFT_BEHIND: weakref.WeakSet = weakref.WeakSet()


def remove_closed_sections(network) -> keras.Model:
    """A network without the sections whose gates are at exactly 0.

    The outputs are the same. Gates that are not at 0 stay as they are. Linear layers
    that a removed section held apart, also one that left during `fit`, are folded into
    one where that is exact and no more work.

    Args:
        network: Functional or built sequential model.

    Returns:
        A functional model with weights of its own; `network` is left as it is.

    Raises:
        ValueError: If the calls of `network`, or those around a closed gate, cannot be
            read.

    Example:

    >>> smaller = keras_layer_prune.remove_closed_sections(model.network)
    """
    check_graph(network)
    rebuilt = Retrace(network, closed=_gates_at(0.0, network)).rebuild()
    check_none_hidden(network, [gate.name for gate in _gates_at(0.0, rebuilt)])
    return fold_seams(rebuilt)


def strip_gates(network) -> keras.Model:
    """A plain Keras model: closed sections gone, and so are the open gates.

    The outputs are the same. Nothing of this package is left in the result, so it is
    saved, loaded and exported without it. Linear layers that a removed section held
    apart, also one that left during `fit`, are folded into one where that is exact and
    no more work.

    Args:
        network: Functional or built sequential model whose gates are all at 0 or 1.

    Returns:
        A functional model with weights of its own; `network` is left as it is.

    Raises:
        ValueError: If gates are between 0 and 1, or the calls of `network`, or those
            around a gate, cannot be read.

    Example:

    >>> slim = keras_layer_prune.strip_gates(model.network)
    >>> slim.export("served")
    """
    check_graph(network)
    check_decided(network)
    if network in _LEFT_BEHIND:
        warnings.warn(
            f"`{network.name}` is a network from before sections left it in training, "
            "with the weights that it had then. What was trained on is "
            "`model.network`.",
            stacklevel=2,
        )
    return served(network, _gates_at(0.0, network))


def served(network, closed=()) -> keras.Model:
    """A network as it would be served if some gates were closed and all others open.

    Args:
        network: Functional or built sequential model.
        closed: Gates whose sections leave, whatever their probabilities.

    Returns:
        A functional model without gates and with weights of its own.

    Raises:
        ValueError: If the calls around a gate cannot be read.
    """
    rebuilt = _decided(network, closed).rebuild()
    check_none_hidden(network, [gate.name for gate in find_gates(rebuilt)])
    return fold_seams(rebuilt)


def served_macs(network, closed=()) -> int:
    """Multiply-accumulates per example of what `served` returns for the same gates."""
    with _keeping_seeds():
        return folded_macs(_decided(network, closed).rebuild_without_weights())


def _decided(network, closed) -> Retrace:
    opened = [gate for gate in find_gates(network) if gate not in closed]
    return Retrace(network, closed=closed, opened=opened)


@contextlib.contextmanager
def _keeping_seeds():
    """Scope after which Python's generator is as it was before.

    Keras draws the seeds of new layers from it: a training has those that it would
    have.
    """
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


def leave_behind(network):
    """Note that a training goes on with another network in the place of this one."""
    _LEFT_BEHIND.add(network)


def check_remade(network, free):
    """Raise unless a network can be made again, as each pruning does.

    Args:
        network: Functional or built sequential model.
        free: List of gates that may close.
    """
    with _keeping_seeds():
        Retrace(network).rebuild()
        # Where zeros have to be made, sizes have to be known.
        for closed in (free, *_inside(network, free)):
            Retrace(network, closed=closed).rebuild_without_weights()


def _inside(network, gates) -> list[list]:
    """Gates that others would take along, by how many have one around them."""
    levels: dict[int, list] = {}
    sections = gated_sections(network)
    for gate in gates:
        depth = sum(gate in around.layers for around in sections)
        levels.setdefault(depth, []).append(gate)
    return [level for depth, level in levels.items() if depth]


def _gates_at(theta, network) -> list:
    return [gate for gate in find_gates(network) if theta_of(gate) == theta]
