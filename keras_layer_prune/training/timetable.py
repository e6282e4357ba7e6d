"""When the gates of one training move and are decided, in steps: `Timetable`."""

from typing import Any

from keras_layer_prune.training.schedule import (
    default_settling,
    epochs_to_move_gates,
    exact,
    settling_epoch,
    settling_step,
)

_STATE = ("epochs", "moves_from", "last_step")


class Timetable:
    """The steps between which gates move, for which an epoch's length has to be known.

    Args:
        settle_by: Float or None, as of `PruneSections`.
        hold: Float, as of `PruneSections`.
        epochs: Int, epochs of the training.
        steps: Int, steps of an epoch; None or 0 if that is not known from the start.

    Attributes:
        settling: Float, share of the training after which all gates are decided.
        moves_from: Int, steps of the training after which gates move in this `fit`.
        last_step: Int, steps of the training after which all gates are decided; None
            until `start`.
    """

    def __init__(self, settle_by, hold, epochs, steps):
        self._hold = hold
        self.epochs = epochs
        self.settling = settle_by
        if settle_by is None:
            self.settling = default_settling(hold, (steps or 0) * epochs)
        self.moves_from = self._first_step = 0
        self.last_step: Any = None

    @property
    def is_set(self) -> bool:
        """Whether it is known when gates move."""
        return self.last_step is not None

    @property
    def moving_steps(self) -> int:
        """Steps in which gates move; 0 or less if the time for it was over before."""
        return self.last_step - self.moves_from

    @property
    def middle(self) -> int:
        """Steps of the training after which gates have had half of their time."""
        return (self.moves_from + self.last_step) // 2

    def is_over(self, step, epoch) -> bool:
        """Whether all gates are to be decided at the end of an epoch.

        Where later epochs are shorter than the first one, the epochs tell.

        Args:
            step: Int, steps of the training that are done.
            epoch: Int, the epoch, counted from 0.
        """
        has_moved = self.is_set and step > self.moves_from
        return has_moved and epoch >= settling_epoch(self.settling, self.epochs)

    def start(self, clock, epoch, steps, gates):
        """Set a clock at the beginning of an epoch.

        Args:
            clock: `GateClock`.
            epoch: Int, the epoch, counted from 0.
            steps: Int, steps of an epoch.
            gates: List of the gates that are to be decided.

        Raises:
            ValueError: If they would be decided before any could move.
        """
        now = epoch * steps
        first_step = round(self._hold * steps * self.epochs)
        last_step = settling_step(self.settling, self.epochs, steps)
        # A `fit` that goes on where all should be decided, decides at once.
        if gates and now < last_step <= first_step:
            self._refuse_hold(epoch, steps)
        clock.start(now, first_step, last_step)
        self._first_step = first_step
        self.moves_from, self.last_step = max(first_step, now), last_step

    def check_length(self, epoch, gates):
        """Raise if an epoch's length will be known when gates must be decided.

        Args:
            epoch: Int, the epoch at whose end it will be known, counted from 0.
            gates: List of the gates that are to be decided.
        """
        passed = epoch + 1
        if gates and exact(self.settling) * self.epochs <= passed:
            raise ValueError(
                "The length of an epoch of this data is known at its end only. Until "
                "then gates hold, and all would be decided before any could move. Give "
                "`fit` `steps_per_epoch`, or the whole schedule of "
                f"{epochs_to_move_gates(self.settling, self._hold, passed)} or more "
                f"`epochs`. Received: epochs={self.epochs}, initial_epoch={epoch}, "
                f"settle_by={self.settling}"
            )

    def _refuse_hold(self, epoch, steps):
        epochs = epochs_to_move_gates(self.settling, self._hold, epoch, steps)
        raise ValueError(
            "Between `hold` and `settle_by` there is no step: all gates would be "
            f"decided before any could move. Give `fit` {epochs} or more `epochs`, or "
            f"`PruneSections` a smaller `hold`. Received: epochs={self.epochs} of "
            f"{steps} steps, hold={self._hold}, settle_by={self.settling}"
        )

    def get_state(self) -> dict:
        """What a backup has to save."""
        return {name: getattr(self, name) for name in _STATE}

    def set_state(self, state, clock):
        """Go on where `get_state` was called, if it was a training of this length.

        Args:
            state: What `get_state` returned.
            clock: `GateClock`, as it was then.
        """
        if state["epochs"] == self.epochs:
            self.moves_from, self.last_step = state["moves_from"], state["last_step"]
        elif self.is_set:
            # In the middle of an epoch the backup brings the earlier clock back, after
            # this one was started.
            clock.move_between(self._first_step, self.last_step)
