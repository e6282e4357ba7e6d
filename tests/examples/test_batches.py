"""Batches hold every example once, in a new order for training, and are not tuned."""

import augmentation
import batches
import datasets
import keras
import numpy as np
import pytest

SPLIT = datasets.Split(np.arange(20).reshape(10, 2), np.arange(10))


def epoch(data):
    """Images and classes of one epoch, and the size of each batch."""
    pairs = list(data.as_numpy_iterator())
    x, y = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return x, y, [len(classes) for _, classes in pairs]


def test_validation_is_in_order_and_whole():
    x, y, sizes = epoch(batches.in_order(SPLIT, 4))
    np.testing.assert_array_equal(x, SPLIT.x)
    np.testing.assert_array_equal(y, SPLIT.y)
    assert sizes == [4, 4, 2]


def test_training_is_whole_and_in_an_order_of_its_own_each_epoch():
    data = batches.shuffled(SPLIT, 4)
    orders = []
    for _ in range(2):
        x, y, sizes = epoch(data)
        assert sizes == [4, 4, 2] and sorted(y) == list(range(10))
        np.testing.assert_array_equal(x, SPLIT.x[y])
        orders.append(tuple(y))
    assert len({*orders, tuple(SPLIT.y)}) == 3


def test_the_order_follows_from_the_seed():
    def order(seed):
        keras.utils.set_random_seed(seed)
        return tuple(epoch(batches.shuffled(SPLIT, 4))[1])

    assert order(1) == order(1)
    assert order(1) != order(2)


@pytest.mark.parametrize(
    "make",
    [
        batches.shuffled,
        batches.in_order,
        lambda *given: augmentation.training_batches(*given, seed=0),
    ],
)
def test_nothing_is_tuned(make):
    images = np.zeros((10, 6, 6, 1), "uint8")
    data = make(datasets.Split(images, np.arange(10)), 4)
    assert data.options().autotune.enabled is False
