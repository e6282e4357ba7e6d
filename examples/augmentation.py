"""Random crops and flips of whole batches, as is usual for CIFAR-10."""

import batches
import tensorflow as tf


def crop_and_flip(images, seed, padding=4):
    """Shift every image by its own few pixels, and mirror one in two.

    Rows and columns are looked up in the padded batch: two gathers for all images, and
    a mirror image is one whose columns are looked up from right to left.

    Args:
        images: Tensor `(n, height, width, channels)`.
        seed: Int tensor of shape `(2,)`; the same one gives the same images.
        padding: Int, largest shift in pixels; what comes in is 0.

    Returns:
        Tensor shaped like `images`, of the same dtype.
    """
    number, height, width, _ = tf.unstack(tf.shape(images))
    seeds = tf.random.split(seed, 3)

    def offsets(seed):
        return tf.random.stateless_uniform(
            [number, 1], seed, 0, 2 * padding + 1, tf.int32
        )

    rows = offsets(seeds[0]) + tf.range(height)
    columns = offsets(seeds[1]) + tf.range(width)
    is_mirrored = tf.random.stateless_uniform([number, 1], seeds[2]) < 0.5
    columns = tf.where(is_mirrored, columns[:, ::-1], columns)

    padded = tf.pad(images, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    shifted = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.ensure_shape(
        tf.gather(shifted, columns, axis=2, batch_dims=1), images.shape
    )


def training_batches(split, batch_size, seed):
    """Shuffled and augmented batches of a `datasets.Split`, one epoch an iteration.

    Args:
        split: `datasets.Split`.
        batch_size: Int; what is left over at the end of an epoch waits for the next.
        seed: Int, of the order and of the augmentation.

    Returns:
        `tf.data.Dataset` of images and classes.
    """
    plain = batches.shuffled(split, batch_size, seed, drop_remainder=True)
    seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2)

    def augment(batch, seed):
        images, classes = batch
        return crop_and_flip(images, seed), classes

    together = tf.data.Dataset.zip(plain, seeds)
    # Untuned, this is as many at once as there are threads.
    augmented = together.map(augment, tf.data.AUTOTUNE)
    return batches.untuned(augmented.prefetch(2))
