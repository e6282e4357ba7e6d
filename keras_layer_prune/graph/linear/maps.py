"""Linear layers as matrices, and two of them as one."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_layer_prune import _keras_private as private

_MAPS = {
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
}
# They treat all channels alike, so that a matrix for the channels may as well stand
# behind them.
_POOLINGS = {
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.AveragePooling3D,
}
_OVER_PLACES = _POOLINGS | {
    keras.layers.Cropping1D,
    keras.layers.Cropping2D,
    keras.layers.Cropping3D,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalAveragePooling3D,
    keras.layers.Flatten,
}
_GEOMETRY = ("kernel_size", "strides", "padding", "dilation_rate", "data_format")


class LinearMap(NamedTuple):
    """A dense layer or a convolution, or the product of several.

    Whether to multiply two is a matter of sizes; numbers are read at the end.

    Attributes:
        shape: Tuple, `(..., inputs, outputs)`: of the kernel, a matrix for each place
            that a convolution looks at.
        has_bias: Bool.
        numbers: Function without arguments that returns two float64 arrays, the kernel
            and the bias of shape `(outputs,)`, or None where there is none.
        layer: Keras layer, as which the kernel is applied.
        last: Keras layer, whose name, activation and place in the network it takes.
        places: Int, how often the kernel is applied per example.
        factors: Int, how many layers it is the product of.
    """

    shape: tuple
    has_bias: bool
    numbers: Callable
    layer: Any
    last: Any
    places: int
    factors: int = 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates per example."""
        return math.prod(self.shape) * self.places

    @property
    def is_pointwise(self) -> bool:
        """Whether it maps each place by itself, and leaves none out."""
        is_dense = isinstance(self.layer, keras.layers.Dense)
        return is_dense or {*self.layer.kernel_size, *self.layer.strides} == {1}


def is_map(layer) -> bool:
    """Whether a layer multiplies by a kernel, and does nothing else but activate.

    Conservative: a layer that is not exactly Keras's, that is regularized, constrained,
    frozen in part or quantized, that activates by a layer, which may have weights, or
    computes in another precision than float32, is none.
    """
    return (
        type(layer) in _MAPS
        and _is_float32(layer)
        and getattr(layer, "groups", 1) == 1
        and not (layer.activity_regularizer or layer.lora_enabled)
        and private.all_layers(layer) == [layer]
        and all(_is_usual(weight, layer) for weight in layer.weights)
    )


def is_over_places(layer) -> bool:
    """Whether a layer averages, drops or lists places, for each channel alike."""
    return type(layer) in _OVER_PLACES and _is_float32(layer)


def is_activated(layer) -> bool:
    """Whether a nonlinearity follows in the same layer."""
    activation = getattr(layer, "activation", None)
    return activation not in (None, keras.activations.linear)


def map_of(layer, macs) -> LinearMap:
    """A built layer, for which `is_map` holds, as a linear map.

    Args:
        layer: Keras layer.
        macs: Int, its multiply-accumulates per example.

    Returns:
        `LinearMap`.
    """
    shape, has_bias = tuple(layer.kernel.shape), layer.use_bias

    def numbers():
        return _float64(layer.kernel), _float64(layer.bias) if has_bias else None

    return LinearMap(shape, has_bias, numbers, layer, layer, macs // math.prod(shape))


def product(first, second, between=()) -> LinearMap | None:
    """Two maps as one, which stands where the second one did.

    Args:
        first: `LinearMap` without an activation.
        second: `LinearMap`.
        between: Layers between the two, for which `is_over_places` holds; they come
            before the product.

    Returns:
        `LinearMap`, or None if it is not plain that one map does what the two did.
    """
    layers = [first.layer, *between, second.layer]
    # A dense layer maps the last axis, and so do layers that know no other.
    formats = {getattr(layer, "data_format", "channels_last") for layer in layers}
    if len(formats) > 1 or first.last.trainable != second.last.trainable:
        return None
    if first.is_pointwise and _may_come_later(first, between, second):
        return _joined(first, second, applied_as=second)
    if second.is_pointwise and not between:
        return _joined(first, second, applied_as=first)
    return None


def as_layer(linear_map):
    """A new Keras layer for a product, and the arrays that are its weights."""
    layer, last = linear_map.layer, linear_map.last
    new = type(layer)(
        linear_map.shape[-1],
        **{name: getattr(layer, name) for name in _GEOMETRY if hasattr(layer, name)},
        use_bias=linear_map.has_bias,
        name=last.name,
        trainable=last.trainable,
        dtype=last.dtype_policy,
    )
    # A function of the user's, which no config would be needed for.
    new.activation = last.activation
    arrays = [array for array in linear_map.numbers() if array is not None]
    return new, [array.astype("float32") for array in arrays]


def pooled_once(first, second):
    """A new layer that averages as two layers do one behind the other, or None."""
    is_exact = (
        type(first) is type(second)
        and type(first) in _POOLINGS
        and first.strides == first.pool_size
        and first.padding == second.padding == "valid"
        and first.data_format == second.data_format
    )
    if not is_exact:
        return None
    return type(second)(
        tuple(a * b for a, b in zip(first.pool_size, second.pool_size, strict=True)),
        tuple(a * b for a, b in zip(first.strides, second.strides, strict=True)),
        data_format=second.data_format,
        name=second.name,
        dtype=second.dtype_policy,
    )


def _is_float32(layer) -> bool:
    return layer.dtype_policy.name == "float32"


def _is_usual(weight, layer) -> bool:
    """Whether a weight trains as its layer does, and as the data alone say."""
    is_bound = weight.regularizer is not None or weight.constraint is not None
    return weight.trainable == layer.trainable and not is_bound


def _float64(variable) -> np.ndarray:
    return variable.numpy().astype("float64")


def _may_come_later(first, between, second) -> bool:
    """Whether a matrix for the channels may move behind what follows it."""
    if not first.has_bias:
        return True
    # An offset stays what it was, unless padding puts zeros beside it.
    return not any(map(_pads, [*between, second.layer]))


def _pads(layer) -> bool:
    sizes = [getattr(layer, name, ()) for name in ("kernel_size", "pool_size")]
    is_wide = any(length > 1 for size in sizes for length in size)
    return is_wide and layer.padding != "valid"


def _joined(first, second, applied_as) -> LinearMap:
    is_applied_as_second = applied_as is second

    def numbers():
        return _multiplied(first.numbers(), second.numbers(), is_applied_as_second)

    inputs, middle = first.shape[-2:]
    *places, rows, outputs = second.shape
    if is_applied_as_second:
        shape = (*places, rows // middle * inputs, outputs)
    else:
        shape = (*first.shape[:-1], outputs)
    return LinearMap(
        shape,
        first.has_bias or second.has_bias,
        numbers,
        applied_as.layer,
        second.last,
        applied_as.places,
        first.factors + second.factors,
    )


def _multiplied(first, second, is_applied_as_second):
    """Kernel and bias of two maps, one behind the other, from theirs."""
    (kernel, offset), (last, bias) = first, second
    inputs, middle = kernel.shape[-2:]
    outputs = last.shape[-1]
    # Behind a `Flatten`, a dense layer has a matrix for each place that was listed.
    matrices = last.reshape(-1, middle, outputs)
    if offset is not None:
        offset = offset @ matrices.sum(axis=0)
        bias = offset if bias is None else offset + bias
    if is_applied_as_second:
        whole = kernel.reshape(inputs, middle) @ matrices
        return whole.reshape(*last.shape[:-2], -1, outputs), bias
    return kernel @ matrices[0], bias
