"""The gates' schedule by itself."""

import numpy as np
import pytest
import tensorflow as tf

from keras_layer_prune.training.step.gate_clock import LONGEST_STEP, GateClock


def clock(first_step, last_step, now=0):
    clock = GateClock()
    clock.start(now, first_step, last_step)
    return clock


def over(steps, function):
    return function(tf.range(steps, dtype=tf.int64)).numpy()


def test_gates_move_between_the_first_and_the_last_step_only():
    moves = over(140, clock(20, 120).reach) > 0.0
    np.testing.assert_array_equal(np.flatnonzero(moves), np.arange(20, 120))


def test_steps_never_grow_and_end_near_zero():
    reach = over(420, clock(20, 420).reach)[20:]
    assert (np.diff(reach) <= 0.0).all()
    assert reach[-1] < 0.01 * reach[0]


@pytest.mark.parametrize("last_step", [1, 3, 10, 100])
def test_no_step_is_longer_than_the_longest(last_step):
    reach = over(last_step, clock(0, last_step).reach)
    assert reach.max() <= np.float32(LONGEST_STEP)


@pytest.mark.parametrize("last_step", [1_000, 4_000])
def test_gates_reach_equally_far_however_long_the_training_is(last_step):
    half_way = over(last_step, clock(0, last_step).reach)[: last_step // 2].sum()
    short = over(500, clock(0, 500).reach)[:250].sum()
    assert half_way == pytest.approx(short, rel=0.01)
    # Far enough for every gate to close, and to open again.
    assert short > 2.0


def test_over_the_whole_phase_a_gate_could_go_ten_times_from_open_to_closed():
    assert over(1_020, clock(20, 1_020).reach).sum() == pytest.approx(10.0, rel=0.01)


def test_the_charged_price_rises_from_nothing_to_the_full_one():
    pressure = over(140, clock(20, 120).pressure)
    assert (pressure[:21] == 0.0).all()
    assert (np.diff(pressure) >= 0.0).all()
    assert (pressure[110:] == 1.0).all()
    assert pressure[50] == pytest.approx(30.0 / 70.0)


def test_a_held_clock_moves_nothing_and_charges_nothing():
    held = GateClock()
    held.hold()
    assert over(50, held.reach).max() == 0.0
    assert over(50, held.pressure).max() == 0.0
    assert over(50, held.is_holding).all()


def test_a_clock_that_nobody_starts_leaves_gates_to_a_step_size_of_the_users_own():
    idle = GateClock()
    assert over(50, idle.reach).max() == 0.0
    assert over(50, idle.pressure).min() == 1.0
    assert not over(50, idle.is_holding).any()


@pytest.mark.parametrize("now", [0, 30, 500])
def test_a_clock_put_to_rest_is_as_one_that_nobody_started(now):
    rested = clock(20, 120, now=now)
    rested.rest()
    assert over(150, rested.reach).max() == 0.0
    assert over(150, rested.pressure).min() == 1.0
    assert not over(150, rested.is_holding).any()


def test_a_clock_put_to_rest_goes_on_counting_the_steps_of_the_users_own_schedule():
    rested = clock(0, 10, now=7)
    rested.rest()
    assert rested.step == 7


def test_ticks_count_steps():
    started = clock(0, 10, now=7)
    assert [int(started.tick()) for _ in range(3)] == [7, 8, 9]
    assert started.step == 10


def test_a_start_counts_skipped_steps_anew():
    started = clock(0, 10)
    for is_usable in (True, False, False):
        started.count_skipped(tf.constant(is_usable))
    assert started.skipped == 2
    started.start(0, 0, 10)
    assert started.skipped == 0


@pytest.mark.parametrize(("first_step", "last_step"), [(0, 0), (5, 5), (5, 2)])
def test_a_moving_phase_without_length_divides_nothing_by_zero(first_step, last_step):
    short = clock(first_step, last_step)
    for values in (over(20, short.reach), over(20, short.pressure)):
        assert np.isfinite(values).all()
