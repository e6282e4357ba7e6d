"""How the networks are trained and judged, as `examples/recipe.py` does."""

import math
import time

import torch
from torch import nn


def fit(network, data, epochs, batch_size, learning_rate, make_optimizer=None):
    """Train with Adam and a cosine schedule on the cross-entropy of logits.

    Args:
        network: Module, from images to logits.
        data: Dictionary of pairs of images `(n, channels, height, width)` and classes
            `(n,)`: `train`, `validation`.
        epochs: Int.
        batch_size: Int.
        learning_rate: Float, at the start.
        make_optimizer: Function from the network to its optimizer. None: Adam.

    Returns:
        The seconds that it took, judging on validation examples after every epoch
        included, as in Keras's `fit`.
    """
    images, classes = data["train"]
    steps = -(-len(images) // batch_size) * epochs
    optimizer = (make_optimizer or _adam)(network)
    loss = nn.CrossEntropyLoss()
    start, step = time.perf_counter(), 0
    for _ in range(epochs):
        network.train()
        for batch in torch.randperm(len(images)).split(batch_size):
            _set_rate(optimizer, learning_rate * _cosine(step / steps))
            optimizer.zero_grad()
            loss(network(images[batch]), classes[batch]).backward()
            optimizer.step()
            step += 1
        accuracy(network, data["validation"])
    return time.perf_counter() - start


def _adam(network):
    # Keras's epsilon; the other defaults are the same.
    return torch.optim.Adam(network.parameters(), eps=1e-7)


def _cosine(progress):
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def _set_rate(optimizer, rate):
    for group in optimizer.param_groups:
        group["lr"] = rate


def accuracy(network, split):
    """Share of the examples of a pair of images and classes that a network gets right.

    Leaves the network in its mode for inference.
    """
    images, classes = split
    network.eval()
    with torch.inference_mode():
        logits = torch.cat([network(batch) for batch in images.split(256)])
    return int((logits.argmax(dim=-1) == classes).sum()) / len(classes)
