"""The equivalence check: how far apart the outputs of two models are."""

import keras
import numpy as np
from keras import tree

from keras_layer_prune import _keras_private as private
from keras_layer_prune._checks import sentence
from keras_layer_prune.graph.checks import check_graph
from keras_layer_prune.graph.random_inputs import random_inputs


def max_difference(model_a, model_b, inputs=None) -> float:
    """Largest absolute difference between the outputs of two models.

    Args:
        model_a: Keras model.
        model_b: Keras model with the same inputs.
        inputs: What both are called on, structured as their inputs. None: 8 random
            examples, or as many as the inputs of `model_a` say, normal for floating
            inputs, empty for strings and zeros for others, from a fixed seed; unknown
            sizes become 16.

    Returns:
        Float, in the units of the outputs. Infinity if an output is NaN in one model
        only, or is of strings that are not the same.

    Raises:
        TypeError: If a model is no Keras model.
        ValueError: If the outputs differ in number or shape, a model cannot be called
            on the inputs, or there are none and `model_a` does not show its own.

    Example:

    >>> keras_layer_prune.max_difference(model.network, slim) < 1e-5
    True
    """
    for name, model in (("model_a", model_a), ("model_b", model_b)):
        if not isinstance(model, keras.Model):
            raise TypeError(
                f"`{name}` must be a Keras model. Received: {name}={model!r}"
            )
    if inputs is None:
        inputs = random_inputs(_input_structure(model_a), batch_size=8)
    outputs_a, outputs_b = (_outputs(model, inputs) for model in (model_a, model_b))
    shapes_a = [tuple(x.shape) for x in outputs_a]
    shapes_b = [tuple(x.shape) for x in outputs_b]
    if shapes_a != shapes_b:
        raise ValueError(
            "The models cannot be compared, their outputs have different shapes: "
            f"`{model_a.name}` returns {shapes_a}, `{model_b.name}` returns {shapes_b}."
        )
    return max(map(_largest_difference, outputs_a, outputs_b))


def _outputs(model, inputs) -> list:
    try:
        return tree.flatten(model(inputs, training=False))
    except Exception as error:
        raise ValueError(
            f"`{model.name}` cannot be called on `inputs`: {sentence(error)} Give "
            "both models the same inputs, structured as `model.input` is."
        ) from error


def _input_structure(model):
    graph = private.graph_of(model)
    if graph is None and not hasattr(model, "input"):
        check_graph(model, "model_a")
    # A sequential model has no `input` of its own.
    return model.input if graph is None else private.input_structure(graph)


def _largest_difference(a, b) -> float:
    a, b = (keras.ops.convert_to_numpy(x) for x in (a, b))
    if a.dtype == object:
        return 0.0 if np.array_equal(a, b) else float("inf")
    a, b = (x.astype("complex128") for x in (a, b))
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return float("inf")
    apart = np.hypot(_gaps(a.real, b.real), _gaps(a.imag, b.imag))
    return float(np.nanmax(apart, initial=0.0))


def _gaps(a, b):
    # Two equal infinities are not apart, but NumPy cannot subtract them.
    return np.subtract(a, b, out=np.zeros_like(a), where=a != b)
