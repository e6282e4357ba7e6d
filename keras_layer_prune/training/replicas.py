"""Sums over the replicas of a distribution strategy."""

import tensorflow as tf


def replicas() -> int:
    """How many replicas share a step; each one's loss is divided by this number."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def sum_over_replicas(tensor):
    """The sum of a tensor over the replicas of this step."""
    if replicas() == 1:
        return tensor
    return tf.distribute.get_replica_context().all_reduce("SUM", tensor)
