"""The new tensors of a graph that is being traced again, by the old ones."""

import keras

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.reading.operations import is_keras, joins_alike
from keras_layer_prune.graph.reading.status import Status
from keras_layer_prune.graph.rebuilding import identities
from keras_layer_prune.graph.rebuilding.same_tensors import first_of


class Values:
    """New tensors by old tensor, with zeros made real where nothing else will do.

    Args:
        old_inputs: List of the old graph's inputs.
        new_inputs: List of the new graph's inputs.
        statuses: Dictionary from `tensor_statuses` of the old graph.
        masks: `Masks` of the old network.
    """

    def __init__(self, old_inputs, new_inputs, statuses, masks):
        self.statuses = statuses
        self._masks = masks
        # Less those that are gone from here on.
        self._masked = set(masks.masked)
        self._inputs = list(old_inputs)
        self._values: dict = {}
        self.update(old_inputs, new_inputs)

    def update(self, old, new):
        """Note the new tensors for some old ones."""
        self._values.update(zip(map(id, old), new, strict=True))

    def is_zero(self, old) -> bool:
        """Whether nothing is left of an old tensor."""
        return self.statuses[id(old)] == Status.ZERO

    def live(self, old) -> list:
        """Those of some old tensors of which something is left."""
        return [x for x in old if not self.is_zero(x)]

    def has_zero(self, call) -> bool:
        """Whether nothing is left of one of a call's inputs."""
        return any(self.is_zero(x) for x in call.inputs)

    def is_masked(self, old) -> bool:
        """Whether a tensor may carry a mask when the graph runs."""
        return id(old) in self._masked

    def unmasked_by(self, call) -> list:
        """The tensors that a call takes the masks away from."""
        return self._masks.taken_by(call)

    def drop_masks(self, old):
        """Go on without the masks of some old tensors, where they may carry any."""
        # What nothing else needs has no new tensor.
        for key in self._masked & {id(x) for x in old} & self._values.keys():
            self._values[key] = identities.unmasked(self._values[key])
            self._masked.remove(key)

    def merged(self, taken, later) -> list:
        """Those of some old tensors that are one tensor with others when all runs.

        Args:
            taken: List of tensors of the old graph.
            later: Set of `id`s of the others. Only those that may carry masks count.
        """
        masked = self._masked & self._values.keys()
        own = {id(x): x for x in taken if id(x) in masked}
        others = {self._key_when_run(key) for key in masked & later - own.keys()}
        return [x for key, x in own.items() if self._key_when_run(key) in others]

    def _key_when_run(self, key) -> int:
        return id(first_of(self._values[key]))

    def tensor(self, old, call=None):
        """The new tensor for an old one; zeros if that is what it became.

        Args:
            old: Tensor of the old graph.
            call: The call that takes it, or None for an output.
        """
        if not self.is_zero(old):
            return self._values[id(old)]
        beside = self._beside(old, call)
        if beside is not None:
            return _zeros_beside(old, self._values[id(beside)])
        return _zeros_like(old, self._values[id(_with_batch(self._inputs))])

    def _beside(self, old, call):
        """A tensor of the same call that has every size that `old` has, or None."""
        if call is None or not _takes_equal_sizes(call, old):
            return None
        live = (x for x in call.inputs if id(x) in self._values)
        return next((x for x in live if _has_sizes_of(x, old)), None)


def _takes_equal_sizes(call, old) -> bool:
    """Whether inputs have the size of `old` along each axis where it is not known."""
    operation = call.operation
    if is_keras(operation, "Concatenate"):
        return old.shape[operation.axis] is not None
    return joins_alike(operation)


def _has_sizes_of(tensor, old) -> bool:
    """Whether a tensor's size is not known either where that of `old` is not."""
    pairs = zip(tensor.shape, old.shape, strict=False)
    return (
        len(tensor.shape) == len(old.shape)
        and not (tensor.ragged or private.is_sparse(tensor))
        and all(size is None for size, other in pairs if other is None)
    )


def _with_batch(inputs):
    """The input of a network that is most like to tell the batch size."""

    def is_plain(x):
        is_left_out = getattr(private.producer(x), "optional", False)
        is_dense = not (x.sparse or x.ragged or x.dtype == "string")
        return is_dense and not is_left_out and x.shape[:1] == (None,)

    return next(filter(is_plain, inputs), inputs[0])


def _zeros_beside(old, source):
    """Zeros in the place of `old`, with the sizes of `source` where none is known."""
    known = [axis for axis, size in enumerate(old.shape) if size is not None]
    zeros = keras.ops.zeros_like(source)
    if known:
        zeros = keras.ops.sum(zeros, axis=known, keepdims=True)
        zeros = keras.ops.tile(zeros, [1 if n is None else n for n in old.shape])
    return keras.ops.cast(zeros, old.dtype)


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
            "fixed size, or move the gate so that its output is only added to tensors "
            "that have its shape."
        )
    column = keras.ops.zeros_like(source)
    if len(source.shape) > 1:
        column = keras.ops.sum(column, axis=tuple(range(1, len(source.shape))))
    column = keras.ops.cast(column, old.dtype)
    column = keras.ops.reshape(column, (-1,) + (1,) * (len(shape) - 1))
    return keras.ops.tile(column, (1, *shape[1:]))
