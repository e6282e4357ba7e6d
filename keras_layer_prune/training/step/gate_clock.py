"""When the gates move, and how fast: `GateClock`."""

import keras
import tensorflow as tf

# How far a gate charged in full would travel over the whole moving phase if nothing
# held it, in units of probability. Ten times the way from 1 to 0: a gate decides
# within a small part of the phase, and the phase leaves room for many decisions.
_REACH = 10.0

# No minibatch moves a gate further than this: a decision takes many of them, however
# short the training is and whatever one of them says.
LONGEST_STEP = 0.1

# The part of the moving phase over which the charged price rises to the full one.
_RISE = 0.7

_NEVER = 2**53


@keras.saving.register_keras_serializable("keras_layer_prune")
class GateClock(keras.layers.Layer):
    """The gates' schedule: hold, move with decreasing steps and rising price, rest.

    Gates that move much faster than the network learns close before any section has
    become useful. So their speed follows from the length of the training: it is the
    same fraction of the moving phase for every training and for every price.

    It is a layer so that its variables belong to the model and enter the compiled
    step as variables, and so that nothing is traced again when they change. Callbacks
    keep it after `fit`, and are copied with it.
    """

    def __init__(self, trainable=False, **kwargs):
        super().__init__(trainable=trainable, **kwargs)
        self.step = self._counter("step")
        self.first_step = self._counter("first_step")
        self.last_step = self._counter("last_step")
        self.skipped = self._counter("skipped")
        self.built = True
        self.rest()

    def _counter(self, name):
        return self.add_weight(
            name=name,
            shape=(),
            dtype="int64",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )

    def rest(self):
        """End the moving phase: gates rest, or take steps of the user's own size.

        These are under the full price. Steps are counted on, for a schedule of them.
        """
        self.first_step.assign(-2)
        self.last_step.assign(-1)

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
        self.move_between(first_step, last_step)

    def move_between(self, first_step: int, last_step: int):
        """Set the moving phase, as `start` does, and leave the steps as counted."""
        self.first_step.assign(first_step)
        self.last_step.assign(max(last_step, first_step + 1))

    def now(self) -> int:
        """Training steps done; reading it waits for the device."""
        return int(self.step.numpy())

    def tick(self):
        """Count one training step; return the number of steps before it."""
        now = tf.identity(self.step.value)
        self.step.assign_add(1)
        return now

    def count_skipped(self, is_usable):
        """Count a step in which no gate moved, because its loss was not finite."""
        self.skipped.assign_add(tf.cast(tf.logical_not(is_usable), tf.int64))

    def is_holding(self, now):
        """Whether gates have yet to start to move in step `now`; boolean scalar."""
        return now < self.first_step.value

    def reach(self, now):
        """How far a gate moves in step `now`, charged in full and earning nothing.

        Falls linearly to 0 at the last step.

        Args:
            now: int64 scalar tensor, number of steps done.

        Returns:
            float32 scalar tensor, a probability.
        """
        left = 1.0 - self._progress(now)
        is_moving = tf.logical_and(left > 0.0, left <= 1.0)
        step = 2.0 * _REACH * left / self._duration()
        return tf.where(is_moving, tf.minimum(step, LONGEST_STEP), 0.0)

    def pressure(self, now):
        """The part of its price that a gate is charged in step `now`.

        Rises linearly from 0 to 1, so that sections leave one after another, the least
        useful first, and those that stay can take over what the others did.

        Args:
            now: int64 scalar tensor, number of steps done.

        Returns:
            float32 scalar tensor in `[0, 1]`.
        """
        return tf.clip_by_value(self._progress(now) / _RISE, 0.0, 1.0)

    def _duration(self):
        # At least 1, by `start` and by `rest`.
        return tf.cast(self.last_step.value - self.first_step.value, tf.float32)

    def _progress(self, now):
        """How much of the moving phase is over; below 0 before it, above 1 after."""
        return tf.cast(now - self.first_step.value, tf.float32) / self._duration()
