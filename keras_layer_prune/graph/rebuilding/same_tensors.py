"""Which tensors of a graph are one tensor when it runs, and so have one mask."""

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.linear.linearity import is_identity
from keras_layer_prune.graph.reading.operations import is_keras

# When nothing is trained, these return what they are called on.
_HAND_ON = (
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "ActivityRegularization",
)


def first_of(tensor):
    """The first of the tensors before one that are the very same when all runs.

    Not so in training, where dropout makes new ones.
    """
    while (before := _handed_on(private.call_of(tensor), tensor)) is not None:
        tensor = before
    return tensor


def _handed_on(call, output):
    """The operand that a call returns as it is, as the given output, or None."""
    if any(is_keras(call.operation, name) for name in _HAND_ON) or is_identity(call):
        return call.operands[0]
    inner = private.graph_of(call.operation)
    if inner is None:
        return None
    place = next(i for i, x in enumerate(call.outputs) if x is output)
    start = first_of(inner.outputs[place])
    pairs = zip(private.nested_arguments(call, inner), inner.inputs, strict=True)
    return next((given for given, own in pairs if own is start), None)
