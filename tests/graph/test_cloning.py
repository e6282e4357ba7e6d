"""Layers and raw operations made again from what they are made of."""

import keras
import numpy as np
import pytest

from keras_layer_prune.graph.cloning import clone_operation


class NotRegistered(keras.layers.Layer):
    """A custom layer of a user who has never saved it."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(units)

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, inputs):
        return self.dense(inputs)

    def get_config(self):
        return {**super().get_config(), "units": self.dense.units}


def test_a_custom_layer_needs_no_registration():
    clone = clone_operation(NotRegistered(3, name="mine"))
    assert type(clone) is NotRegistered
    assert (clone.name, clone.dense.units) == ("mine", 3)


def test_a_custom_layer_inside_of_a_model_needs_no_registration():
    model = keras.Sequential([keras.Input((2,)), NotRegistered(3)])
    clone = clone_operation(model)
    assert type(clone.layers[0]) is NotRegistered
    assert clone.layers[0] is not model.layers[0]


def test_weights_are_not_shared_with_the_original():
    original = keras.layers.Dense(3)
    original.build((None, 2))
    clone = clone_operation(original)
    clone.build((None, 2))
    assert clone.kernel is not original.kernel


def test_a_raw_operation_keeps_its_arguments():
    tensor = keras.ops.reshape(keras.Input((6,)), (-1, 2, 3))
    clone = clone_operation(tensor._keras_history.operation)
    assert clone(np.arange(12.0).reshape(2, 6)).shape == (2, 2, 3)


def test_a_raw_operation_needs_no_config():
    inputs = keras.Input((2,))
    clipped = keras.ops.clip(inputs, np.float32(0.0), np.float32(1.0))
    operation = clipped._keras_history.operation
    clone = clone_operation(operation)
    np.testing.assert_array_equal(clone(np.array([[-1.0, 2.0]])), [[0.0, 1.0]])
    clone(keras.Input((2,)))
    # It knows nothing of the network that the old one is part of.
    assert clone.output is not clipped and operation.output is clipped


def test_a_lambda_layer_keeps_its_function():
    layer = keras.layers.Lambda(lambda x: 2.0 * x, name="doubled")
    clone = clone_operation(layer)
    assert clone is not layer
    assert clone.name == "doubled"
    np.testing.assert_array_equal(clone(np.ones(3)), [2.0, 2.0, 2.0])


@pytest.mark.parametrize(
    "layer",
    [keras.layers.Dense(3, name="old"), keras.layers.Lambda(abs, name="old")],
    ids=lambda layer: type(layer).__name__,
)
def test_a_copy_can_have_another_name(layer):
    assert clone_operation(layer, "new").name == "new"
    assert clone_operation(layer).name == "old"


def test_a_layer_without_a_config_is_an_error_whose_advice_works():
    class Scale(keras.layers.Layer):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, inputs):
            return inputs * self.factor

    class ScaleWithConfig(Scale):
        def get_config(self):
            return {**super().get_config(), "factor": self.factor}

    unclear = Scale(np.ones(3), name="mine")
    with pytest.raises(ValueError, match="(?s)`mine` of class Scale.*`get_config"):
        clone_operation(unclear)
    assert clone_operation(ScaleWithConfig(2.0)).factor == 2.0
