"""Batches of examples as `tf.data` hands them out, its tuner turned off.

An iterator waits for the tuner when it is deleted, and the tuner sleeps for twice as
long each time. Where there is one core, it misses nearly every call to stop, and an
epoch may end as much later again as it was long (TensorFlow 2.21; with arrays, which
Keras wraps in `tf.data`, too).
"""

import tensorflow as tf


def shuffled(split, batch_size, seed=None, drop_remainder=False):
    """The examples of a `datasets.Split`, in a new order in each epoch.

    Without a seed the orders follow from `keras.utils.set_random_seed`. Keras itself,
    given arrays and that seed, has the same order in every epoch.
    """
    examples = tf.data.Dataset.from_tensor_slices(tuple(split))
    mixed = examples.shuffle(len(split.x), seed)
    return untuned(mixed.batch(batch_size, drop_remainder).prefetch(2))


def in_order(split, batch_size):
    """All examples of a `datasets.Split`, in the same order each time."""
    examples = tf.data.Dataset.from_tensor_slices(tuple(split))
    return untuned(examples.batch(batch_size).prefetch(2))


def untuned(batches):
    """The same `tf.data.Dataset`, with nothing that changes while it is used."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.with_options(options)
