"""The residual networks for CIFAR-10 of He et al., arXiv 1512.03385, section 4.2."""

import keras

import keras_layer_prune as klp


def resnet(shape, classes, depth=20, width=16, gated=True, seed=0, **gate_arguments):
    """ResNet-20, 32, 56, 110 and their like: three stages of post-activation blocks.

    Where a stage begins, the shortcut drops every second place and pads the channels
    with zeros (the paper's option A). It is linear and has no weights, so that every
    block may leave, the first of a stage too.

    Args:
        shape: Tuple, height, width and channels of an image.
        classes: Int, number of outputs.
        depth: Int, `6 * n + 2` for n blocks a stage.
        width: Int, channels of the first stage; doubled from stage to stage.
        gated: Whether blocks have gates.
        seed: Int, for the initial weights.
        **gate_arguments: Arguments of `BernoulliGate`.

    Returns:
        A functional `keras.Model` that returns logits.

    Raises:
        ValueError: If no number of blocks makes up `depth`.
    """
    blocks, rest = divmod(depth - 2, 6)
    if blocks < 1 or rest:
        raise ValueError(
            "`depth` must be 6 * n + 2, as 20, 32, 56 or 110, so that three stages "
            f"have n blocks of two convolutions each. Received: depth={depth}"
        )
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input(shape)
    x = keras.layers.Rescaling(1.0 / 127.5, offset=-1.0)(x)
    x = keras.layers.ReLU()(_conv_norm(x, width))
    for stage in range(3):
        for block in range(blocks):
            strides = 2 if stage > 0 and block == 0 else 1
            branch = _branch(x, width * 2**stage, strides)
            if gated:
                branch = klp.BernoulliGate(**gate_arguments)(branch)
            x = keras.layers.Add()([_shortcut(x, strides), branch])
            x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(classes)(x))


def _branch(x, width, strides):
    x = keras.layers.ReLU()(_conv_norm(x, width, strides))
    return _conv_norm(x, width)


def _conv_norm(x, width, strides=1):
    x = keras.layers.Conv2D(
        width,
        3,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(1e-4),
    )(x)
    return keras.layers.BatchNormalization()(x)


def _shortcut(x, strides):
    if strides == 1:
        return x
    x = keras.layers.AveragePooling2D(1, strides)(x)
    added = x.shape[-1] // 2
    return keras.ops.pad(x, [[0, 0], [0, 0], [0, 0], [added, added]])
