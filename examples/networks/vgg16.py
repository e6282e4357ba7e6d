"""VGG16 for small images, a chain whose nonlinear layers may go."""

import keras

import keras_layer_prune as klp

# Convolutions of each stage, and their channels in units of the first stage's.
STAGES = ((2, 1), (2, 2), (3, 4), (3, 8), (3, 8))


def vgg16(shape, classes, width=64, gated=True, seed=0, **gate_arguments):
    """VGG16 (Simonyan and Zisserman, 2014), batch-normalized as is usual for CIFAR.

    Each of the 13 convolutions, with its normalization and its rectifier, is a section,
    and so is each of the two hidden dense layers, which have 8 times the width instead
    of 4,096 units. The maximum that ends a stage is nonlinear too, and leaves with its
    last convolution. `GatedResidual` makes the shortcuts.

    Args:
        shape: Tuple, height, width and channels of an image.
        classes: Int, number of outputs.
        width: Int, channels of the first stage; 64 as published.
        gated: Whether sections have shortcuts and gates. False: the chain as it was
            published, without either.
        seed: Int, for the initial weights.
        **gate_arguments: Arguments of `BernoulliGate`.

    Returns:
        A functional `keras.Model` that returns logits.
    """
    keras.utils.set_random_seed(seed)

    def section(layers, name, x):
        layers = keras.Sequential(layers, name=name)
        if not gated:
            return layers(x)
        gate = klp.BernoulliGate(**gate_arguments, name=f"{name}_gate")
        return klp.GatedResidual(layers, gate=gate, name=f"{name}_section")(x)

    x = inputs = keras.Input(shape)
    x = keras.layers.Rescaling(1.0 / 255.0)(x)
    for stage, (count, factor) in enumerate(STAGES, start=1):
        for i in range(1, count + 1):
            layers = _normalized(_convolution(factor * width))
            if i == count:
                # Padded, so that images of less than 32 pixels reach the last stage.
                layers.append(keras.layers.MaxPooling2D(padding="same"))
            x = section(layers, f"conv{stage}_{i}", x)
    x = keras.layers.Flatten()(x)
    for i in (1, 2):
        dense = keras.layers.Dense(8 * width, use_bias=False)
        x = section(_normalized(dense), f"dense{i}", x)
    x = keras.layers.Dense(classes, name="logits")(x)
    return keras.Model(inputs, x, name="vgg16")


def _convolution(channels):
    # The normalization has an offset of its own.
    return keras.layers.Conv2D(
        channels,
        3,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
    )


def _normalized(layer):
    return [layer, keras.layers.BatchNormalization(), keras.layers.ReLU()]
