"""When gates are decided, by itself."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_layer_prune.training.schedule import epochs_to_move_gates

shares = st.integers(1, 100).map(lambda percent: percent / 100)


@given(shares, shares, st.integers(0, 30), st.integers(1, 500))
def test_in_the_advised_epochs_a_step_is_left(one, other, passed, steps):
    hold, settle_by = sorted((one, other))
    hold = 0.0 if hold == settle_by else hold
    epochs = epochs_to_move_gates(settle_by, hold, passed, steps)
    total = epochs * steps
    # In percent, where nothing is rounded.
    last_step = math.ceil(round(100 * settle_by) * total / 100)
    assert last_step > max(round(hold * total), passed * steps)


@pytest.mark.parametrize(("passed", "epochs"), [(1, 3), (2, 5)])
def test_with_the_defaults_an_epoch_is_to_end_before_half_of_them(passed, epochs):
    assert epochs_to_move_gates(0.5, 0.05, passed) == epochs


def test_shares_too_close_to_tell_apart_need_many_epochs():
    assert epochs_to_move_gates(0.5 + 1e-12, 0.5, 0) > 10**8
    assert epochs_to_move_gates(1e-12, 0.0, 1) > 10**8
