"""Networks without what their gates have closed."""

import keras

from keras_layer_prune.graph.gates import check_graph, find_gates
from keras_layer_prune.graph.retrace import Retrace


def remove_closed_sections(network) -> keras.Model:
    """A network without the sections whose gates are at exactly 0.

    The outputs are the same. Gates that are not at 0 stay as they are.

    Args:
        network: Functional or built sequential model.

    Returns:
        A functional model with weights of its own; `network` is left as it is.

    Raises:
        ValueError: If the calls of `network` cannot be read.

    Example:

    >>> smaller = keras_layer_prune.remove_closed_sections(model.network)
    """
    check_graph(network)
    closed = [gate for gate in find_gates(network) if theta_of(gate) == 0.0]
    return Retrace(closed=closed).rebuild(network)


def strip_gates(network) -> keras.Model:
    """A plain Keras model: closed sections gone, and so are the open gates.

    The outputs are the same. Nothing of this package is left in the result, so it is
    saved, loaded and exported without it.

    Args:
        network: Functional or built sequential model whose gates are all at 0 or 1.

    Returns:
        A functional model with weights of its own; `network` is left as it is.

    Raises:
        ValueError: If gates are between 0 and 1, or the calls cannot be read.

    Example:

    >>> slim = keras_layer_prune.strip_gates(model.network)
    >>> slim.export("served")
    """
    check_graph(network)
    check_decided(network)
    gates = find_gates(network)
    closed = [gate for gate in gates if theta_of(gate) == 0.0]
    opened = [gate for gate in gates if theta_of(gate) == 1.0]
    return Retrace(closed=closed, opened=opened).rebuild(network)


def check_decided(network):
    """Raise if gates of a network are neither at 0 nor at 1."""
    undecided = {
        gate.name: round(theta_of(gate), 4)
        for gate in find_gates(network)
        if theta_of(gate) not in (0.0, 1.0)
    }
    if undecided:
        raise ValueError(
            f"Network `{network.name}` has gates between 0 and 1: {undecided}. A "
            "served network must be deterministic. Train for more epochs, or let "
            "`PruneSections(settle_by=...)` decide the rest."
        )


def theta_of(gate) -> float:
    """The probability of a gate, as a Python float."""
    return float(gate.probability.numpy())
