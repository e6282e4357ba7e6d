"""Channels led to zero while the network is trained, by OTO (arXiv 2303.06862)."""

import contextlib
import copy
import io
import tempfile
import time
import warnings
from unittest import mock

import only_train_once
import torch

from torch_peers.costs import macs
from torch_peers.training import fit, steps

# Halvings in the search for the sparsity that meets the budget.
TRIALS = 7


def train_and_prune(network, data, settings):
    """Train once, with so many groups of weights led to zero that the budget is met.

    OTO is told a share of groups, not a budget, and which groups go shows only in
    training. The smallest share that meets the budget is searched by trainings up to
    the step at which the last group has gone; then one training takes all epochs.

    Args:
        network: Module; copies of it are trained.
        data: Dictionary of pairs of images and classes, as for `fit`.
        settings: Dictionary, that of `handed.Handed`.

    Returns:
        The pruned network, and a dictionary of the seconds that its training and the
        search for the share took, and of the share.
    """
    start = time.perf_counter()
    sparsity = smallest_sparsity(network, data, settings)
    searched = time.perf_counter() - start
    small, seconds = train_once(network, data, settings, sparsity)
    if not meets_budget(small, data, settings):
        raise RuntimeError(
            f"The budget of {settings['budget']:,} MACs is not met with {sparsity} of "
            "the groups gone. Train for more steps: groups leave in the second tenth "
            "of them, and not before ten have been taken."
        )
    told = {"seconds": seconds, "search seconds": searched, "group sparsity": sparsity}
    return small, told


def smallest_sparsity(network, data, settings):
    """The smallest share of groups, in steps of `2**-TRIALS`, that meets the budget."""
    if meets_budget(network, data, settings):
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(TRIALS):
        middle = (low + high) / 2
        trial, _ = train_once(network, data, settings, middle, to_the_end=False)
        if meets_budget(trial, data, settings):
            high = middle
        else:
            low = middle
    return high


def meets_budget(network, data, settings):
    return macs(network, data["train"][0].shape[1:]) <= settings["budget"]


def train_once(network, data, settings, sparsity, to_the_end=True):
    """Train a copy of a network; return what is left of it, and the seconds.

    Args:
        network: Module.
        data: Dictionary of pairs of images and classes, as for `fit`.
        settings: Dictionary, that of `handed.Handed`.
        sparsity: Float, share of all groups that have to go.
        to_the_end: Whether to train on when they have gone.
    """
    torch.manual_seed(settings["seed"])
    epochs, shape = settings["epochs"], data["train"][0].shape[1:]
    # Groups go in ten parts in the second tenth of the steps, as its authors' examples
    # do with residual networks.
    tenth = max(steps(data, epochs, settings) // 10, 10)
    last_step = None if to_the_end else 2 * tenth + 1
    start = time.perf_counter()
    with on_this_device(), quietly():
        twin = copy.deepcopy(network)
        oto = only_train_once.OTO(twin, torch.zeros(1, *shape))
        optimizer = oto.hesso(
            variant="adam",
            lr=settings["learning_rate"],
            target_group_sparsity=sparsity,
            start_pruning_step=tenth,
            pruning_steps=tenth,
            pruning_periods=10,
        )
        fit(twin, data, epochs, settings, optimizer, last_step)
        small = what_is_left(oto)
    return small, time.perf_counter() - start


def what_is_left(oto):
    """The network without the groups that are zero."""
    with tempfile.TemporaryDirectory() as folder:
        oto.construct_subnet(out_dir=folder)
        return torch.load(oto.compressed_model_path, weights_only=False)


def on_this_device():
    """HESSO puts one of its masks on a GPU, wherever the network is."""
    return mock.patch.object(torch.Tensor, "cuda", lambda tensor: tensor)


@contextlib.contextmanager
def quietly():
    """Without its progress and what PyTorch says of the graph that it exports."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
