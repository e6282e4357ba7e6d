import os

import pytest
import side_by_side

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def test_results_come_in_the_order_of_the_calls():
    calls = [(7, 2), (9, 4), (5, 5)]
    assert list(side_by_side.results_of(divmod, calls, 1)) == [(3, 1), (2, 1), (1, 0)]


@pytest.mark.skipif(CORES < 2, reason="needs two cores that a process can choose")
def test_each_worker_has_cores_of_its_own():
    first, second, third = side_by_side.results_of(
        os.sched_getaffinity, [(0,), (0,), (0,)], workers=2
    )
    assert first and second and not first & second
    assert first | second == os.sched_getaffinity(0)
    assert third == first


def test_an_error_of_a_call_is_raised():
    with pytest.raises(ZeroDivisionError):
        list(side_by_side.results_of(divmod, [(1, 0)], 1))


@pytest.mark.parametrize("workers", [0, 10_000])
def test_workers_without_a_core_are_refused(workers):
    with pytest.raises(SystemExit, match="--workers"):
        list(side_by_side.results_of(divmod, [(7, 2)], workers))
