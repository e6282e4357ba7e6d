"""How far a training has come: `Progress`."""

_STATE = ("step", "epoch", "steps_per_epoch", "_batches")


class Progress:
    """Counts the steps of a training, several of which Keras may run at once.

    Args:
        clock: `GateClock` of the model that is trained.
        steps_per_epoch: Int, or None if it is not known yet.

    Attributes:
        step: Int, steps of the whole training that are done.
        epoch: Int, the epoch that has begun last; -1 before the first.
        steps_per_epoch: The argument, or what the first epoch has shown.
    """

    def __init__(self, clock, steps_per_epoch):
        self._clock = clock
        self.steps_per_epoch = steps_per_epoch
        self.step = self._before = self._batches = 0
        # None has begun yet, and none may.
        self.epoch = -1

    def begin_epoch(self, epoch):
        """Note that an epoch begins; the clock has been set."""
        self.epoch = epoch
        self.step = self._clock.now()
        self._batches = 0

    def end_batch(self, batch):
        """Note that the step has ended that Keras calls `batch`."""
        self._before = self.step
        if self.steps_per_epoch and batch >= self.steps_per_epoch:
            # Keras takes every execution of several steps for a full one. To ask the
            # clock each time would make every step wait for the device.
            self.step = self._clock.now()
        else:
            self.step += batch + 1 - self._batches
        self._batches += self.step - self._before

    def end_epoch(self):
        """Note that an epoch has ended."""
        # The clock was at 0 when the epoch that shows its length began.
        self.steps_per_epoch = self.steps_per_epoch or self._clock.now()

    def has_passed(self, step) -> bool:
        """Whether a step lies between the last call of `end_batch` and this one."""
        return self._before < step <= self.step

    def has_passed_every(self, interval) -> bool:
        """Whether a multiple of `interval` lies between them."""
        interval = max(1, interval)
        return self.step // interval > self._before // interval

    @property
    def position(self) -> float:
        """Epochs done, the begun one in part; also where epochs differ in length."""
        steps = self.steps_per_epoch
        return (self.epoch * steps + min(self._batches, steps)) / steps

    def get_state(self) -> dict:
        """What a backup has to save."""
        return {name: getattr(self, name) for name in _STATE}

    def set_state(self, state):
        """Go on where `get_state` was called."""
        for name in _STATE:
            setattr(self, name, state[name])
