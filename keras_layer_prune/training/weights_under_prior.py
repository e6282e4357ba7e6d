"""Which weights the prior holds: those of all sections that ever had a gate.

A section that stays loses its gate, but not the prior on its weights. They are known by
their places among the network's weights, which a file can hold too.
"""

from keras_layer_prune.graph.gates import layers_behind_gates
from keras_layer_prune.variational.gaussian_scale_mixture_prior import (
    GaussianScaleMixturePrior,
)

# One over the variance of the weights, for each training example: as the price of a
# gate, it asks for the same of small and of large training sets.
_PRECISION_OF_AN_EXAMPLE = 0.001


def default_weight_prior(train_size) -> GaussianScaleMixturePrior:
    """The prior on the weights of sections, unless one is given.

    Args:
        train_size: Int, number of training examples.
    """
    return GaussianScaleMixturePrior(_PRECISION_OF_AN_EXAMPLE * train_size)


def places_behind_gates(network) -> list[int]:
    """Places of the weights that only gates keep in a network.

    Args:
        network: Functional or built sequential model with gates.

    Returns:
        List of positions in `network.weights`.
    """
    held = {id(w) for layer in layers_behind_gates(network) for w in layer.weights}
    return [i for i, weight in enumerate(network.weights) if id(weight) in held]


def carried_places(places, network, new_network, copied) -> list[int]:
    """The same weights' places in the network that takes another one's place.

    Args:
        places: List of positions in `network.weights`.
        network: The old network.
        new_network: The new one, without some of the weights.
        copied: List of pairs (old variable, new variable).

    Returns:
        List of positions in `new_network.weights`.
    """
    weights = network.weights
    held = {id(weights[place]) for place in places}
    carried = {id(new) for old, new in copied if id(old) in held}
    return [i for i, w in enumerate(new_network.weights) if id(w) in carried]


def trained_weights(network, places) -> list:
    """The weights at some places of a network that are trained by their gradients."""
    weights = network.weights
    trained = {
        id(weight)
        for weight in network.trainable_variables
        # The scales of an 8-bit layer, whose "gradients" are their next values.
        if not weight.overwrite_with_gradient
    }
    return [weights[place] for place in places if id(weights[place]) in trained]
