"""Training on several replicas: what they add up, and what each has of a batch."""

import tensorflow as tf

from keras_layer_prune import _keras_private as private
from keras_layer_prune.layers._draws import RowsOfReplica
from keras_layer_prune.training.step.train_size import number_of_rows


def replicas() -> int:
    """How many replicas share a step; each one's loss is divided by this number."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def sum_over_replicas(tensor):
    """The sum of a tensor over the replicas of this step."""
    if replicas() == 1:
        return tensor
    return tf.distribute.get_replica_context().all_reduce("SUM", tensor)


def rows_of_replica(x) -> RowsOfReplica | None:
    """Which rows of a step's batch this replica has; None if it has them all.

    Args:
        x: The inputs that this replica has.
    """
    if replicas() == 1:
        return None
    index = tf.distribute.get_replica_context().replica_id_in_sync_group
    own = number_of_rows(x)
    is_own = tf.one_hot(index, replicas())
    # In float32, which every device can sum, and which counts to 16 million.
    counts = tf.cast(sum_over_replicas(is_own * tf.cast(own, tf.float32)), tf.int32)
    before = tf.reduce_sum(tf.where(tf.range(replicas()) < index, counts, 0))
    return RowsOfReplica(before, own, tf.reduce_sum(counts))


def is_chief(strategy) -> bool:
    """Whether this process is the one of several that writes files and reports.

    Args:
        strategy: `tf.distribute.Strategy` of a model.
    """
    return strategy.extended.should_checkpoint


def reducible(logs) -> dict:
    """The logs of a step in the form in which Keras can average them over workers.

    With several workers it averages over the first axis, which a scalar lacks.

    Args:
        logs: Dictionary of scalar tensors.
    """
    if not private.has_workers(tf.distribute.get_strategy()):
        return logs
    return {name: tf.reshape(value, [1]) for name, value in logs.items()}
