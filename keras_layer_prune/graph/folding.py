"""Linear layers that a removed section held apart, folded into one.

A chain of linear layers is one linear map. Where the chain was the user's, it stays as
it is: a factorisation is a choice. Where it came about because a section left, which a
`Seam` in the graph says, neighbours are multiplied out, unless the product has more
to do than the two had.
"""

from typing import NamedTuple

import keras

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.costs.anatomy import count_macs, layers_at_work
from keras_layer_prune.graph.linear.chains import linear_chains
from keras_layer_prune.graph.linear.maps import as_layer, is_map, is_over_places
from keras_layer_prune.graph.rebuilding.retrace import Retrace
from keras_layer_prune.layers.seam import Seam


def fold_seams(network) -> keras.Model:
    """A network without seams, the layers around them folded where that is exact.

    Not for the middle of a training: an optimizer's momenta of a product cannot be had
    from those of its factors.

    Args:
        network: Functional or built sequential model.

    Returns:
        A functional model with weights of its own, or `network` if it has no seams.
    """
    seams = [x for x in private.all_layers(network) if isinstance(x, Seam)]
    if not seams:
        return network
    plan = _plan(network)
    instead = {**dict.fromkeys(seams), **plan.instead}
    folded = Retrace(network, instead=instead).rebuild()
    for layer, arrays in plan.weights:
        layer.set_weights(arrays)
    return folded


def folded_macs(network) -> int:
    """Multiply-accumulates per example of what `fold_seams` would return.

    Args:
        network: Functional or built sequential model.
    """
    chains = linear_chains(network)
    before = sum(chain.macs for chain in chains)
    _fold_all(chains)
    saved = before - sum(chain.macs for chain in chains)
    return count_macs(layers_at_work(network)) - saved


class _Plan(NamedTuple):
    """What is to stand in a network instead of the layers that are folded.

    Attributes:
        instead: Dictionary from layer to a new layer, or to None where it goes.
        weights: List of pairs, a new layer and the arrays that are to be its weights.
    """

    instead: dict
    weights: list


def _fold_all(chains):
    for chain in chains:
        chain.fold()
    while any(chain.spread() for chain in chains):
        # What was spread may have brought new neighbours together.
        for chain in chains:
            chain.fold()


def _plan(network) -> _Plan:
    chains = linear_chains(network)
    _fold_all(chains)
    plan = _Plan({}, [])
    for chain in chains:
        _plan_maps(chain, plan)
        for part in chain.averages():
            layers = chain.layers[part.start : part.end + 1]
            *rest, last = filter(is_over_places, layers)
            plan.instead.update({**dict.fromkeys(rest), last: part.what})
    return plan


def _plan_maps(chain, plan):
    """Plan all maps of a chain that are not what they were."""
    plan.instead.update(dict.fromkeys(filter(is_map, chain.layers)))
    for part in chain.maps:
        if part.what.factors == 1:
            del plan.instead[part.what.layer]
            continue
        layer, arrays = as_layer(part.what)
        plan.weights.append((layer, arrays))
        plan.instead[part.what.last] = layer
