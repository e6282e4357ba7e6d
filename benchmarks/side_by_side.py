"""Calls that run at once, each in a process and on cores of its own."""

import concurrent.futures
import contextlib
import multiprocessing
import os


def results_of(function, calls, workers):
    """What a function returns for each call, in their order.

    Args:
        function: Function of a module, as it is sent to other processes.
        calls: List of tuples, the arguments of each call.
        workers: Int, how many calls run at once. They share out the cores of this
            process, where the system lets a process choose its cores.

    Yields:
        What the function returns.

    Raises:
        SystemExit: If there are fewer cores than workers.
    """
    shares = _shares(workers)
    with contextlib.ExitStack() as stack:
        pools = [stack.enter_context(_pool(share)) for share in shares]
        futures = [
            pools[index % workers].submit(function, *call)
            for index, call in enumerate(calls)
        ]
        for future in futures:
            yield future.result()


def _pool(cores):
    """One process at a time, a new one for each call: nothing is left of the last."""
    spawn = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(
        1, spawn, _pin, (cores,), max_tasks_per_child=1
    )


def _shares(workers):
    """Sets of cores that have none in common, one a worker."""
    cores = _cores()
    if not 1 <= workers <= len(cores):
        raise SystemExit(
            f"`--workers` must be between 1 and {len(cores)}, the cores that this "
            f"process may use. Received: {workers}"
        )
    return [cores[index::workers] for index in range(workers)]


def _cores():
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _pin(cores):
    # TensorFlow gets as many threads as the process has cores when it computes first.
    # Importing it has started some already.
    if hasattr(os, "sched_setaffinity"):
        for thread in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(thread), cores)
