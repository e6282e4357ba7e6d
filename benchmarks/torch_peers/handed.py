"""What the two processes hand to each other: one file of arrays; NumPy alone."""

import json
from typing import NamedTuple

import numpy as np

SPLITS = ("train", "validation", "test")


class Handed(NamedTuple):
    """What a process needs to start from the same network as the others.

    Attributes:
        settings: Dictionary that JSON can hold. `shape` (height, width, channels),
            `classes`, `sections`, `width`: the network; `epochs`, `batch_size`,
            `learning_rate`, `augment` (whether images are cropped and flipped),
            `seed`: its training; `budget`: MACs per example that may be left;
            `parameters`, `macs`: what Keras's network costs.
        weights: List of arrays, the initial ones of Keras's network.
        splits: Dictionary from `SPLITS` to pairs of images `(n, height, width,
            channels)`, from 0 to 255, and classes `(n,)`.
        logits: Array `(m, classes)`, what Keras's network says of the first `m`
            training images, before it was trained.
    """

    settings: dict
    weights: list
    splits: dict
    logits: np.ndarray


def write(path, handed):
    """Write a `Handed` to a file whose name ends in `.npz`."""
    arrays = {"logits": handed.logits}
    for index, values in enumerate(handed.weights):
        arrays[f"weight_{index:04}"] = values
    for name, (images, classes) in handed.splits.items():
        arrays |= {f"{name}_images": images, f"{name}_classes": classes}
    np.savez(path, settings=json.dumps(handed.settings), **arrays)


def read(path):
    """The `Handed` of a file."""
    with np.load(path) as arrays:
        weights = [arrays[name] for name in arrays.files if name.startswith("weight_")]
        splits = {
            name: (arrays[f"{name}_images"], arrays[f"{name}_classes"])
            for name in SPLITS
        }
        settings = json.loads(str(arrays["settings"]))
        return Handed(settings, weights, splits, arrays["logits"])
