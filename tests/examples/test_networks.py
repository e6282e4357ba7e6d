import keras
import networks
import numpy as np
import pytest

import keras_layer_prune as klp

CIFAR = (32, 32, 3)


@pytest.mark.parametrize("depth, parameters", [(20, 269_722), (56, 853_018)])
def test_a_resnet_has_the_weights_of_the_published_one(depth, parameters):
    network = networks.resnet(CIFAR, 10, depth, gated=False)
    assert sum(np.prod(w.shape) for w in network.trainable_weights) == parameters


def test_every_block_of_a_resnet_may_leave():
    network = networks.resnet(CIFAR, 10, depth=20, initial_probability=0.0)
    slim = klp.strip_gates(network)
    kinds = [type(layer).__name__ for layer in slim.layers]
    assert kinds.count("Conv2D") == 1
    assert klp.max_difference(network, slim) < 1e-6


def test_a_resnet_of_impossible_depth_says_which_depths_there_are():
    with pytest.raises(ValueError, match=r"6 \* n \+ 2, as 20.*Received: depth=19"):
        networks.resnet(CIFAR, 10, depth=19)


def test_attention_and_feed_forward_of_a_transformer_leave_separately():
    network = networks.vision_transformer((8, 8, 1), 10, blocks=3, width=16)
    gates = klp.GatedModel(network).gates
    assert len(gates) == 6
    for gate, theta in zip(gates, [0, 1, 1, 0, 0, 0], strict=True):
        gate.probability.assign(theta)
    slim = klp.strip_gates(network)
    kinds = [type(layer).__name__ for layer in slim.layers]
    assert kinds.count("MultiHeadAttention") == 1
    assert kinds.count("Dense") == 2 + 1
    assert klp.max_difference(network, slim) < 1e-5


@pytest.mark.parametrize("name", networks.BUILDERS)
def test_a_network_is_the_same_for_a_seed_and_is_saved(name, tmp_path):
    if name == "resnet110":
        pytest.skip("minutes for what resnet20 shows")
    data = ImageData()
    network = networks.build(name, data, gated=True, seed=3)
    again = networks.build(name, data, gated=True, seed=3)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    assert klp.max_difference(network, again) == 0.0
    assert klp.max_difference(network, loaded) == 0.0


@pytest.mark.parametrize("name", ["residual", "resnet20", "vision_transformer"])
def test_without_gates_the_network_is_the_same_otherwise(name):
    data = ImageData()
    plain = networks.build(name, data, gated=False)
    gated = networks.build(name, data, gated=True, initial_probability=1.0)
    slim = klp.strip_gates(gated)
    assert [w.shape for w in slim.weights] == [w.shape for w in plain.weights]
    slim.set_weights(plain.get_weights())
    assert klp.max_difference(plain, slim) == 0.0
    assert len(klp.find_sections(plain)) == len(klp.GatedModel(gated).gates)


class ImageData:
    image_shape = (16, 16, 3)
    classes = 5
