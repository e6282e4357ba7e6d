"""When the gates move, and how fast: `GateClock`."""

import keras
import tensorflow as tf

# How far a useless gate would travel over the whole moving phase, in units of
# probability: enough to close from 1 well before the end of the phase, with room for
# gates that turn useless only once others have closed.
_REACH = 3.0
_NEVER = 2**53


class GateClock(keras.layers.Layer):
    """The gates' schedule: hold, move with decreasing steps, rest.

    Gates that move much faster than the network learns close before any section has
    become useful. So their step size follows from the length of the training:
    a gate whose section is useless travels `_REACH` between `hold` and `settle_by`,
    however long that is and whatever the price.

    It is a layer so that its variables belong to the model and enter the compiled
    step as variables, and so that nothing is traced again when they change.
    """

    def __init__(self, **kwargs):
        super().__init__(trainable=False, **kwargs)
        self.step = self._counter("step")
        self.first_step = self._counter("first_step")
        self.last_step = self._counter("last_step")
        self.skipped = self._counter("skipped")
        self.built = True

    def _counter(self, name):
        return self.add_weight(
            name=name, shape=(), dtype="int64", trainable=False, initializer="zeros",
            aggregation="only_first_replica",
        )

    def hold(self):
        """Stop the gates until `start`."""
        self.start(now=0, first_step=_NEVER, last_step=_NEVER + 1)

    def start(self, now: int, first_step: int, last_step: int):
        """Set the clock at the beginning of a `fit`.

        Args:
            now: Training steps that earlier epochs of the schedule have done.
            first_step: Step at which gates start to move.
            last_step: Step after which they rest.
        """
        self.step.assign(now)
        self.skipped.assign(0)
        self.first_step.assign(first_step)
        self.last_step.assign(max(last_step, first_step + 1))

    def tick(self):
        """Count one training step; return the number of steps before it."""
        now = tf.identity(self.step.value)
        self.step.assign_add(1)
        return now

    def count_skipped(self, is_usable):
        """Count a step in which no gate moved, because its loss was not finite."""
        self.skipped.assign_add(tf.cast(tf.logical_not(is_usable), tf.int64))

    def reach(self, now):
        """How far a useless gate moves in step `now`, as a probability.

        Falls linearly to 0 at the last step, and sums to `_REACH`.

        Args:
            now: int64 scalar tensor, number of steps done.

        Returns:
            float32 scalar tensor.
        """
        first = tf.cast(self.first_step.value, tf.float32)
        last = tf.cast(self.last_step.value, tf.float32)
        duration = tf.maximum(last - first, 1.0)
        left = (last - tf.cast(now, tf.float32)) / duration
        is_moving = tf.logical_and(left > 0.0, left <= 1.0)
        return tf.where(is_moving, 2.0 * _REACH * left / duration, 0.0)
