"""Where a section has left a network between two linear maps: `Seam`."""

import keras


@keras.saving.register_keras_serializable("keras_layer_prune")
class Seam(keras.layers.Identity):
    """The identity, between two linear layers that a removed section held apart.

    The two could be one, but not while they train: the optimizer's momenta of a
    product cannot be had from those of its factors. So the network notes the place,
    and what is made of it after its training has one layer there. Layers that stood
    side by side from the start have no seam between them, and stay two.
    """
