"""Which weights the prior holds: those of all sections that ever had a gate.

A section that stays loses its gate, but not the prior on its weights. They are known by
their places among the network's weights, which a file can hold too.
"""

from keras_layer_prune.graph.gates import layers_behind_gates


def places_behind_gates(network) -> list[int]:
    """Places of the weights that only gates keep in a network.

    Args:
        network: Functional or built sequential model with gates.

    Returns:
        List of positions in `network.weights`.
    """
    held = {id(w) for layer in layers_behind_gates(network) for w in layer.weights}
    return [i for i, weight in enumerate(network.weights) if id(weight) in held]


def carried_places(places, network, new_network, copies) -> list[int]:
    """The same weights' places in the network that takes another one's place.

    Args:
        places: List of positions in `network.weights`.
        network: The old network.
        new_network: The new one, without some of the weights.
        copies: List of pairs (old layer, new layer), as `Retrace` has them.

    Returns:
        List of positions in `new_network.weights`.
    """
    weights = network.weights
    held = {id(weights[place]) for place in places}
    copied = {
        id(new)
        for old_layer, new_layer in copies
        for old, new in zip(old_layer.variables, new_layer.variables, strict=True)
        if id(old) in held
    }
    return [i for i, w in enumerate(new_network.weights) if id(w) in copied]


def trained_weights(network, places) -> list:
    """The weights at some places of a network, without those that are frozen."""
    weights = network.weights
    trained = {id(weight) for weight in network.trainable_variables}
    return [weights[place] for place in places if id(weights[place]) in trained]
