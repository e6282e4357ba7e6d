"""The linear way around a section that changes its input's shape."""

import math
from typing import NamedTuple

import keras

from keras_layer_prune import _keras_private as private

# By the number of axes between the batch and the channels.
_CROPPINGS = {
    1: keras.layers.Cropping1D,
    2: keras.layers.Cropping2D,
    3: keras.layers.Cropping3D,
}
_POOLINGS = {
    1: keras.layers.AveragePooling1D,
    2: keras.layers.AveragePooling2D,
    3: keras.layers.AveragePooling3D,
}
_CONVOLUTIONS = {
    1: keras.layers.Conv1D,
    2: keras.layers.Conv2D,
    3: keras.layers.Conv3D,
}


def linear_shortcut(section, input_shape, output_shape, name, dtype=None):
    """A linear layer from the shape of a section's input to that of its output.

    The resolution changes as the section changes it: what convolutions without padding
    take off at the borders is cropped, what strides and poolings join is averaged. Then
    a matrix maps the channels of each position, if their number changes. There are no
    offsets, so that zero is mapped to zero.

    Args:
        section: Layer or model that the shortcut leads around; its layers say on which
            axis the channels are.
        input_shape: Tuple, the batch first.
        output_shape: Tuple, the batch first; different from `input_shape`.
        name: String, with which the names of the layers begin.
        dtype: Dtype policy of the layers. None: the global one.

    Returns:
        A Keras layer that is not built, a `keras.Sequential` where it takes several.

    Raises:
        ValueError: If no such layer can be made.

    Example:

    >>> section = keras.layers.Conv2D(6, 5, activation="tanh")
    >>> shapes = (None, 28, 28, 1), (None, 24, 24, 6)
    >>> shortcut = linear_shortcut(section, *shapes, "stem")
    >>> [type(layer).__name__ for layer in shortcut.layers]
    ['Cropping2D', 'Conv2D']
    """
    plan = _plan(section, input_shape, output_shape)
    why_not = _why_not(plan)
    if why_not:
        raise ValueError(
            f"`{name}` cannot make a linear shortcut around its section "
            f"`{section.name}`, which maps {tuple(input_shape)} to "
            f"{tuple(output_shape)}: {why_not}. Give a `shortcut` layer that maps to "
            "the section's output shape, or make the section keep its shape."
        )
    layers = [*_cropping(plan, name, dtype), *_pooling(plan, name, dtype)]
    if plan.channels[0] != plan.channels[1]:
        layers.append(_projection(plan, name, dtype))
    if len(layers) == 1:
        return layers[0]
    return keras.Sequential(layers, name=f"{name}_shortcut")


class _Plan(NamedTuple):
    """What has to change between two shapes.

    Attributes:
        ranks: Pair of ints, axes of the input and of the output, the batch included.
        formats: Set of strings, where the section's layers look for the channels.
        lengths: List of pairs, for each axis that is neither batch nor channels its
            length before and after.
        channels: Pair, their number before and after.
        strides: List of tuples, those of the section's layers.
    """

    ranks: tuple
    formats: set
    lengths: list
    channels: tuple
    strides: list

    @property
    def data_format(self) -> str:
        """`"channels_last"` or `"channels_first"`."""
        return next(iter(self.formats))

    @property
    def steps(self) -> list:
        """A `_Resizing` for each of `lengths`."""
        strides = zip(*self.strides, strict=True)
        joined = [math.prod(s) for s in strides] or [None] * len(self.lengths)
        axes = zip(self.lengths, joined, strict=True)
        return [_resizing(before, after, stride) for (before, after), stride in axes]


def _plan(section, input_shape, output_shape) -> _Plan:
    layers = private.all_layers(section)
    formats = {x.data_format for x in layers if hasattr(x, "data_format")}
    rank = len(input_shape) - 2
    strides = [getattr(x, "strides", ()) for x in layers]
    # Vectors have nothing but channels.
    if len(input_shape) == 2 or not formats:
        formats = {"channels_last"}
    is_last = formats == {"channels_last"} or len(output_shape) < 3
    axis = -1 if is_last else 1
    before, after = list(input_shape), list(output_shape)
    channels = before.pop(axis), after.pop(axis)
    lengths = list(zip(before[1:], after[1:], strict=False))
    ranks = (len(input_shape), len(output_shape))
    # Those of users' layers may be anything.
    strides = [s for s in strides if isinstance(s, tuple) and len(s) == rank]
    return _Plan(ranks, formats, lengths, channels, strides)


