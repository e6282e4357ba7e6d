"""Draws of gates that a training step sees and can replace.

The unbiased estimators evaluate the loss twice, the second time with draws that
depend on the first. A `Draws` scope records what every gate drew and hands out
replacements; without a scope, each gate draws for itself.
"""

import contextlib
import contextvars
from typing import Any, NamedTuple

import keras
import tensorflow as tf

_ACTIVE: contextvars.ContextVar = contextvars.ContextVar("draws", default=None)


class RowsOfReplica(NamedTuple):
    """The part of a batch that one of several replicas has.

    Attributes:
        before: int32 scalar tensor, rows of the replicas before it.
        own: int32 scalar tensor, its own rows.
        all: int32 scalar tensor, rows of the whole batch.
    """

    before: Any
    own: Any
    all: Any


class Draws:
    """Records the uniform variables and samples of all gates of one forward pass.

    Args:
        replacements: Dictionary from gate to the sample that it has to take, zeros
            and ones shaped like its own draw.
        exploration: Float, the least probability with which a gate that learns is
            drawn open, and closed. At exactly 0 or 1 a gate would otherwise never see
            the other side, and could not know whether it is right.
        balanced: Whether theta's gradient weighs open and closed samples equally.
        rows: `RowsOfReplica`, or None where there is one replica only.
    """

    def __init__(self, replacements=None, exploration=0.0, balanced=True, rows=None):
        self.exploration = exploration
        self.balanced = balanced
        self._rows = rows
        self._replacements = dict(replacements or {})
        self.uniforms: dict = {}
        self.samples: dict = {}

    def chance(self, theta):
        """The probability with which a gate that learns is drawn open."""
        return tf.clip_by_value(theta, self.exploration, 1.0 - self.exploration)

    def uniform(self, count, seed):
        """A uniform variable in `[0, 1)` for each row that a gate sees.

        Replicas draw for the whole batch and take their part: they draw what a single
        device would draw, and no two rows the same.

        Args:
            count: Int or int32 scalar tensor, the rows.
            seed: `keras.random.SeedGenerator`, in the same state on all replicas.

        Returns:
            float32 tensor of shape `(count,)`.
        """
        if self._rows is None:
            return keras.random.uniform((count,), dtype="float32", seed=seed)
        # More than one where examples have been split into rows.
        each = count // tf.maximum(self._rows.own, 1)
        shape = (self._rows.all * each,)
        whole = keras.random.uniform(shape, dtype="float32", seed=seed)
        start = self._rows.before * each
        return whole[start : start + count]

    def settle_sample(self, gate, uniform, sample):
        """Record a gate's draw and return the sample that it has to take."""
        sample = self._replacements.get(gate, sample)
        self.uniforms[gate] = uniform
        self.samples[gate] = sample
        return sample

    @contextlib.contextmanager
    def active(self):
        """Scope in which gates report to this object."""
        token = _ACTIVE.set(self)
        try:
            yield self
        finally:
            _ACTIVE.reset(token)


def active_draws() -> Draws | None:
    """The innermost scope, or None outside of any."""
    return _ACTIVE.get()
