"""A small vision transformer, after Dosovitskiy et al., arXiv 2010.11929."""

import keras

import keras_layer_prune as klp


def vision_transformer(
    shape,
    classes,
    blocks=6,
    width=64,
    heads=4,
    patch=4,
    gated=True,
    seed=0,
    **gate_arguments,
):
    """A pre-norm transformer over the patches of an image.

    Attention and the feed-forward network of a block are two sections with a gate
    each: either may leave without the other.

    Args:
        shape: Tuple, height, width and channels of an image; multiples of `patch`.
        classes: Int, number of outputs.
        blocks: Int, number of transformer blocks.
        width: Int, size of the embedding of a patch, a multiple of `heads`.
        heads: Int, number of attention heads.
        patch: Int, pixels on each side of a patch.
        gated: Whether sections have gates.
        seed: Int, for the initial weights.
        **gate_arguments: Arguments of `BernoulliGate`.

    Returns:
        A functional `keras.Model` that returns logits.
    """
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input(shape)
    x = _patches(keras.layers.Rescaling(1.0 / 127.5, offset=-1.0)(x), patch)
    # A bias for each position is the position's embedding.
    x = keras.layers.EinsumDense("npi,io->npo", (x.shape[1], width), bias_axes="po")(x)
    for _ in range(blocks):
        for section in (_attention, _feed_forward):
            branch = section(keras.layers.LayerNormalization()(x), heads)
            if gated:
                branch = klp.BernoulliGate(**gate_arguments)(branch)
            x = keras.layers.Add()([x, branch])
    x = keras.layers.LayerNormalization()(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, keras.layers.Dense(classes)(x))


def _patches(x, size):
    """Images `(n, h, w, c)` as flat patches `(n, h * w / size**2, size**2 * c)`."""
    _, height, width, channels = x.shape
    rows, columns = height // size, width // size
    x = keras.layers.Reshape((rows, size, columns, size, channels))(x)
    x = keras.layers.Permute((1, 3, 2, 4, 5))(x)
    return keras.layers.Reshape((rows * columns, size * size * channels))(x)


def _attention(x, heads):
    size = x.shape[-1] // heads
    return keras.layers.MultiHeadAttention(heads, size)(x, x)


def _feed_forward(x, _):
    width = x.shape[-1]
    return keras.layers.Dense(width)(keras.layers.Dense(4 * width, "gelu")(x))
