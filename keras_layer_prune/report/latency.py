"""Measured inference time of a model."""

import statistics
import time

import keras
import tensorflow as tf
from keras import tree

from keras_layer_prune import _keras_private as private
from keras_layer_prune._checks import whole_number
from keras_layer_prune.graph.checks import check_graph
from keras_layer_prune.graph.random_inputs import random_inputs

_WARM_UP_CALLS = 10


def paired_latencies(models, batch_size=1, calls=100) -> list[float]:
    """Median times of several models, called in turn.

    A machine's speed drifts; models that take turns see the same drift, so that the
    ratio of two results means something.

    Args:
        models: List of functional or built sequential models.
        batch_size: Int, examples per call of models whose inputs leave it open.
        calls: Int, how many calls of each model are timed.

    Returns:
        List of floats, seconds per call.

    Raises:
        TypeError: If an argument is not of its type.
        ValueError: If the calls of a model cannot be read, or a number is below 1.
    """
    whole_number("batch_size", batch_size, 1)
    whole_number("calls", calls, 1)
    if not isinstance(models, list | tuple) or not models:
        raise TypeError(
            "`models` must be a list of Keras models, with one at least. Received: "
            f"models={models!r}"
        )
    runs = [_inference_call(model, batch_size) for model in models]
    return [
        statistics.median(times) for times in zip(*_turns(runs, calls), strict=True)
    ]


def saved_latencies(model, others, batch_size=1, calls=100) -> tuple[float, list]:
    """Median time of a model, and how much less each of some others takes.

    Each of the others takes turns with the model alone, so that no more than two are
    in memory and in the processor's cache.

    Args:
        model: Functional or built sequential model.
        others: Iterable of models; each is let go before the next is asked for.
        batch_size: Int, examples per call of models whose inputs leave it open.
        calls: Int, how many calls of each are timed.

    Returns:
        Float, seconds per call of `model`, and a list of floats, the medians of the
        differences in seconds per call; below 0 where another model takes longer.
    """
    run = _inference_call(model, batch_size)
    own, saved = [], []
    for other in others:
        turns = _turns([run, _inference_call(other, batch_size)], calls)
        own += [mine for mine, _ in turns]
        saved.append(statistics.median(mine - its for mine, its in turns))
        del other
    own = own or [mine for (mine,) in _turns([run], calls)]
    return statistics.median(own), saved


def _turns(runs, calls) -> list[list[float]]:
    """Seconds of functions that are called one after another, again and again."""
    for run in runs * _WARM_UP_CALLS:
        run()
    return [[_seconds(run) for run in runs] for _ in range(calls)]


def _inference_call(model, batch_size):
    check_graph(model, "models")
    # A sequential model has no `input` before it is called.
    structure = private.input_structure(private.graph_of(model))
    inputs = random_inputs(structure, batch_size)
    function = tf.function(lambda x: model(x, training=False))

    def run():
        tree.map_structure(keras.ops.convert_to_numpy, function(inputs))

    return run


def _seconds(run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
