"""The examples' residual network in PyTorch, and Keras's weights for it."""

import torch
from torch import nn


class ResidualNetwork(nn.Module):
    """What `examples/networks/residual.py` builds without gates.

    Args:
        shape: Tuple, height, width and channels of an image.
        classes: Int, number of outputs.
        sections: Int, number of residual sections.
        width: Int, channels of the first stage; doubled from stage to stage.
        stages: Int.

    Images are `(n, channels, height, width)` from 0 to 255, outputs `(n, classes)`
    logits.
    """

    def __init__(self, shape, classes, sections, width, stages=3):
        super().__init__()
        size, _, channels = shape
        layers = []
        for stage in range(stages):
            strides = 1 if stage == 0 and size < 16 else 2
            layers += _entry(channels, width * 2**stage, size, strides)
            channels, size = width * 2**stage, -(-size // strides)
            layers += [Section(channels) for _ in range(stage, sections, stages)]
        self.layers = nn.Sequential(*layers)
        self.norm = _norm(channels)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images):
        x = self.layers(images / 255.0)
        x = torch.relu(self.norm(x))
        return self.classifier(x.mean(dim=(2, 3)))


class Section(nn.Module):
    """Two convolutions before which there is a normalisation, and the identity."""

    def __init__(self, channels):
        super().__init__()
        self.norm1, self.norm2 = _norm(channels), _norm(channels)
        self.conv1, self.conv2 = _conv(channels), _conv(channels)

    def forward(self, x):
        branch = self.conv1(torch.relu(self.norm1(x)))
        return x + self.conv2(torch.relu(self.norm2(branch)))


def _entry(channels, width, size, strides):
    """A convolution padded as Keras's `"same"`, which may pad one side alone."""
    missing = max((-(-size // strides) - 1) * strides + 3 - size, 0)
    before, after = missing // 2, missing - missing // 2
    convolution = nn.Conv2d(channels, width, 3, strides, bias=False)
    return [nn.ZeroPad2d((before, after, before, after)), convolution]


def _conv(channels):
    return nn.Conv2d(channels, channels, 3, padding=1, bias=False)


def _norm(channels):
    # Keras's defaults; PyTorch's momentum is the share of what is new.
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def load_weights(network, weights):
    """Give a network the weights of its Keras twin.

    Args:
        network: `ResidualNetwork`.
        weights: List of arrays, those of `keras.Model.get_weights()`.
    """
    tensors = [tensor for layer in _in_order(network) for tensor in _tensors(layer)]
    with torch.no_grad():
        for tensor, values in zip(tensors, weights, strict=True):
            tensor.copy_(torch.from_numpy(_turned(values)))


def _in_order(network):
    """Layers with weights, in the order in which they are called."""
    for layer in network.layers:
        if isinstance(layer, Section):
            yield from (layer.norm1, layer.conv1, layer.norm2, layer.conv2)
        elif isinstance(layer, nn.Conv2d):
            yield layer
    yield from (network.norm, network.classifier)


def _tensors(layer):
    if isinstance(layer, nn.BatchNorm2d):
        return [layer.weight, layer.bias, layer.running_mean, layer.running_var]
    return list(layer.parameters())


def _turned(values):
    """Kernels of Keras have their outputs last, those of PyTorch first."""
    turns = {4: (3, 2, 0, 1), 2: (1, 0)}
    return values.transpose(turns.get(values.ndim, (0,)))
