"""Which weights the prior holds: those of all sections that ever had a gate.

A section that stays loses its gate, but not the prior on its weights. A file knows them
by their places among the network's weights, which change when a layer gets new ones.
"""

from keras_layer_prune.graph.gates import find_gates, layers_behind
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


def weights_behind_gates(network) -> list:
    """The weights that only gates keep in a network.

    Args:
        network: Functional or built sequential model with gates.

    Returns:
        List of variables.
    """
    layers = layers_behind(find_gates(network), network)
    return among({id(w) for layer in layers for w in layer.weights}, network)


def among(ids, network) -> list:
    """The weights of a network, in its order, that have one of some `id`s."""
    return [weight for weight in network.weights if id(weight) in ids]


def carried_weights(held, new_network, copied) -> list:
    """The same weights in the network that takes another one's place.

    Args:
        held: List of variables of the old network.
        new_network: The new one, without some of the weights.
        copied: List of pairs (old variable, new variable).

    Returns:
        List of variables of the new network.
    """
    old_ids = {id(weight) for weight in held}
    return among({id(new) for old, new in copied if id(old) in old_ids}, new_network)


def places_of(held, network) -> list[int]:
    """Positions in `network.weights` of some of them, which a file can hold."""
    ids = {id(weight) for weight in held}
    return [i for i, weight in enumerate(network.weights) if id(weight) in ids]


def weights_at(places, network) -> list:
    """The weights at positions that `places_of` returned.

    Raises:
        ValueError: If `places` is no list of positions that the network has.
    """
    weights = network.weights
    positions = range(len(weights))
    if not isinstance(places, list | tuple) or not all(
        isinstance(place, int) and place in positions for place in places
    ):
        raise ValueError(
            "`places_under_prior` must be a list of positions in `network.weights`, "
            f"which has {len(weights)}. Received: places_under_prior={places!r}"
        )
    return [weights[place] for place in places]


def trained_weights(held, network) -> list:
    """Those of some weights that are trained by their gradients."""
    trained = {
        id(weight)
        for weight in network.trainable_variables
        # The scales of an 8-bit layer, whose "gradients" are their next values.
        if not weight.overwrite_with_gradient
    }
    return [weight for weight in held if id(weight) in trained]
