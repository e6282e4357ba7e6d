"""Every private Keras name that this package touches, each with its reason.

Checked against Keras 3.15. If a Keras release breaks something, it breaks here.
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import tree
from keras.src.models.functional import Functional


class Call(NamedTuple):
    """One call of an operation (a layer, or a raw `keras.ops` function) in a graph."""

    operation: Any
    args: tuple
    kwargs: dict
    inputs: list
    outputs: list

    @property
    def operands(self) -> list:
        """The inputs less the mask, which Keras adds by itself."""
        mask = [id(x) for x in tree.flatten(self.kwargs.get("mask"))]
        return [x for x in self.inputs if id(x) not in mask]


def is_functional(model) -> bool:
    """Whether a model is a graph of calls that can be read.

    There is no public class for it: `keras.Model(inputs, outputs)` returns a
    `keras.src.models.functional.Functional`.
    """
    return isinstance(model, Functional)


def graph_of(model):
    """The functional graph of a functional or a built sequential model, or None.

    A built `keras.Sequential` keeps its graph in `_functional`. A subclass with a
    `call` of its own may do anything else with its graph, so it has none.
    """
    if isinstance(model, keras.Sequential):
        is_plain = type(model).call is keras.Sequential.call
        return model._functional if is_plain else None
    is_plain = is_functional(model) and type(model).call is Functional.call
    return model if is_plain else None


def calls(functional) -> list[Call]:
    """All calls of a functional model, in an order in which they can be run.

    `_nodes_by_depth` is the only place where a functional model keeps the arguments
    of its calls; `keras.models.clone_model(call_function=...)` shows them, but
    cannot leave a call out or return anything but tensors.
    """
    nodes_by_depth = functional._nodes_by_depth
    nodes = [
        n
        for depth in sorted(nodes_by_depth, reverse=True)
        for n in nodes_by_depth[depth]
    ]
    return [
        Call(
            node.operation,
            node.arguments.args,
            node.arguments.kwargs,
            node.arguments.keras_tensors,
            node.outputs,
        )
        for node in nodes
        if not node.is_input
    ]


def nested_arguments(call, functional) -> list:
    """What a call of a nested model binds to the model's inputs, in their order.

    Further arguments are left out, such as the mask that Keras adds by itself. An
    optional input may be bound to None.
    """
    given = call.args[0] if call.args else call.kwargs["inputs"]
    # Keras lets a dictionary stand for a list of inputs, by name.
    if isinstance(given, dict) and not isinstance(functional._inputs_struct, dict):
        return [given[x.name] for x in functional.inputs]
    return tree.flatten(given)


def mask_of(tensor):
    """The mask that a symbolic tensor carries to the layers after it, or None."""
    return getattr(tensor, "_keras_mask", None)


def producer(tensor):
    """The operation whose call made a symbolic tensor."""
    return tensor._keras_history.operation


def input_structure(functional):
    """The inputs as the user nested them (`Model.inputs` is flat)."""
    return functional._inputs_struct


def new_input(tensor):
    """A new input like an old one, an `InputLayer`'s attributes included."""
    return keras.Input(
        batch_shape=tensor.shape,
        dtype=tensor.dtype,
        sparse=tensor.sparse,
        ragged=tensor.ragged,
        optional=getattr(producer(tensor), "optional", False),
        name=tensor.name,
    )


def output_structure(functional):
    """The outputs as the user nested them (`Model.outputs` is flat)."""
    return functional._outputs_struct


def all_layers(layer) -> list:
    """A layer and everything inside it, at any depth."""
    return list(layer._flatten_layers(include_self=True, recursive=True))


def copy_of_lambda(layer, name):
    """A `keras.layers.Lambda` around the same function.

    By its config it would be made from byte code, which Keras refuses by default and
    which no longer sees the names around the function. The config changes the output
    shape into a form of its own, and no public attribute keeps it.
    """
    return type(layer)(
        layer.function,
        output_shape=layer._output_shape,
        mask=layer.mask,
        arguments=layer.arguments,
        name=name,
        trainable=layer.trainable,
        dtype=layer.dtype_policy,
    )


def replace_layer(owner, name, layer):
    """Replace a tracked sub-layer of a built layer.

    A built layer locks its tracker against new state. There is no public way to
    take a sub-layer out.
    """
    tracker = owner._tracker
    tracker.unlock()
    tracker.untrack(getattr(owner, name))
    setattr(owner, name, layer)
    tracker.lock()


def renew_compiled_state(model):
    """Tell a compiled model that it was compiled with the layers that it has now.

    Keras notes which layers train when it compiles. It would warn of those that it does
    not find there, and the note keeps those alive that are gone.
    """
    # TensorFlow tracks the old note by itself, until it is deleted.
    del model._compiled_trainable_state
    layers = all_layers(model)
    model._compiled_trainable_state = {layer: layer.trainable for layer in layers}


def decays(optimizer, variable) -> bool:
    """Whether an optimizer's weight decay acts on a variable.

    `exclude_from_weight_decay` is public, what it was told is not.
    """
    return optimizer._use_weight_decay(variable)


def replace_optimizer(model, optimizer):
    """Replace the optimizer of a compiled model.

    `compile` would reset the metrics and, inside `fit`, break the loop. The config
    that is saved with the model keeps the optimizer too, and all its slots alive.
    """
    model.optimizer = optimizer
    model._compile_config.config["optimizer"] = optimizer


def learning_rate_of(optimizer):
    """The learning rate as it was given: a variable, a schedule or a function.

    The public attribute is its value at this step.
    """
    return getattr(optimizer, "_learning_rate", None)


def optimizer_choice(optimizer):
    """What assigns variables to the optimizers of a `MultiOptimizer`."""
    return optimizer._optimizer_map


def set_optimizer_choice(optimizer, choice):
    """Replace what assigns variables to the optimizers of a `MultiOptimizer`."""
    optimizer._optimizer_map = choice


def place_of(optimizer, variable) -> int:
    """Which of the optimizers of a built `MultiOptimizer` a variable is assigned to.

    Asking the public map again may make a new optimizer, or choose another one.
    """
    return optimizer._var_to_optimizer_idx[optimizer._var_key(variable)]


def has_workers(strategy) -> bool:
    """Whether several processes train together, which Keras treats by itself.

    Without `TF_CONFIG`, `MultiWorkerMirroredStrategy` is a strategy of one process.
    """
    kind = tf.distribute.MultiWorkerMirroredStrategy
    return isinstance(strategy, kind) and bool(strategy.cluster_resolver.cluster_spec())


class TrainsOnWorkers(keras.Model):
    """A model whose `fit` works on several workers too.

    Before the first step Keras looks at the shapes of a batch, for which it takes the
    mean over all replicas of a structure of tensors; several workers cannot do that
    (https://github.com/keras-team/keras/issues/20585). One replica's part has the same
    shapes.
    """

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        strategy = self.distribute_strategy
        if iterator is None or not has_workers(strategy):
            super()._maybe_symbolic_build(iterator, data_batch)
            return
        _, _, batches = next(iter(iterator))
        data_batch = tree.map_structure(
            lambda values: strategy.experimental_local_results(values)[0], next(batches)
        )
        with strategy.scope():
            self._symbolic_build(data_batch=data_batch)
