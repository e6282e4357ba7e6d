"""Random residual networks with gates, as Hypothesis draws them."""

from dataclasses import dataclass

import keras
from gated_networks import FEATURES, dense, gate, randomized
from hypothesis import strategies as st


@dataclass(frozen=True)
class Section:
    """One residual section, and everything that can differ about it.

    Attributes:
        theta: Probability of its gate: closed, undecided or open.
        inside: Sections inside of the branch, in a row before its own layer.
        is_nested: Whether these are a network of their own.
        shares: Whether its layer is the one that all sharing sections have.
        after: What stands between the gate and the addition.
        is_raw: Whether the addition is written `+`.
        branch_first: Whether the branch is the first operand.
        is_output: Whether the network also returns the gated branch.
    """

    theta: float
    inside: tuple
    is_nested: bool
    shares: bool
    after: str
    is_raw: bool
    branch_first: bool
    is_output: bool


def sections(depth, most):
    """Up to `most` sections in a row, nested up to `depth` deep."""
    inside = sections(depth - 1, most=2) if depth else st.just(())
    section = st.builds(
        Section,
        theta=st.sampled_from([0.0, 0.0, 0.4, 1.0]),
        inside=inside,
        is_nested=st.booleans(),
        shares=st.booleans(),
        after=st.sampled_from(["nothing", "nothing", "linear", "offset", "dropout"]),
        is_raw=st.booleans(),
        branch_first=st.booleans(),
        is_output=st.booleans(),
    )
    return st.lists(section, min_size=depth > 1, max_size=most).map(tuple)


class Builder:
    """Makes one network; holds the layer that sections share."""

    def __init__(self):
        self._shared = dense("shared")
        self._count = 0
        self._outputs = []

    def network(self, sections):
        inputs = keras.Input((FEATURES,))
        x = self._row(dense("stem")(inputs), sections, self._outputs)
        return randomized(keras.Model(inputs, [dense("head")(x), *self._outputs]))

    def _row(self, x, sections, outputs):
        for section in sections:
            x = self._section(x, section, outputs)
        return x

    def _section(self, x, section, outputs):
        branch = self._branch(x, section, outputs)
        branch = self._after(gate(section.theta)(branch), section)
        if section.is_output:
            outputs.append(branch)
        operands = [branch, x] if section.branch_first else [x, branch]
        if section.is_raw:
            return operands[0] + operands[1]
        return keras.layers.Add()(operands)

    def _branch(self, x, section, outputs):
        layer = self._shared if section.shares else dense(self._new_name())
        if not section.inside:
            return layer(x)
        if not section.is_nested:
            return layer(self._row(x, section.inside, outputs))
        inputs = keras.Input((FEATURES,))
        # What is inside of a nested network is no output of the outer one.
        outputs = layer(self._row(inputs, section.inside, []))
        return keras.Model(inputs, outputs, name=self._new_name("nested"))(x)

    def _after(self, x, section):
        if section.after == "dropout":
            return keras.layers.Dropout(0.5)(x)
        if section.after in ("linear", "offset"):
            bias = section.after == "offset"
            name = self._new_name(section.after)
            return keras.layers.Dense(FEATURES, use_bias=bias, name=name)(x)
        return x

    def _new_name(self, kind="dense"):
        self._count += 1
        return f"own_{kind}_{self._count}"


def network_of(sections):
    """A network of sections in a row, its weights random."""
    return Builder().network(sections)
