"""The graphs in which the steps of a model were traced, and their memory."""

import weakref

import tensorflow as tf

# It has no public name.
from tensorflow.python.framework.ops import gradient_registry

# Operations that run functions of their own, traced where they were called.
_BRANCHING = ("If", "StatelessIf", "Case", "StatelessCase", "While", "StatelessWhile")


class StepGraphs:
    """Graphs that can go when no step that was traced in them runs any more.

    For every call of a `tf.custom_gradient` in a graph, TensorFlow registers a gradient
    for good. It holds the graph, and the graph all variables that it reads
    (https://github.com/tensorflow/tensorflow/issues/97697). Such a call is the sum over
    replicas in every optimizer of Keras, and `silu`. So the step of a network that is
    gone would keep its weights, and the optimizer's slots.
    """

    def __init__(self):
        self._graphs: weakref.WeakSet = weakref.WeakSet()

    def note(self):
        """Note the graph in which a step is being traced, if it is."""
        if not tf.executing_eagerly():
            self._graphs.add(tf.compat.v1.get_default_graph())

    def release(self):
        """Let all graphs go; of no call in them is a gradient taken any more."""
        for graph in list(self._graphs):
            for name in _registered_gradients(graph):
                gradient_registry._registry.pop(name, None)
        self._graphs.clear()


def _registered_gradients(graph):
    """Names of the gradients of a graph's own calls, not of functions that it calls.

    Those may be the user's, and be called again by the next step.
    """
    for operation in graph.get_operations():
        if operation.type == "IdentityN":
            yield operation.node_def.attr["_gradient_op_type"].s.decode()
        elif operation.type in _BRANCHING:
            for name in _branches(operation.node_def):
                yield from _registered_gradients(graph._get_function(name).graph)


def _branches(node):
    for attribute in node.attr.values():
        for function in [attribute.func, *attribute.list.func]:
            if function.name:
                yield function.name
