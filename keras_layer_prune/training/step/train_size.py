"""How many training examples there are: the N that turns nats into nats per example."""

import keras
import numpy as np
import tensorflow as tf
from keras import tree

_ASK = (
    "Give it yourself: `model.compile(..., train_size=60_000)`. A prior of your own, "
    "on a gate or on the weights, is one over the whole training set."
)


def checked_train_size(train_size) -> int | None:
    """Return a given number of training examples, or raise if it is not one."""
    if train_size is None:
        return None
    is_integer = isinstance(train_size, int | np.integer)
    if isinstance(train_size, bool) or not is_integer:
        raise TypeError(
            "`train_size` must be an int, the number of training examples, or None to "
            f"infer it from the data. Received: train_size={train_size!r}"
        )
    if train_size <= 0:
        raise ValueError(
            "`train_size` must be greater than 0: it is the number of training "
            f"examples. Received: train_size={train_size}"
        )
    return int(train_size)


def known_train_size(train_size) -> int:
    """Return the number of training examples, or raise if nobody has told it yet."""
    if train_size is None:
        raise ValueError(
            "The number of training examples is not known outside of `fit`. " + _ASK
        )
    return train_size


def told_train_size(x, validation_split=0.0) -> int | None:
    """The number of examples that data tells without being read, or None.

    Args:
        x: First argument of `fit`.
        validation_split: The argument of `fit`.
    """
    if isinstance(x, keras.utils.PyDataset):
        return None
    if isinstance(x, tf.data.Dataset):
        batches, size = int(x.cardinality()), _told_batch_size(x)
        if batches == 0:
            return 0
        return batches * size if batches > 0 and size is not None else None
    # Inputs that are optional may be left out.
    parts = [part for part in tree.flatten(x) if part is not None]
    lengths = {_length(part) for part in parts}
    if len(lengths) != 1 or None in lengths:
        return None
    # Keras takes the validation examples from the end, rounding their start down.
    return max(0, int(lengths.pop() * (1.0 - validation_split)))


def infer_train_size(x, validation_split=0.0) -> int:
    """The number of examples in one epoch of what `fit` received.

    Where data does not tell how large its batches are, the first one is read.

    Args:
        x: First argument of `fit`.
        validation_split: The argument of `fit`.

    Returns:
        Int. Of data sets that yield batches, the number of batches times the size of
        the first one: too many by what the last batch lacks. `steps_per_epoch` does
        not count: an epoch cut short does not make the training set smaller.

    Raises:
        ValueError: If the data does not tell its size, or it is 0.
    """
    size = told_train_size(x, validation_split)
    if size is None and isinstance(x, tf.data.Dataset):
        size = _size_of_dataset(x)
    elif size is None and isinstance(x, keras.utils.PyDataset):
        size = _size_of_pydataset(x)
    elif size is None:
        raise ValueError(
            f"The number of training examples in a {type(x).__name__} is not known. "
            + _ASK
        )
    if size < 1:
        raise ValueError(
            "There are no training examples. Received: a "
            f"{type(x).__name__} and validation_split={validation_split}"
        )
    return size


def _length(array) -> int | None:
    """Rows of an array; None of anything else, such as a loader that counts batches."""
    shape = getattr(array, "shape", None)
    return int(shape[0]) if shape else None


def _size_of_dataset(dataset) -> int:
    batches = int(dataset.cardinality())
    if batches < 0:
        kind = "endless" if batches == tf.data.INFINITE_CARDINALITY else "unknown"
        raise ValueError(
            f"The number of batches of the `tf.data.Dataset` is {kind}, so the number "
            "of training examples is not known. " + _ASK
        )
    # The batch size is not part of the type unless the last batch is dropped.
    first = next(iter(dataset.take(1)))
    return batches * len(first_array(first))


def _told_batch_size(dataset) -> int | None:
    shape = tree.flatten(dataset.element_spec)[0].shape
    return shape[0] if shape.rank else None


def _size_of_pydataset(dataset) -> int:
    batches = dataset.num_batches
    if batches is None:
        raise ValueError(
            f"`{type(dataset).__name__}` has no `num_batches`, so the number of "
            "training examples is not known. " + _ASK
        )
    x, _, _ = keras.utils.unpack_x_y_sample_weight(dataset[0])
    return int(batches) * len(first_array(x))


def first_array(x):
    """The first of the arrays in a structure; of optional inputs, one that is there."""
    return next(part for part in tree.flatten(x) if part is not None)


def number_of_rows(x):
    """Examples in a batch; int32 scalar tensor."""
    return tf.shape(first_array(x))[0]
