"""Residual networks with gates, as the examples and benchmarks use them."""

import keras

import keras_layer_prune as klp


def residual_network(
    shape,
    classes,
    sections=12,
    width=16,
    stages=3,
    gated=True,
    seed=0,
    **gate_arguments,
):
    """A pre-activation residual network in which every section may go.

    The resolution changes between stages in a plain convolution, so that each section
    has the identity as its shortcut.

    Args:
        shape: Tuple, height, width and channels of an image.
        classes: Int, number of outputs.
        sections: Int, number of residual sections, shared out over the stages; or a
            list of their numbers, stage by stage.
        width: Int, channels of the first stage; doubled from stage to stage.
        stages: Int.
        gated: Whether sections have gates.
        seed: Int, for the initial weights.
        **gate_arguments: Arguments of `BernoulliGate`.

    Returns:
        A functional `keras.Model` that returns logits.
    """
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input(shape)
    x = keras.layers.Rescaling(1.0 / 255.0)(x)
    if isinstance(sections, int):
        sections = [len(range(stage, sections, stages)) for stage in range(stages)]
    for stage, count in enumerate(sections):
        keeps_size = stage == 0 and shape[0] < 16
        x = _entry(x, width * 2**stage, strides=1 if keeps_size else 2)
        for _ in range(count):
            branch = _section(x)
            if gated:
                branch = klp.BernoulliGate(**gate_arguments)(branch)
            x = keras.layers.Add()([x, branch])
    x = _norm_relu(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(classes)(x))


def _entry(x, width, strides):
    return keras.layers.Conv2D(width, 3, strides, padding="same", use_bias=False)(x)


def _section(x):
    for _ in range(2):
        x = _norm_relu(x)
        x = keras.layers.Conv2D(x.shape[-1], 3, padding="same", use_bias=False)(x)
    return x


def _norm_relu(x):
    return keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
