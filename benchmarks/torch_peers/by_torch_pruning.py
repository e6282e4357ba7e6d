"""Channels taken out by Torch-Pruning (arXiv 2301.12900)."""

import time

import torch
import torch_pruning
from torch import nn

from torch_peers.costs import macs
from torch_peers.training import fit

# As in its authors' own experiments with residual networks.
STEPS = 400


def train_and_prune(network, data, settings):
    """Train for half of the epochs, prune, train for the other half.

    Args:
        network: Module; it is changed.
        data: Dictionary of pairs of images and classes, as for `fit`.
        settings: Dictionary, that of `handed.Handed`.

    Returns:
        The network, and a dictionary of the `seconds` that all of it took.
    """
    epochs, shape = settings["epochs"] // 2, data["train"][0].shape[1:]
    start = time.perf_counter()
    fit(network, data, epochs, settings)
    prune(network, shape, settings["budget"])
    fit(network, data, epochs, settings)
    return network, {"seconds": time.perf_counter() - start}


def prune(network, shape, budget):
    """Take channels out, all over the network, until the budget is met.

    The groups of weights that have to leave together are ranked by their norms, in
    many small steps, without training in between.

    Args:
        network: Module; it is changed.
        shape: Tuple, channels, height and width of an image.
        budget: Int, the most multiply-accumulates per example that may be left.

    Raises:
        RuntimeError: If the budget cannot be met.
    """
    pruner = torch_pruning.pruner.GroupNormPruner(
        network.eval(),
        torch.zeros(1, *shape),
        torch_pruning.importance.GroupMagnitudeImportance(p=2),
        global_pruning=True,
        pruning_ratio=1.0,
        iterative_steps=STEPS,
        ignored_layers=[m for m in network.modules() if isinstance(m, nn.Linear)],
    )
    for _ in range(STEPS):
        if macs(network, shape) <= budget:
            return
        pruner.step()
    if macs(network, shape) > budget:
        raise RuntimeError(
            f"{macs(network, shape):,} MACs are left of a budget of {budget:,}, and no "
            "channel can leave any more."
        )
