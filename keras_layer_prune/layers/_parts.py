"""What layers that hold others do with them: check, build, compare their shapes."""

import inspect

import keras
import tensorflow as tf

from keras_layer_prune.layers.bernoulli_gate import BernoulliGate


def checked_layer(name, layer):
    """Return `layer`, or raise if it is not a Keras layer."""
    if not isinstance(layer, keras.layers.Layer):
        raise TypeError(
            f"`{name}` must be a Keras layer or model. Received: {name}={layer!r}"
        )
    return layer


def checked_gate(gate):
    """Return `gate`, a fresh one for None, or raise if it is not a gate."""
    if gate is None:
        return BernoulliGate()
    if not isinstance(gate, BernoulliGate):
        raise TypeError(f"`gate` must be a `BernoulliGate`. Received: gate={gate!r}")
    return gate


def build_part(layer, input_shape):
    """Build a layer inside another one, if the shape of one input is enough for it.

    Others are built when the call is traced: layers without a `build` of their own,
    which Keras would take for built, and layers of several inputs.
    """
    has_own_build = type(layer).build is not keras.layers.Layer.build
    number_of_shapes = len(inspect.signature(layer.build).parameters)
    # A layer that comes out of a saved file is built already.
    if not layer.built and has_own_build and number_of_shapes == 1:
        layer.build(input_shape)


def may_be_equal(shape, other_shape) -> bool:
    """Whether two shapes are equal as far as they are known."""
    return tf.TensorShape(shape).is_compatible_with(other_shape)
