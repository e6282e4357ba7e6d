"""Draws of gates that a training step sees and can replace.

The unbiased estimators evaluate the loss twice, the second time with draws that
depend on the first. A `Draws` scope records what every gate drew and hands out
replacements; without a scope, each gate draws for itself.
"""

import contextlib
import contextvars

_ACTIVE: contextvars.ContextVar = contextvars.ContextVar("draws", default=None)


class Draws:
    """Records the uniform variables and samples of all gates of one forward pass.

    Args:
        replacements: Dictionary from gate to the sample that it has to take, zeros
            and ones shaped like its own draw.
        exploration: Float, the least probability with which a gate that learns is
            drawn open, and closed. At exactly 0 or 1 a gate would otherwise never see
            the other side, and could not know whether it is right.
        balanced: Whether theta's gradient weighs open and closed samples equally.
    """

    def __init__(self, replacements=None, exploration=0.0, balanced=True):
        self.exploration = exploration
        self.balanced = balanced
        self._replacements = dict(replacements or {})
        self.uniforms: dict = {}
        self.samples: dict = {}

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
