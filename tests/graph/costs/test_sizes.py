"""A nested model costs what it costs where it is called."""

import gc
import weakref

import keras
import pytest
from keras import layers

from keras_layer_prune import (
    GatedLayer,
    GatedResidual,
    find_sections,
    gate_sections,
    summarize,
)
from keras_layer_prune.graph.costs.anatomy import count_macs, layers_at_work
from keras_layer_prune.graph.gates import find_gates


def backbone(size=None):
    """Two residual sections on images of three channels."""
    x = inputs = keras.Input((size, size, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same")(x)
    for _ in range(2):
        branch = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
        x = layers.Add()([x, branch])
    return keras.Model(inputs, x)


def network(inside, size=16):
    inputs = keras.Input((size, size, 3))
    x = layers.GlobalAveragePooling2D()(inside(inputs))
    return keras.Model(inputs, layers.Dense(2)(x))


def macs(model, closed=()):
    return count_macs(layers_at_work(model, closed))


def test_it_costs_what_it_costs_with_the_size_given_inside():
    assert macs(network(backbone())) == macs(network(backbone(16)))
    costs = summarize(network(backbone()), latency=False)
    assert costs.macs == summarize(network(backbone(16)), latency=False).macs


def test_so_do_its_sections():
    found, known = (find_sections(network(backbone(size))) for size in (None, 16))
    assert [section.macs for section in found] == [section.macs for section in known]
    # Eight by eight places, four channels to four, windows of nine.
    assert found[0].macs == 8 * 8 * 4 * 4 * 9


def test_so_does_what_is_left_behind_a_closed_gate():
    gated = gate_sections(network(backbone()))
    first, _ = find_gates(gated)
    assert macs(gated) - macs(gated, {first}) == 8 * 8 * 4 * 4 * 9


def test_models_inside_of_it_are_as_large_as_it_makes_them():
    middle = keras.Sequential([keras.Input((None, None, 3)), backbone()])
    assert macs(network(middle)) == macs(network(backbone(16)))
    assert find_sections(network(middle))[0].macs == 8 * 8 * 4 * 4 * 9


def test_each_call_counts_with_its_own_size():
    inside = backbone()
    large, small = keras.Input((16, 16, 3)), keras.Input((8, 8, 3))
    both = keras.Model([large, small], [inside(large), inside(small)])
    sizes = (backbone(16), backbone(8))
    assert macs(both) == sum(map(macs, sizes))


@pytest.mark.parametrize("around", [GatedLayer, GatedResidual, lambda block: block])
def test_the_parts_of_gated_layers_are_as_large_as_their_input(around):
    inner = keras.Input((None, None, 3))
    block = keras.Model(inner, layers.Conv2D(3, 3, padding="same")(inner))
    inputs = keras.Input((6, 6, 3))
    outputs = around(block)(inputs)
    assert macs(keras.Model(inputs, outputs)) == 6 * 6 * 3 * 3 * 9


def test_a_network_is_let_go_after_its_sizes_have_been_inferred():
    model = network(backbone())
    macs(model)
    seen = [weakref.ref(layer) for layer in (model, *model.layers)]
    del model
    gc.collect()
    assert [layer() for layer in seen] == [None] * len(seen)


class TellsOnce(layers.Layer):
    """A layer that says what it returns when it is called, and then no more."""

    told = False

    def call(self, inputs):
        return inputs

    def compute_output_spec(self, inputs):
        if self.told and inputs.shape[1] is not None:
            raise NotImplementedError
        self.told = inputs.shape[1] is not None
        return keras.KerasTensor(inputs.shape, inputs.dtype)


def test_sizes_count_as_one_where_a_layer_does_not_tell_them():
    inner = keras.Input((None, 3))
    inside = keras.Model(inner, layers.Dense(3)(TellsOnce()(inner)))
    inputs = keras.Input((5, 3))
    assert macs(keras.Model(inputs, inside(inputs))) == 3 * 3
