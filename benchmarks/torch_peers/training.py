"""How the networks are trained and judged, as `examples/recipe.py` does."""

import math
import time

import torch
from torch import nn

from torch_peers.augmentation import crop_and_flip


def fit(network, data, epochs, settings, optimizer=None, last_step=None):
    """Train with a cosine schedule on the cross-entropy of logits.

    Args:
        network: Module, from images to logits.
        data: Dictionary of pairs of images `(n, channels, height, width)` and classes
            `(n,)`: `train`, `validation`.
        epochs: Int.
        settings: Dictionary, that of `handed.Handed`: `batch_size`, the
            `learning_rate` at the start, and whether to `augment`.
        optimizer: Optimizer of the network. None: Adam, as Keras has it.
        last_step: Int, to stop there, in the middle of the schedule. None: the last of
            all.

    Returns:
        The seconds that it took, judging on validation examples after every epoch
        included, as in Keras's `fit`.
    """
    # Keras's epsilon; the other defaults are the same.
    optimizer = optimizer or torch.optim.Adam(network.parameters(), eps=1e-7)
    total, an_epoch = steps(data, epochs, settings), steps(data, 1, settings)
    rates = iter(_rates(settings["learning_rate"], total)[:last_step])
    start = time.perf_counter()
    for _ in range(0, last_step or total, an_epoch):
        _epoch(network, data["train"], settings, optimizer, rates)
        accuracy(network, data["validation"])
    return time.perf_counter() - start


def steps(data, epochs, settings):
    """Number of batches in so many epochs."""
    return -(-len(data["train"][0]) // settings["batch_size"]) * epochs


def _rates(first, steps):
    """Learning rate of every step."""
    turns = [math.pi * step / steps for step in range(steps)]
    return [first * 0.5 * (1.0 + math.cos(turn)) for turn in turns]


def _epoch(network, split, settings, optimizer, rates):
    """Take steps over all examples in a new order, while there are rates for them."""
    images, classes = split
    loss = nn.CrossEntropyLoss()
    network.train()
    # The rates come second: `zip` takes one of its first argument before it stops.
    batches = torch.randperm(len(images)).split(settings["batch_size"])
    for batch, rate in zip(batches, rates, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = rate
        seen = crop_and_flip(images[batch]) if settings["augment"] else images[batch]
        optimizer.zero_grad()
        loss(network(seen), classes[batch]).backward()
        optimizer.step()


def accuracy(network, split):
    """Share of the examples of a pair of images and classes that a network gets right.

    Leaves the network in its mode for inference.
    """
    images, classes = split
    network.eval()
    with torch.inference_mode():
        logits = torch.cat([network(batch) for batch in images.split(256)])
    return int((logits.argmax(dim=-1) == classes).sum()) / len(classes)
