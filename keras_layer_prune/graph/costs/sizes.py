"""How large the tensors of a nested model are where it is called.

A model that was made for images of any size has graphs in which no size is known; what
it costs, only its call tells.
"""

import weakref

import keras
from keras import tree

from keras_layer_prune import _keras_private as private

# To infer sizes takes some tenths of a second for a large model, and costs are asked
# for at every look at a network.
_INFERRED: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def sizes_of(graph, given) -> dict[int, keras.KerasTensor]:
    """The tensors of a graph as large as they are when it is called.

    Args:
        graph: Functional model.
        given: List of the symbolic tensors that it is called on, in the order of its
            inputs; None for an optional one that is left out.

    Returns:
        Dictionary from `id` of a tensor of the graph to a `keras.KerasTensor`. Empty
        where the graph knows as much by itself, or its operations do not tell.
    """
    known = [_shape(x) for x in graph.inputs]
    shapes = tuple(_shape(x) for x in given)
    if len(shapes) != len(known) or all(map(_says_no_more, shapes, known)):
        return {}
    inferred = _INFERRED.setdefault(graph, {})
    if shapes not in inferred:
        inferred[shapes] = _inferred(graph, given)
    return inferred[shapes]


def sizes_inside(graph, sizes=None) -> dict[int, keras.KerasTensor]:
    """What `sizes_of` says of all graphs inside of one, each where it is called first.

    Args:
        graph: Functional model.
        sizes: What `sizes_of` says of the graph itself.
    """
    found = dict(sizes or {})
    for call in private.calls(graph):
        inner = private.graph_of(call.operation)
        if inner is not None:
            given = private.nested_arguments(sized(call, found), inner)
            inside = sizes_inside(inner, sizes_of(inner, given))
            found = {**inside, **found}
    return found


def sized(call, sizes):
    """A call with its tensors as large as they are known to be.

    Args:
        call: Call of a graph.
        sizes: Dictionary from `sizes_of`.
    """
    if not sizes:
        return call
    args, kwargs, inputs, outputs = tree.map_structure(
        lambda x: sizes.get(id(x), x), list(call[1:])
    )
    return call._replace(args=args, kwargs=kwargs, inputs=inputs, outputs=outputs)


def _shape(tensor):
    # All costs are those of one example.
    return None if tensor is None else tuple(tensor.shape[1:])


def _says_no_more(given, known) -> bool:
    return given is None or given == known


def _inferred(graph, given) -> dict[int, keras.KerasTensor]:
    # Not the tensors themselves, which know the graph: it would never be let go.
    sizes = {
        id(own): keras.KerasTensor(x.shape, x.dtype)
        for own, x in zip(graph.inputs, given, strict=True)
        if x is not None
    }
    for call in private.calls(graph):
        here = sized(call, sizes)
        try:
            outputs = call.operation.compute_output_spec(*here.args, **here.kwargs)
        except Exception:
            # It is for a count, which must not fail because of it.
            return {}
        sizes.update(zip(map(id, call.outputs), tree.flatten(outputs), strict=True))
    return sizes
