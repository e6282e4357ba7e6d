"""Weights that two layers hold, which a rebuilt network could not keep tied."""

import keras

from keras_layer_prune.graph.anatomy import layers_at_work


def check_no_ties(network):
    """Raise if layers of a network hold the same weights.

    One layer that is called several times is no such case.

    Args:
        network: Functional or built sequential model.

    Raises:
        ValueError: If two layers hold one weight.
    """
    owners: dict[int, keras.layers.Layer] = {}
    for layer in {use.layer: None for use in layers_at_work(network)}:
        for weight in layer.weights:
            other = owners.setdefault(id(weight), layer)
            if other is not layer:
                raise ValueError(
                    f"Layers `{other.name}` and `{layer.name}` hold the same weight, "
                    f"`{weight.path}`. Whenever sections leave, layers are made again "
                    "with weights of their own, and the two would train apart. Call "
                    "one layer in both places, as `keras.layers.ReversibleEmbedding` "
                    "is, or give each of the two its own weights."
                )
