"""How far a training has come, against steps counted one by one."""

import pytest

from keras_layer_prune.training.progress import Progress


class Clock:
    """Counts as `GateClock` does."""

    def __init__(self):
        self.steps = 0

    def now(self):
        return self.steps


def train(progress, clock, steps, at_once=1):
    """An epoch; Keras calls a batch by the last one of a full execution."""
    for first in range(0, steps, at_once):
        clock.steps += min(at_once, steps - first)
        progress.end_batch(first + at_once - 1)
        yield


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_steps_are_counted_however_many_are_done_at_once(at_once):
    clock = Clock()
    progress = Progress(clock, 7)
    for epoch in range(3):
        progress.begin_epoch(epoch)
        for _ in train(progress, clock, 7, at_once):
            assert progress.step == clock.steps
            assert progress.position == pytest.approx(clock.steps / 7)
        progress.end_epoch()


def test_the_first_epoch_shows_its_length():
    clock = Clock()
    progress = Progress(clock, None)
    progress.begin_epoch(0)
    list(train(progress, clock, 5))
    progress.end_epoch()
    assert progress.steps_per_epoch == 5


@pytest.mark.parametrize("at_once", [1, 3])
def test_each_step_and_each_multiple_is_passed_once(at_once):
    clock = Clock()
    progress = Progress(clock, 12)
    progress.begin_epoch(0)
    passed = [
        (progress.has_passed(5), progress.has_passed_every(4))
        for _ in train(progress, clock, 12, at_once)
    ]
    assert [sum(each) for each in zip(*passed, strict=True)] == [1, 3]


def test_it_goes_on_from_its_state():
    clock = Clock()
    progress, other = Progress(clock, 4), Progress(clock, 4)
    progress.begin_epoch(2)
    next(train(progress, clock, 4))
    other.set_state(progress.get_state())
    for each in (progress, other):
        each.end_batch(1)
    assert other.position == progress.position == 2.5