def _why_not(plan) -> str:
    """Why there is no linear layer for a plan; empty if there is one."""
    if plan.ranks[0] != plan.ranks[1]:
        return "the number of axes changes, as where a section flattens its input"
    if plan.ranks[0] - 2 not in (0, *_CONVOLUTIONS):
        return "it is neither of vectors nor of sequences, images or volumes"
    if len(plan.formats) > 1:
        return "its layers do not agree on a `data_format`"
    if any(None in pair for pair in [*plan.lengths, plan.channels]):
        return "not all sizes are known; give the network's inputs a fixed size"
    if any(after > before for before, after in plan.lengths):
        return "it makes its input longer"
    crops = any(step.cropped for step in plan.steps)
    if crops and len(plan.lengths) == 1 and plan.data_format == "channels_first":
        return "`keras.layers.Cropping1D` takes the channels last only"
    return ""


class _Resizing(NamedTuple):
    """How one axis gets to another length.

    Attributes:
        cropped: Int, places that are cut off, half of them at either end.
        factor: Int, places that are averaged.
        is_padded: Bool, whether the last ones may be fewer than `factor`.
    """

    cropped: int
    factor: int
    is_padded: bool


def _resizing(before, after, stride) -> _Resizing:
    """A resizing that looks where the section looks.

    Args:
        before: Int, length of the axis.
        after: Int, its length behind the section.
        stride: Int, how far apart the section's places lie, or None if its layers do
            not say.

    Returns:
        `_Resizing`.
    """
    # Any integer factor is an average: of all places, none cut off.
    if before % after == 0:
        return _Resizing(0, before // after, False)
    if stride is None or stride * after > before + stride - 1:
        stride = before // after
    # Strides with padding round up: 7 places become 4.
    if -(-before // stride) == after:
        return _Resizing(0, stride, True)
    return _Resizing(before - stride * after, stride, False)


def _cropping(plan, name, dtype) -> list:
    # An odd place is cut off at the end, where pooling without padding leaves it too.
    ends = [(step.cropped // 2, -(-step.cropped // 2)) for step in plan.steps]
    if not any(step.cropped for step in plan.steps):
        return []
    layer = _CROPPINGS[len(ends)]
    arguments = {"name": f"{name}_crop", "dtype": dtype}
    if len(ends) == 1:
        return [layer(ends[0], **arguments)]
    return [layer(ends, data_format=plan.data_format, **arguments)]


def _pooling(plan, name, dtype) -> list:
    factors = tuple(step.factor for step in plan.steps)
    if set(factors) <= {1}:
        return []
    layer = _POOLINGS[len(factors)](
        factors,
        padding="same" if any(step.is_padded for step in plan.steps) else "valid",
        data_format=plan.data_format,
        name=f"{name}_pool",
        dtype=dtype,
    )
    return [layer]


def _projection(plan, name, dtype):
    channels = plan.channels[1]
    # TensorFlow factorises no matrices in bfloat16.
    is_tiny = keras.dtype_policies.get(dtype).variable_dtype == "bfloat16"
    arguments = {
        "use_bias": False,
        # Orthogonal rows or columns keep the lengths of all signals on their way in,
        # or else of all gradients on their way back. So a chain of such maps neither
        # grows nor fades, however many sections have left it or are not of use yet;
        # products of matrices with independent entries lose most directions.
        "kernel_initializer": "glorot_normal" if is_tiny else "orthogonal",
        "name": f"{name}_project",
        "dtype": dtype,
    }
    rank = len(plan.lengths)
    if rank == 0 or rank == 1 and plan.data_format == "channels_last":
        # Unlike a convolution over sequences, it passes their mask on.
        return keras.layers.Dense(channels, **arguments)
    layer = _CONVOLUTIONS[rank]
    return layer(channels, 1, data_format=plan.data_format, **arguments)
