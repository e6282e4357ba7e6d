"""The network and the pruning of the processes that have PyTorch."""

import itertools

import networks
import numpy as np
import pytest

import keras_layer_prune as klp

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (31, 31, 3)])
def test_the_network_is_the_one_of_keras(shape):
    from torch_peers.costs import costs
    from torch_peers.network import ResidualNetwork, load_weights

    keras_network = networks.residual_network(shape, 5, 4, 8, gated=False)
    network = ResidualNetwork(shape, 5, 4, 8).eval()
    load_weights(network, keras_network.get_weights())
    x = np.random.default_rng(0).uniform(0, 255, size=(4, *shape)).astype("float32")
    with torch.inference_mode():
        logits = network(torch.from_numpy(x.transpose(0, 3, 1, 2)))
    expected = keras_network.predict(x, verbose=0)
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-4)
    summary = klp.summarize(keras_network, latency=False)
    found = costs(network, (shape[2], *shape[:2]))
    assert found == {"parameters": summary.parameters, "macs": summary.macs}


def test_training_stops_at_the_last_step():
    from torch_peers import training

    network = torch.nn.Linear(3, 2)
    split = torch.zeros(10, 3), torch.zeros(10, dtype=torch.long)
    data = {"train": split, "validation": split}
    optimizer = CountingOptimizer(network.parameters())
    settings = {"batch_size": 4, "learning_rate": 0.5, "augment": False}
    training.fit(network, data, 4, settings, optimizer, last_step=5)
    assert optimizer.rates == pytest.approx(
        [0.25 * (1 + np.cos(np.pi * step / 12)) for step in range(5)]
    )


def test_images_are_cropped_and_flipped_each_in_its_own_way():
    from torch_peers.augmentation import crop_and_flip

    torch.manual_seed(0)
    images = torch.randint(1, 255, (60, 2, 6, 5), dtype=torch.uint8)
    ways = {
        way_to(*pair) for pair in zip(images, crop_and_flip(images, 2), strict=True)
    }
    rows, columns, mirrored = map(set, zip(*ways, strict=True))
    assert rows == columns == set(range(5))
    assert mirrored == {False, True}


def way_to(image, shifted):
    """Row and column of the crop that an image has become, and whether mirrored."""
    padded = np.pad(image.numpy(), [(0, 0), (2, 2), (2, 2)])
    _, height, width = image.shape
    for row, column, step in itertools.product(range(5), range(5), (1, -1)):
        crop = padded[:, row : row + height, column : column + width][..., ::step]
        if np.array_equal(crop, shifted.numpy()):
            return row, column, step == -1
    raise AssertionError("It is no crop of the padded image.")


def test_torch_pruning_meets_the_budget():
    pytest.importorskip("torch_pruning")
    from torch_peers.by_torch_pruning import prune
    from torch_peers.costs import macs
    from torch_peers.network import ResidualNetwork

    network = ResidualNetwork((8, 8, 1), 5, 4, 8)
    budget = macs(network, (1, 8, 8)) // 3
    prune(network, (1, 8, 8), budget)
    assert 0.5 * budget < macs(network, (1, 8, 8)) <= budget
    with torch.inference_mode():
        assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 5)


def test_a_budget_that_cannot_be_met_is_an_error():
    pytest.importorskip("torch_pruning")
    from torch_peers.by_torch_pruning import prune
    from torch_peers.network import ResidualNetwork

    network = ResidualNetwork((8, 8, 1), 5, 2, 4)
    with pytest.raises(RuntimeError, match="MACs are left of a budget of 1"):
        prune(network, (1, 8, 8), 1)


class CountingOptimizer(torch.optim.SGD):
    """Notes the learning rates that it is called with."""

    def __init__(self, parameters):
        super().__init__(parameters, lr=1.0)
        self.rates = []

    def step(self):
        self.rates.append(self.param_groups[0]["lr"])
