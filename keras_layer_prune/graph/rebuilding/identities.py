"""Operations that hand on the numbers they get, and change what Keras adds to them."""

import keras


def named(tensor, name):
    """The same tensor under another name, with its mask."""
    return cast(tensor, tensor.dtype, name)


def cast(tensor, dtype, name):
    """The same numbers in another dtype, with their mask, which raw operations drop."""
    return keras.layers.Identity(name=name, dtype=dtype)(tensor)


def apart(tensor, name):
    """The same numbers and the same mask, as a tensor of its own when it runs."""
    # An `Identity` hands on the very tensor, and raw operations drop the mask.
    return keras.layers.Rescaling(1.0, name=name, dtype=tensor.dtype)(tensor)


def unmasked(tensor):
    """The same numbers without a mask."""
    # A raw operation passes none on.
    return keras.ops.copy(tensor)
