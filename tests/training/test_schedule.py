"""When gates are decided, by itself."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keras_layer_prune.training.schedule import (
    default_min_saving,
    default_settling,
    epochs_to_move_gates,
    settling_epoch,
    settling_step,
)

percents = st.integers(1, 100)
shares = percents.map(lambda percent: percent / 100)


@given(percents, st.integers(1, 300), st.integers(1, 5000))
@example(55, 20, 5)
@example(68, 25, 3)
@example(28, 25, 5)
def test_gates_are_decided_at_the_first_whole_step_and_the_epoch_that_it_is_in(
    percent, epochs, steps
):
    last_step = settling_step(percent / 100, epochs, steps)
    # In whole numbers, where nothing is rounded.
    assert 100 * (last_step - 1) < percent * epochs * steps <= 100 * last_step
    assert settling_epoch(percent / 100, epochs) == (last_step - 1) // steps


@given(st.floats(1e-6, 1.0), st.integers(1, 300), st.integers(1, 5000))
def test_the_step_lies_in_the_epoch_for_every_float(settle_by, epochs, steps):
    last_step = settling_step(settle_by, epochs, steps)
    assert settling_epoch(settle_by, epochs) == (last_step - 1) // steps
    assert last_step == pytest.approx(settle_by * epochs * steps, abs=1.01)


@pytest.mark.parametrize("share", [5 / 6, 1 - 1 / 6, 0.1 + 0.2, 2 / 3])
def test_shares_that_floats_miss_are_taken_for_what_they_stand_for(share):
    assert settling_step(share, 30, 100) == round(share * 3000)


@given(shares, shares, st.integers(0, 30), st.integers(1, 500))
def test_in_the_advised_epochs_a_step_is_left(one, other, passed, steps):
    hold, settle_by = sorted((one, other))
    hold = 0.0 if hold == settle_by else hold
    epochs = epochs_to_move_gates(settle_by, hold, passed, steps)
    total = epochs * steps
    assert settling_step(settle_by, epochs, steps) > max(
        round(hold * total), passed * steps
    )


@pytest.mark.parametrize(("passed", "epochs"), [(1, 3), (2, 5)])
def test_with_the_defaults_an_epoch_is_to_end_before_half_of_them(passed, epochs):
    assert epochs_to_move_gates(0.5, 0.05, passed) == epochs


@pytest.mark.parametrize(("steps", "epochs"), [(1, 51), (10, 6), (1000, 1)])
def test_gates_are_to_move_for_more_than_half_a_step(steps, epochs):
    assert epochs_to_move_gates(0.51, 0.5, 0, steps) == epochs


def test_a_share_too_small_to_tell_from_none_is_a_step():
    assert settling_step(1e-12, 10, 100) == 1
    assert settling_epoch(1e-12, 10) == 0


def test_shares_too_close_to_tell_apart_need_many_epochs():
    assert epochs_to_move_gates(0.5 + 1e-12, 0.5, 0) > 10**8
    assert epochs_to_move_gates(1e-12, 0.0, 1) > 10**8


@pytest.mark.parametrize(
    ("hold", "total_steps", "settling"),
    [
        # A tenth of a long training, 800 steps of a shorter one, at most to the middle.
        (0.05, 100_000, 0.15),
        (0.05, 8000, 0.15),
        (0.05, 4000, 0.25),
        (0.05, 3200, 0.3),
        (0.0, 1600, 0.5),
        (0.05, 100, 0.5),
        (0.4, 100_000, 0.5),
        (0.05, 0, 0.5),
    ],
)
def test_the_settling_that_goes_with_the_length(hold, total_steps, settling):
    assert default_settling(hold, total_steps) == pytest.approx(settling)


@given(st.floats(0.0, 0.499), st.integers(1, 10**7), st.integers(1, 10**7))
def test_longer_trainings_settle_no_later_and_all_leave_half(hold, one, other):
    short, long = sorted((one, other))
    assert hold < default_settling(hold, long) <= default_settling(hold, short) <= 0.5


@pytest.mark.parametrize(
    ("steps_left", "share"),
    [(10_000, 0.2), (500, 0.2), (400, 0.25), (100, 1.0), (0, 100.0)],
)
def test_a_removal_has_to_save_a_trace_before_the_next_one(steps_left, share):
    assert default_min_saving(steps_left) == share
