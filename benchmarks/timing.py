"""Timing runs in turn, so that all of them see the same machine."""

import random
import time


def timed(function, *args, **kwargs):
    """What a function returns, and the seconds that it took."""
    start = time.perf_counter()
    result = function(*args, **kwargs)
    return result, time.perf_counter() - start


def in_turn(runs, turns, warm_up):
    """Seconds of functions that are called one after another, again and again.

    Each turn has an order of its own: what comes after a large network finds the
    processor's cache full of it.

    Args:
        runs: List of functions without arguments.
        turns: Int, how many turns are timed.
        warm_up: Int, how many turns come before them.

    Returns:
        List of turns, each a list with the seconds of every function, as in `runs`.
    """
    for run in runs * warm_up:
        run()
    dice = random.Random(0)
    return [_turn(runs, dice) for _ in range(turns)]


def _turn(runs, dice):
    seconds = [0.0] * len(runs)
    for index in dice.sample(range(len(runs)), len(runs)):
        seconds[index] = timed(runs[index])[1]
    return seconds
