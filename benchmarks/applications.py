"""The models of `keras.applications`, with weights under which mistakes show."""

import inspect
import re

import results  # noqa: F401  # isort: skip
import keras
import numpy as np

SMALLEST = {"Xception": 71, "InceptionV3": 75, "InceptionResNetV2": 75}
SIZE = 64


def names(pattern="") -> list[str]:
    """Names of the models of `keras.applications` that match a pattern."""
    makers = vars(keras.applications).items()
    found = [name for name, value in makers if inspect.isfunction(value)]
    return [name for name in sorted(found) if re.search(pattern, name)]


def full_size(name):
    """A model as it is known: 1,000 classes, images of its own size."""
    maker = getattr(keras.applications, name)
    model = maker(weights=None)
    is_known = None not in model.input_shape[1:]
    return model if is_known else maker(weights=None, input_shape=(224, 224, 3))


def small(name, seed):
    """A model for small images, random weights and statistics, and logits."""
    size = SMALLEST.get(name, SIZE)
    model = getattr(keras.applications, name)(
        weights=None,
        input_shape=(size, size, 3),
        classes=10,
        classifier_activation=None,
    )
    randomise(model, seed)
    return model


def randomise(model, seed):
    """Random normalisations under which every branch matters, close to those of data.

    Freshly made models can hide a mistake: a branch scaled by 1e-6, or by a variance
    that has nothing to do with its values, adds next to nothing.
    """
    generator = np.random.default_rng(seed)
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(random_images(model, seed, count=8), training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    for layer in model.layers:
        is_scale = type(layer).__name__ == "LayerScale"
        for variable in layer.weights:
            draw = DRAWS.get("gamma" if is_scale else variable.name)
            if draw is not None:
                variable.assign(draw(generator, variable.numpy()))


DRAWS = {
    "gamma": lambda generator, x: generator.uniform(0.5, 1.5, x.shape),
    "beta": lambda generator, x: generator.normal(0.0, 0.1, x.shape),
    "moving_mean": lambda generator, x: x + generator.normal(0.0, 0.01, x.shape),
    "moving_variance": lambda generator, x: x * generator.uniform(0.8, 1.2, x.shape),
}


def random_images(model, seed, count=2):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, *model.input_shape[1:])).astype("float32")
