"""Image classification data for the examples, split three ways."""

import os
import socket
from typing import NamedTuple

import numpy as np

NAMES = ("digits", "mnist", "fashion_mnist", "cifar10")


class Split(NamedTuple):
    """Images, `(n, height, width, channels)` from 0 to 255, and their classes."""

    x: np.ndarray
    y: np.ndarray


class Data(NamedTuple):
    """Settings are chosen on `validation`; `test` is read once, at the end."""

    train: Split
    validation: Split
    test: Split

    @property
    def image_shape(self):
        return self.train.x.shape[1:]

    @property
    def classes(self):
        return int(self.train.y.max()) + 1


def load(name: str, train_examples: int | None = None) -> Data:
    """Load a data set by name.

    Args:
        name: `"digits"` comes with scikit-learn and needs nothing else; `"mnist"`,
            `"fashion_mnist"` and `"cifar10"` come through tensorflow-datasets, from
            the folder in `TFDS_DATA_DIR` or from the network.
        train_examples: How many of the training examples to keep, for a shorter run.
            None: all.

    Returns:
        `Data`, a tenth of the training examples set apart for validation.
    """
    train, test = _load_digits() if name == "digits" else _load_tfds(name)
    kept = len(train.x) - len(train.x) // 10
    return Data(
        Split(train.x[:kept][:train_examples], train.y[:kept][:train_examples]),
        Split(train.x[kept:], train.y[kept:]),
        test,
    )


def _load_digits():
    from sklearn.datasets import load_digits

    images, classes = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    x = (images.reshape(-1, 8, 8, 1) * 255.0 / 16.0).astype("float32")[order]
    y = classes[order]
    return Split(x[:1437], y[:1437]), Split(x[1437:], y[1437:])


def _load_tfds(name):
    try:
        import tensorflow_datasets as tfds

        builder = tfds.builder(name)
        if not os.path.isdir(builder.data_path):
            # Said at once; the download itself tries again for minutes.
            socket.getaddrinfo("storage.googleapis.com", 443)
            builder.download_and_prepare()
        parts = builder.as_dataset(split=["train", "test"], batch_size=-1)
    except Exception as error:
        raise SystemExit(
            f"The data set {name!r} is not here and could not be fetched: "
            f"{type(error).__name__}: {error}\n"
            "Set TFDS_DATA_DIR to a folder that holds it, connect to a network, or "
            "use --dataset digits, which needs neither."
        ) from error
    return [Split(p["image"].numpy(), p["label"].numpy()) for p in parts]
