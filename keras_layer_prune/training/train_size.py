"""How many training examples there are: the N that turns nats into nats per example."""

import keras
import numpy as np
import tensorflow as tf
from keras import tree

_ASK = (
    "Give it yourself: `model.compile(..., train_size=60_000)`. It turns what a "
    "section must earn over the whole training set into nats per example."
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


def infer_train_size(x, validation_split=0.0):
    """The number of examples in one epoch of what `fit` received.

    Args:
        x: First argument of `fit`.
        validation_split: The argument of `fit`.

    Returns:
        Int. Of data sets that yield batches, the number of batches times the size of
        the first one: too many by what the last batch lacks. `steps_per_epoch` does
        not count: an epoch cut short does not make the training set smaller.

    Raises:
        ValueError: If the data does not tell its size.
    """
    if isinstance(x, tf.data.Dataset):
        return _size_of_dataset(x)
    if isinstance(x, keras.utils.PyDataset):
        return _size_of_pydataset(x)
    # Inputs that are optional may be left out.
    parts = [part for part in tree.flatten(x) if part is not None]
    lengths = {_length(part) for part in parts}
    if len(lengths) != 1 or None in lengths:
        raise ValueError(
            f"The number of training examples in a {type(x).__name__} is not known. "
            + _ASK
        )
    # Keras takes the validation examples from the end, rounding their start down.
    return int(lengths.pop() * (1.0 - validation_split))


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
    return batches * _batch_size(dataset)


def _batch_size(dataset) -> int:
    size = tree.flatten(dataset.element_spec)[0].shape[0]
    if size is not None:
        return int(size)
    # The batch size is not part of the type unless the last batch is dropped.
    first = next(iter(dataset.take(1)))
    return int(tree.flatten(first)[0].shape[0])


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
