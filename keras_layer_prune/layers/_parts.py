"""What layers that hold others do with them: check, build, compare their shapes."""

import functools
import inspect

import keras
import tensorflow as tf
from keras import tree

from keras_layer_prune import _keras_private as private
from keras_layer_prune.layers.bernoulli_gate import BernoulliGate


def checked_layer(name, layer):
    """Return `layer`, or raise if it is not a Keras layer."""
    if not isinstance(layer, keras.layers.Layer):
        raise TypeError(
            f"`{name}` must be a Keras layer or model. Received: {name}={layer!r}"
        )
    return layer


def checked_section(name, layer):
    """Return `layer`, or raise if it holds a gate that no graph would show."""
    holds_one = holds_gate(checked_layer(name, layer))
    has_graph = isinstance(layer, keras.Sequential) or private.graph_of(layer)
    if holds_one and not has_graph:
        raise ValueError(
            f"`{name}` is a gate, or holds one that no graph would show. Received: "
            f"{name}={layer!r}. Take it without its gate; or put a `GatedLayer` or a "
            "`GatedResidual` into a model, `keras.Sequential([layer])`, to have both."
        )
    return layer


def holds_gate(layer) -> bool:
    """Whether a layer is a gate, or one is anywhere inside of it."""
    return any(isinstance(x, BernoulliGate) for x in private.all_layers(layer))


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


def check_single(layer, what, value):
    """Raise if a layer with a gate is given, or would return, several tensors.

    Args:
        layer: The layer with the gate.
        what: String, where the tensors come from.
        value: Shape, tensor, or structure of these.
    """
    is_several = isinstance(value, dict) or (
        isinstance(value, tuple | list)
        and any(not isinstance(size, int | None) for size in value)
    )
    if is_several:
        raise TypeError(
            f"`{layer.name}` needs one tensor from {what}, to which it can be added. "
            f"Received: a {type(value).__name__} of {len(value)}. Gate a layer that "
            "works on one tensor, or use `BernoulliGate` in a functional model."
        )


def may_be_equal(shape, other_shape) -> bool:
    """Whether two shapes are equal as far as they are known."""
    return tf.TensorShape(shape).is_compatible_with(other_shape)


def traced_spec(layer, args, kwargs):
    """What a layer returns, by a trace of its call, which builds what is inside.

    Args:
        layer: The layer.
        args: Tuple of the positional arguments of its call.
        kwargs: Dictionary of the others.
    """
    args, kwargs = tree.map_structure(_as_it_runs, (args, kwargs))
    return keras.Operation.compute_output_spec(layer, *args, **kwargs)


def _as_it_runs(value):
    """A tensor that Keras says is sparse, as dense as it is when the network runs."""
    is_said_to_be = isinstance(value, keras.KerasTensor) and value.sparse
    if not is_said_to_be or private.is_sparse(value):
        return value
    dense = keras.KerasTensor(value.shape, value.dtype)
    return private.with_mask(dense, private.mask_of(value))


def mask_after(layer, inputs, mask):
    """The mask that Keras gives the output of a layer, or None.

    Args:
        layer: The layer.
        inputs: The tensor that it is called on.
        mask: The mask of `inputs`, or None.
    """
    return layer.compute_mask(inputs, mask) if layer.supports_masking else None


def joint_mask(masks):
    """The mask of a sum of tensors, as `keras.layers.Add` has it."""
    if any(mask is None for mask in masks):
        return None
    first, *others = masks
    # Most often they are one and the same.
    others = [mask for mask in others if mask is not first]
    return functools.reduce(keras.ops.logical_or, others, first)


def mask_behind(gate, mask, kept):
    """The mask behind a gate: that of what is left where the gate is closed.

    Where the section takes the mask away there is none, open or closed: what stands
    behind would see other steps as soon as the gate closes.

    Args:
        gate: `BernoulliGate`.
        mask: The mask where the gate is open, or None.
        kept: The mask of what is left where it is closed, or None.
    """
    if mask is None or mask is kept:
        return mask
    kept = tf.ones_like(mask) if kept is None else kept
    return tf.where(gate.probability.value > 0.0, mask, kept)
