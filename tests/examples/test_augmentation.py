"""Every augmented image is searched for among all crops of the original."""

import augmentation
import datasets
import numpy as np
import tensorflow as tf

IMAGES = np.random.default_rng(0).integers(1, 255, (40, 6, 5, 2)).astype("uint8")
PADDING = 2


def crops(image):
    """All that an image may become, by (row, column, whether mirrored)."""
    padded = np.pad(image, [(PADDING, PADDING), (PADDING, PADDING), (0, 0)])
    height, width, _ = image.shape
    for row in range(2 * PADDING + 1):
        for column in range(2 * PADDING + 1):
            crop = padded[row : row + height, column : column + width]
            yield (row, column, False), crop
            yield (row, column, True), crop[:, ::-1]


def found(seed):
    result = augmentation.crop_and_flip(tf.constant(IMAGES), seed, PADDING).numpy()
    return [
        next(how for how, crop in crops(image) if np.array_equal(crop, new))
        for image, new in zip(IMAGES, result, strict=True)
    ]


def test_every_image_is_shifted_and_mirrored_in_its_own_way():
    ways = found((1, 2))
    rows, columns, mirrored = map(set, zip(*ways, strict=True))
    assert rows == columns == set(range(2 * PADDING + 1))
    assert mirrored == {False, True}


def test_the_same_seed_gives_the_same_images():
    assert found((1, 2)) == found((1, 2))
    assert found((1, 2)) != found((1, 3))


def test_an_epoch_has_each_image_at_most_once_and_the_next_looks_different():
    classes = np.arange(40)
    batches = augmentation.training_batches(
        datasets.Split(IMAGES, classes), batch_size=16, seed=0
    )
    epochs = [list(batches.as_numpy_iterator()) for _ in range(2)]
    for epoch in epochs:
        assert [images.shape for images, _ in epoch] == [(16, 6, 5, 2)] * 2
        seen = np.concatenate([classes for _, classes in epoch])
        assert len(set(seen)) == 32
    assert not np.array_equal(epochs[0][0][0], epochs[1][0][0])
