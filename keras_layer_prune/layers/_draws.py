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
        balanced: Whether theta's gradient weighs open and closed samples equally.
    """

    def __init__(self, replacements: dict | None = None, balanced: bool = True):
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
