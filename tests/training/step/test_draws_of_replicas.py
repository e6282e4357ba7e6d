"""Replicas draw what a single device draws for the whole batch, each its own part."""

import numpy as np
import pytest

from keras_layer_prune import BernoulliGate
from keras_layer_prune.layers._draws import Draws, RowsOfReplica

FEATURES = 3


def drawn(rows_here, rows=None, draws="row"):
    """What a gate multiplies ones by."""
    gate = BernoulliGate(initial_probability=0.5, seed=0, draws=draws)
    with Draws(rows=rows).active():
        return np.asarray(gate(np.ones((rows_here, FEATURES)), training=True))


@pytest.mark.parametrize("parts", [(4, 4), (5, 3), (8, 0), (2, 2, 4)], ids=str)
def test_the_parts_make_the_whole(parts):
    starts = np.cumsum([0, *parts[:-1]])
    found = [
        drawn(own, RowsOfReplica(start, own, sum(parts)))
        for start, own in zip(starts, parts, strict=True)
    ]
    np.testing.assert_array_equal(np.concatenate(found), drawn(8))
    assert 0 < np.sum(drawn(8)) < 8 * FEATURES


def test_examples_that_were_split_into_rows_go_together():
    # Three rows of each of four examples, as windows of an image are.
    found = [drawn(6, RowsOfReplica(start, 2, 4)) for start in (0, 2)]
    np.testing.assert_array_equal(np.concatenate(found), drawn(12))


def test_one_draw_for_the_batch_is_the_same_for_all_replicas():
    parts = [drawn(4, RowsOfReplica(start, 4, 8), draws="batch") for start in (0, 4)]
    np.testing.assert_array_equal(parts[0], parts[1])


def test_the_next_draw_is_another_one_for_all():
    gates = [BernoulliGate(initial_probability=0.5, seed=0) for _ in range(3)]
    whole = []
    for _ in range(2):
        with Draws().active():
            whole.append(np.asarray(gates[0](np.ones((8, 1)), training=True)))
        for gate, start in zip(gates[1:], (0, 4), strict=True):
            with Draws(rows=RowsOfReplica(start, 4, 8)).active():
                part = np.asarray(gate(np.ones((4, 1)), training=True))
            np.testing.assert_array_equal(part, whole[-1][start : start + 4])
    assert (whole[0] != whole[1]).any()
