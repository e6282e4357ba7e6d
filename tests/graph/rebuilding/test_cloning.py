"""Layers and raw operations made again from what they are made of."""

import keras
import numpy as np
import pytest

import keras_layer_prune as klp
from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.rebuilding.cloning import clone_operation


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


def relu(x):
    """Not the one of Keras."""
    return keras.ops.leaky_relu(x, 0.3)


def another(function):
    """A function of the same name."""

    def relu(x):
        return function(x) + 1.0

    return relu


FUNCTIONS = {
    "with a name of Keras's": (relu,),
    "without a name": (lambda x: 2.0 * x,),
    "of equal names": (relu, another(relu)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    "around",
    [keras.Sequential, keras.layers.Wrapper, klp.GatedResidual, klp.GatedLayer],
)
def test_a_copy_computes_with_the_users_functions(name, around):
    functions = FUNCTIONS[name]
    dense = [keras.layers.Dense(3, activation=f) for f in functions]
    row = keras.Sequential([keras.Input((3,)), *dense])
    layer = row if around is keras.Sequential else around(row)
    before = functions_in(layer)
    assert set(before) == set(functions)
    assert functions_in(clone_operation(layer)) == before
    # The old layer is as it was.
    assert functions_in(layer) == before


def functions_in(layer):
    parts = private.all_layers(layer)
    return [part.activation for part in parts if isinstance(part, keras.layers.Dense)]


def test_a_lambda_layer_inside_of_a_layer_keeps_its_function():
    doubled = keras.layers.Lambda(lambda x: factor * x)
    factor = 2.0
    section = keras.Sequential([keras.Input((3,)), doubled, keras.layers.Dense(3)])
    clone = clone_operation(klp.GatedResidual(section))
    assert clone.section.layers[0].function is doubled.function


class ReadsItsConfig(keras.layers.Layer):
    """A layer that makes its function from what a file would hold."""

    def __init__(self, activation, **kwargs):
        super().__init__(**kwargs)
        self.activation = activation

    def get_config(self):
        activation = keras.saving.serialize_keras_object(self.activation)
        return {**super().get_config(), "activation": activation}

    @classmethod
    def from_config(cls, config):
        activation = keras.saving.deserialize_keras_object(config.pop("activation"))
        return cls(activation, **config)


class HandsItOn(ReadsItsConfig):
    """A layer whose config holds the function itself."""

    def get_config(self):
        return {**super().get_config(), "activation": self.activation}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@pytest.mark.parametrize("kind", [ReadsItsConfig, HandsItOn])
def test_a_layer_may_write_its_function_down_as_it_likes(kind):
    assert clone_operation(kind(relu)).activation is relu


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
