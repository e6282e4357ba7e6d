"""Operations that hand on the numbers they get, and change what Keras adds to them."""

import keras


def named(tensor, name, dtype=None):
    """The same tensor, mask included, under another name and maybe in another dtype."""
    return keras.layers.Identity(name=name, dtype=dtype or tensor.dtype)(tensor)


def apart(tensor, name):
    """The same numbers and the same mask, as a tensor of its own when it runs."""
    # An `Identity` hands on the very tensor, and raw operations drop the mask.
    return keras.layers.Rescaling(1.0, name=name, dtype=tensor.dtype)(tensor)


def unmasked(tensor):
    """The same numbers without a mask."""
    # A raw operation passes none on.
    return keras.ops.copy(tensor)
