"""One way to prune, one run; `peers.py` calls it.

python -m torch_peers Torch-Pruning                           # print versions
python -m torch_peers Torch-Pruning handed.npz result.json    # run
"""

import copy
import importlib
import importlib.metadata
import json
import platform
import sys
from pathlib import Path

import torch

from torch_peers import handed
from torch_peers.costs import costs, latencies
from torch_peers.network import ResidualNetwork, load_weights
from torch_peers.training import accuracy

# The module that prunes, and the distribution whose version is told.
WAYS = {
    "Torch-Pruning": ("torch_peers.by_torch_pruning", "torch-pruning"),
    "OTO": ("torch_peers.by_oto", "only-train-once"),
}


def main():
    kind, *paths = sys.argv[1:]
    module, distribution = WAYS[kind]
    way = importlib.import_module(module)
    told = versions(distribution)
    if paths:
        source, target = paths
        row = run(way.train_and_prune, handed.read(source))
        Path(target).write_text(json.dumps({**row, "versions": told}))
    else:
        print(json.dumps(told))


def versions(distribution):
    names = ("torch", distribution)
    told = {name: importlib.metadata.version(name) for name in names}
    return {"python": platform.python_version(), **told}


def run(train_and_prune, given):
    """Train and prune one network; read its test set once, at the end.

    Args:
        train_and_prune: Function of the network, the data and the settings that returns
            the pruned network and a dictionary: `seconds`, and what else is to tell.
        given: `handed.Handed`.
    """
    torch.manual_seed(given.settings["seed"])
    data = {name: as_tensors(*split) for name, split in given.splits.items()}
    network = make_network(given, data)
    whole = copy.deepcopy(network)
    small, told = train_and_prune(network, data, given.settings)
    shape = data["train"][0].shape[1:]
    pairs = {n: latencies([small, whole], shape, n) for n in (1, 32)}
    return {
        **told,
        "validation": accuracy(small, data["validation"]),
        "test": accuracy(small, data["test"]),
        **costs(small, shape),
        "latency ms": {n: pair[0] for n, pair in pairs.items()},
        "whole latency ms": {n: pair[1] for n, pair in pairs.items()},
    }


def as_tensors(images, classes):
    """Images with their channels first, and classes."""
    channels_first = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    return channels_first, torch.from_numpy(classes).long()


def make_network(given, data):
    names = ("shape", "classes", "sections", "width")
    network = ResidualNetwork(*[given.settings[name] for name in names])
    load_weights(network, given.weights)
    check_network(network, given, data["train"][0])
    return network


def check_network(network, given, images):
    """Raise if the network is not the one that Keras has handed over."""
    network.eval()
    with torch.inference_mode():
        logits = network(images[: len(given.logits)])
    difference = float((logits - torch.from_numpy(given.logits)).abs().max())
    found = costs(network, images.shape[1:])
    expected = {name: given.settings[name] for name in found}
    if difference > 1e-3 or found != expected:
        raise RuntimeError(
            "PyTorch's network is not Keras's: its logits differ by up to "
            f"{difference}, and it has {found}; expected: {expected}"
        )


if __name__ == "__main__":
    main()
