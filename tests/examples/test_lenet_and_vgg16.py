"""LeNet and VGG16 of the examples: the published chains, which can lose all."""

import importlib.util
from pathlib import Path

import keras
import pytest

from keras_layer_prune import find_sections, max_difference, strip_gates, summarize
from keras_layer_prune.graph.checks import check_gated_network
from keras_layer_prune.graph.gates import find_gates

FOLDER = Path(__file__).parents[2] / "examples" / "networks"


def builder(name):
    """A builder by its name, whatever else is in the folder of examples."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def small_vgg16(shape, classes, **arguments):
    return builder("vgg16")(shape, classes, width=2, **arguments)


CHAINS = [
    (builder("lenet"), (28, 28, 1), 4),
    (builder("lenet"), (32, 32, 3), 4),
    (small_vgg16, (32, 32, 3), 15),
    (small_vgg16, (28, 28, 1), 15),
]
over_chains = pytest.mark.parametrize("make, shape, sections", CHAINS)


def kinds_in(network):
    layers = network._flatten_layers(include_self=False, recursive=True)
    return {type(layer).__name__ for layer in layers}


def test_lenet_has_the_published_size():
    costs = summarize(builder("lenet")((28, 28, 1), 10, gated=False), latency=False)
    assert costs.parameters == 61_706
    assert costs.macs == 28**2 * 150 + 10**2 * 2400 + 400 * 120 + 120 * 84 + 84 * 10


def test_vgg16_has_the_published_convolutions():
    network = builder("vgg16")((32, 32, 3), 10, gated=False)
    layers = network._flatten_layers(include_self=False, recursive=True)
    kernels = [x.kernel for x in layers if isinstance(x, keras.layers.Conv2D)]
    assert len(kernels) == 13
    # 14,714,688 less 4,224 offsets, which batch normalization takes the place of.
    assert sum(kernel.numpy().size for kernel in kernels) == 14_710_464


@over_chains
def test_without_gates_it_is_a_chain_without_shortcuts(make, shape, sections):
    network = make(shape, 10, gated=False)
    assert kinds_in(network).isdisjoint({"GatedResidual", "BernoulliGate", "Add"})
    assert find_gates(network) == []
    assert network.output_shape == (None, 10)


@over_chains
def test_every_nonlinear_layer_is_a_section_with_a_linear_shortcut(
    make, shape, sections
):
    network = make(shape, 10, initial_probability=1.0)
    check_gated_network(network)
    assert len(find_gates(network)) == sections
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-4
    found = find_sections(slim)
    assert len(found) == sections
    assert all(section.prunable for section in found)


@over_chains
def test_without_any_section_one_linear_layer_is_left(make, shape, sections):
    network = make(shape, 10, initial_probability=0.0)
    slim = strip_gates(network)
    assert max_difference(network, slim) < 1e-5
    assert kinds_in(slim) <= {
        "InputLayer",
        "Rescaling",
        "AveragePooling2D",
        "Cropping2D",
        "Flatten",
        "Dense",
    }
    assert len([x for x in slim.layers if isinstance(x, keras.layers.Dense)]) == 1


@over_chains
def test_a_seed_gives_the_same_weights(make, shape, sections):
    first, again, other = (make(shape, 10, seed=seed) for seed in (1, 1, 2))
    assert max_difference(first, again) == 0.0
    assert max_difference(first, other) > 0.0
