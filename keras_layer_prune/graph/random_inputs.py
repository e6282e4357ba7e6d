"""Inputs for a model of which nobody has given any."""

import numpy as np
import tensorflow as tf
from keras import tree

_UNKNOWN_SIZE = 16


def random_inputs(structure, batch_size):
    """Examples, normal for floating inputs, from a fixed seed.

    Args:
        structure: Nested structure of symbolic input tensors.
        batch_size: Int, the number of examples, unless an input says its own.

    Returns:
        Tensors in the same structure: empty for strings, zeros for other types that are
        not floating; unknown sizes become 16.
    """
    generator = np.random.default_rng(0)
    fixed = [x.shape[0] for x in tree.flatten(structure) if x.shape[0] is not None]
    # Of several sizes, those of 1 are of what is the same for all examples.
    examples = max(fixed, default=batch_size)

    def make(tensor):
        first, *rest = tensor.shape
        sizes = [_UNKNOWN_SIZE if n is None else n for n in rest]
        shape = [examples if first is None else first, *sizes]
        if "float" in tensor.dtype:
            return tf.constant(generator.normal(size=shape).astype(tensor.dtype))
        return (
            tf.fill(shape, "")
            if tensor.dtype == "string"
            else tf.zeros(shape, tensor.dtype)
        )

    return tree.map_structure(make, structure)
