"""Sequences of which steps are masked, and ways to see where a mask has gone."""

import keras
import numpy as np

# Those that are 0 are masked.
TOKENS = np.array([[1, 2, 3, 0, 0, 0], [4, 0, 0, 0, 0, 0], [5, 6, 7, 8, 9, 1]])


def attended(x):
    """What shows whether `x` has a mask when the network runs."""
    return keras.layers.MultiHeadAttention(2, 4)(x, x)


def masks_of(network, x):
    """The masks of the outputs as lists; one that masks nothing is None."""
    masks = [getattr(y, "_keras_mask", None) for y in network(x)]
    return [
        None if mask is None or np.all(mask) else np.asarray(mask).tolist()
        for mask in masks
    ]
