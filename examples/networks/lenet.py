"""LeNet-5, a chain whose nonlinear layers may go."""

import keras

import keras_layer_prune as klp


def lenet(shape, classes, gated=True, seed=0, **gate_arguments):
    """LeNet-5 (LeCun et al., 1998), with hyperbolic tangents and average pooling.

    Each of the two convolutions and of the two hidden dense layers is a section, and
    the shortcut around it is made by `GatedResidual`: linear, as each changes the
    shape. What is pooled is linear already, and stands between the sections.

    Args:
        shape: Tuple, height, width and channels of an image, at least 14 by 14.
        classes: Int, number of outputs.
        gated: Whether sections have shortcuts and gates. False: the chain as it was
            published, without either.
        seed: Int, for the initial weights.
        **gate_arguments: Arguments of `BernoulliGate`.

    Returns:
        A functional `keras.Model` that returns logits.
    """
    keras.utils.set_random_seed(seed)

    def section(layer, x):
        if not gated:
            return layer(x)
        gate = klp.BernoulliGate(**gate_arguments, name=f"{layer.name}_gate")
        return klp.GatedResidual(layer, gate=gate, name=f"{layer.name}_section")(x)

    layers = keras.layers
    x = inputs = keras.Input(shape)
    x = layers.Rescaling(1.0 / 255.0)(x)
    # Padded, as the digits were to 32 by 32 pixels.
    x = section(layers.Conv2D(6, 5, padding="same", activation="tanh", name="conv1"), x)
    x = layers.AveragePooling2D(2)(x)
    x = section(layers.Conv2D(16, 5, activation="tanh", name="conv2"), x)
    x = layers.AveragePooling2D(2)(x)
    x = layers.Flatten()(x)
    x = section(layers.Dense(120, activation="tanh", name="dense1"), x)
    x = section(layers.Dense(84, activation="tanh", name="dense2"), x)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name="lenet")
