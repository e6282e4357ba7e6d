"""Random chains of linear and nonlinear layers, as Hypothesis draws them."""

from dataclasses import dataclass

import keras
from gated_networks import gate
from hypothesis import strategies as st

from keras_layer_prune import GatedResidual

layers = keras.layers


@dataclass(frozen=True)
class Link:
    """One layer of a chain, and what stands behind it.

    Attributes:
        kind: What the layer is.
        units: Its channels.
        bias: Whether it has an offset.
        activation: String or None.
        section: Probability of a gated section behind it, or None for no section.
        way: How that section is written.
        is_read: Whether the result is an output too.
    """

    kind: str
    units: int
    bias: bool
    activation: str | None
    section: float | None
    way: str
    is_read: bool


LINKS = st.builds(
    Link,
    kind=st.sampled_from(
        "dense point point wide padded strided sparse pool pool crop gated".split()
    ),
    units=st.integers(1, 6),
    bias=st.booleans(),
    activation=st.sampled_from([None, None, None, "tanh"]),
    section=st.sampled_from([None, 0.0, 0.0, 1.0]),
    way=st.sampled_from(["addition", "residual", "layer"]),
    is_read=st.sampled_from([False] * 7 + [True]),
)
CHAINS = st.tuples(
    st.lists(LINKS, max_size=5),
    st.sampled_from(["flatten", "average", "keep"]),
    st.lists(LINKS, max_size=3),
)


def chain_of(plan, size=9):
    """A functional network of images; the second row of links is of dense layers."""
    images, end, vectors = plan
    x = inputs = keras.Input((size, size, 2))
    outputs = []
    for link in images:
        x = _behind(_image_layer(link, x), link, outputs)
    if end == "flatten":
        x = layers.Flatten()(x)
    elif end == "average":
        x = layers.GlobalAveragePooling2D()(x)
    for link in vectors:
        x = layers.Dense(link.units, link.activation, use_bias=link.bias)(x)
        x = _behind(x, link, outputs)
    x = layers.Dense(3)(x)
    return keras.Model(inputs, [x, *outputs])


def _image_layer(link, x):
    # Small images are left as they are.
    is_small = x.shape[1] < 4
    arguments = {"activation": link.activation, "use_bias": link.bias}
    if link.kind == "dense":
        return layers.Dense(link.units, **arguments)(x)
    if link.kind == "padded":
        return layers.Conv2D(link.units, 3, padding="same", **arguments)(x)
    if link.kind == "point" or is_small:
        return layers.Conv2D(link.units, 1, **arguments)(x)
    if link.kind == "sparse":
        return layers.Conv2D(link.units, 1, 2, **arguments)(x)
    if link.kind == "wide":
        return layers.Conv2D(link.units, 2, **arguments)(x)
    if link.kind == "strided":
        return layers.Conv2D(link.units, 3, 2, **arguments)(x)
    if link.kind == "pool":
        return layers.AveragePooling2D(2)(x)
    if link.kind == "crop":
        return layers.Cropping2D(((0, 1), (1, 0)))(x)
    section = layers.Conv2D(link.units, 3, activation="tanh")
    theta = 1.0 if link.section is None else link.section
    return GatedResidual(section, gate=gate(theta))(x)


def _behind(x, link, outputs):
    if link.is_read:
        outputs.append(x)
    if link.section is None:
        return x
    section = layers.Dense(x.shape[-1], "tanh")
    if link.way == "residual":
        return GatedResidual(section, gate=gate(link.section))(x)
    branch = gate(link.section)(section(x))
    return x + branch if link.way == "addition" else layers.Add()([branch, x])
