"""Random residual networks of masked sequences, as Hypothesis draws them."""

from dataclasses import dataclass

import keras
from gated_networks import gate, model
from hypothesis import strategies as st
from masked_sequences import attended

from keras_layer_prune import GatedLayer, GatedResidual

layers = keras.layers
LENGTH, FEATURES = 6, 4

# What a section does with masks, and what Keras shows of it before the network runs.
SECTIONS = {
    "hands on": lambda: layers.Dense(FEATURES, "tanh"),
    "drops": lambda: layers.Conv1D(FEATURES, 3, padding="same", activation="tanh"),
    "reads": lambda: layers.LSTM(FEATURES, return_sequences=True),
    "row": lambda: keras.Sequential([layers.LayerNormalization(), layers.Dense(4)]),
    "attends": lambda: _attention(),
    "attends to a copy": lambda: _attention(layers.LayerNormalization()),
}


@dataclass(frozen=True)
class Block:
    """One residual block of a network, or a model of some.

    Attributes:
        section: Key of `SECTIONS`.
        way: How the section and its gate are written.
        theta: Probability of the gate.
        before: Operation in front of the block, or None.
        inside: Blocks that the block is made of instead, in a model of their own.
    """

    section: str
    way: str
    theta: float
    before: str | None
    inside: tuple = ()


def _blocks(inside):
    return st.builds(
        Block,
        section=st.sampled_from(sorted(SECTIONS)),
        way=st.sampled_from("layer layer residual residual addition raw minus".split()),
        theta=st.sampled_from([0.0, 0.0, 1.0, 0.4]),
        before=st.sampled_from([None, None, "ReLU", "raw", "Add", "Dropout"]),
        inside=inside,
    )


PLANS = st.lists(
    _blocks(st.just(()) | st.lists(_blocks(st.just(())), max_size=2).map(tuple)),
    min_size=1,
    max_size=3,
)


def network_of(plan):
    """A functional network of tokens, of which those that are 0 are masked."""
    tokens = keras.Input((LENGTH,), dtype="int32")
    x = layers.Embedding(10, FEATURES, mask_zero=True)(tokens)
    for block in plan:
        x = _after(x, block)
    outputs = [attended(x), layers.GlobalAveragePooling1D()(x), layers.ReLU()(x)]
    return model(tokens, outputs)


def _after(x, block):
    x = _before(x, block.before)
    if not block.inside:
        return _with_section(x, block)
    start = inputs = keras.Input((LENGTH, FEATURES))
    for inner in block.inside:
        start = _after(start, inner)
    return keras.Model(inputs, start)(x)


def _before(x, kind):
    if kind is None:
        return x
    if kind == "raw":
        return keras.ops.tanh(x)
    if kind == "Add":
        return layers.Add()([x, layers.Dense(FEATURES, "tanh")(x)])
    return layers.Dropout(0.1)(x) if kind == "Dropout" else layers.ReLU()(x)


def _with_section(x, block):
    section, own = SECTIONS[block.section](), gate(block.theta)
    if block.way == "layer":
        return GatedLayer(section, own)(x)
    if block.way == "residual":
        return GatedResidual(section, gate=own)(x)
    branch = own(section(x))
    if block.way == "raw":
        return x + branch
    kind = layers.Add if block.way == "addition" else layers.Subtract
    return kind()([x, branch])


def _attention(first=None):
    """A model that calls attention on what it is called on, or on a copy of that."""
    inputs = keras.Input((LENGTH, FEATURES))
    return keras.Model(inputs, attended(inputs if first is None else first(inputs)))
