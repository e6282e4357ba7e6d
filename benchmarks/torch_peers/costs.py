"""What a PyTorch network costs, counted as `keras_layer_prune.summarize` counts."""

import statistics

import timing
import torch
from torch import nn


def costs(network, shape):
    """Parameters and multiply-accumulate operations, as a dictionary.

    Args:
        network: Module.
        shape: Tuple, channels, height and width of an image.
    """
    return {"parameters": parameters(network), "macs": macs(network, shape)}


def parameters(network):
    """Number of weights; moving statistics are some, as in Keras."""
    moving = [b for b in network.buffers() if b.is_floating_point()]
    return sum(tensor.numel() for tensor in [*network.parameters(), *moving])


def macs(network, shape):
    """Multiply-accumulates of convolutions and dense layers, per example."""
    counts = []

    def count(layer, inputs, output):
        places = output.shape[2:].numel()
        counts.append(layer.weight.numel() * places)

    counted = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in counted]
    _run(network, torch.zeros(1, *shape))()
    for hook in hooks:
        hook.remove()
    return sum(counts)


def latencies(networks, shape, batch_size):
    """Median milliseconds of a call, of networks that are called in turn.

    As many calls as `keras_layer_prune.paired_latencies` times.
    """
    images = torch.rand(batch_size, *shape)
    runs = [_run(network, images) for network in networks]
    times = timing.in_turn(runs, turns=100, warm_up=10)
    return [1e3 * statistics.median(column) for column in zip(*times, strict=True)]


def _run(network, images):
    network.eval()

    def run():
        with torch.inference_mode():
            return network(images)

    return run
