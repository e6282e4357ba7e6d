"""Networks of the examples and benchmarks, each with a gate on every section."""

from networks.lenet import lenet as lenet
from networks.residual import residual_network as residual_network
from networks.resnet import resnet as resnet
from networks.vgg16 import vgg16 as vgg16
from networks.vision_transformer import vision_transformer as vision_transformer

BUILDERS = {
    "residual": residual_network,
    "lenet": lenet,
    "vgg16": vgg16,
    "resnet20": lambda *args, **kwargs: resnet(*args, depth=20, **kwargs),
    "resnet32": lambda *args, **kwargs: resnet(*args, depth=32, **kwargs),
    "resnet56": lambda *args, **kwargs: resnet(*args, depth=56, **kwargs),
    "resnet110": lambda *args, **kwargs: resnet(*args, depth=110, **kwargs),
    "vision_transformer": vision_transformer,
}


def build(name, data, gated, seed=0, **sizes):
    """A network for a data set, by its name in `BUILDERS`.

    Args:
        name: String.
        data: `datasets.Data`, for the shape of its images and its classes.
        gated: Whether sections have gates.
        seed: Int, for the initial weights.
        **sizes: Arguments of the builder, as `width`.

    Returns:
        A functional `keras.Model` that returns logits.
    """
    return BUILDERS[name](
        data.image_shape, data.classes, gated=gated, seed=seed, **sizes
    )
