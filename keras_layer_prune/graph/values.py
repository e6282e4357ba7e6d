"""The new tensors of a graph that is being traced again, by the old ones."""

import keras

from keras_layer_prune.graph.status import Status


class Values:
    """New tensors by old tensor, with zeros made real where nothing else will do.

    Args:
        old_inputs: List of the old graph's inputs.
        new_inputs: List of the new graph's inputs.
        statuses: Dictionary from `tensor_statuses` of the old graph.
    """

    def __init__(self, old_inputs, new_inputs, statuses):
        self.statuses = statuses
        self._source = old_inputs[0]
        self._values: dict = {}
        self.update(old_inputs, new_inputs)

    def update(self, old, new):
        """Note the new tensors for some old ones."""
        self._values.update(zip(map(id, old), new, strict=True))

    def is_zero(self, old) -> bool:
        """Whether nothing is left of an old tensor."""
        return self.statuses[id(old)] == Status.ZERO

    def has_zero(self, call) -> bool:
        """Whether nothing is left of one of a call's inputs."""
        return any(self.is_zero(x) for x in call.inputs)

    def tensor(self, old):
        """The new tensor for an old one; zeros if that is what it became."""
        if self.is_zero(old):
            return _zeros_like(old, self._values[id(self._source)])
        return self._values[id(old)]


def _zeros_like(old, source):
    """Zeros in the place of `old`, with the batch size of `source`.

    Only plain Keras operations, so that the result is saved and loaded without this
    package.
    """
    shape = tuple(old.shape)
    if None in shape[1:]:
        raise ValueError(
            f"The tensor `{old.name}` of shape {shape} becomes zero and something "
            "still needs it, but its size is not known. Give the network's inputs a "
            "fixed size, or move the gate so that an addition takes its output."
        )
    column = keras.ops.zeros_like(source)
    if len(source.shape) > 1:
        column = keras.ops.sum(column, axis=tuple(range(1, len(source.shape))))
    column = keras.ops.cast(column, old.dtype)
    column = keras.ops.reshape(column, (-1,) + (1,) * (len(shape) - 1))
    return keras.ops.tile(column, (1, *shape[1:]))
