"""Weights that Keras makes only when a layer is called for the first time."""

import keras

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.rebuilding.cloning import is_lookup


def make_weights(network):
    """Make the weights that a network would get in its first step.

    A layer as another one's activation, or inside of a cell without a `build`, is not
    called when a graph is made. Its weights must be there before an optimizer is built
    and before a copy is made.

    Args:
        network: Functional or built sequential model.
    """
    layers = private.all_layers(network)
    # They have none, and cannot be called before their words are read from a file.
    lookups = [layer for layer in layers if is_lookup(layer)]
    inside = {id(part) for layer in lookups for part in private.all_layers(layer)}
    if all(layer.built or id(layer) in inside for layer in layers):
        return
    inputs = private.input_structure(private.graph_of(network))
    # Traced with shapes alone: nothing is computed.
    keras.Operation.compute_output_spec(network, inputs)
