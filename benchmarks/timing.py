"""Timing runs in turn, so that all of them see the same machine."""

import time


def timed(function, *args, **kwargs):
    """What a function returns, and the seconds that it took."""
    start = time.perf_counter()
    result = function(*args, **kwargs)
    return result, time.perf_counter() - start


def in_turn(runs, turns, warm_up):
    """Seconds of functions that are called one after another, again and again.

    Args:
        runs: List of functions without arguments.
        turns: Int, how many turns are timed.
        warm_up: Int, how many turns come before them.

    Returns:
        List of turns, each a list with the seconds of every function.
    """
    for run in runs * warm_up:
        run()
    return [[timed(run)[1] for run in runs] for _ in range(turns)]
