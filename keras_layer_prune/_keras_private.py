"""Every private Keras name that this package touches, each with its reason.

Checked against Keras 3.14 and 3.15. If a release breaks something, it breaks here.
"""

import contextlib
import functools
import itertools
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import tree
from keras.src.backend.common import global_state
from keras.src.backend.common.masking import set_keras_mask
from keras.src.models.functional import Functional
from keras.src.random.seed_generator import (
    GLOBAL_SEED_GENERATOR,
    global_seed_generator,
)
from keras.src.utils.naming import get_object_name


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


def graph_of(model):
    """The functional graph of a functional or a built sequential model, or None.

    A built `keras.Sequential` keeps its graph in `_functional`. A subclass with a
    `call` of its own may do anything else with its graph, so it has none.
    """
    if isinstance(model, keras.Sequential):
        is_plain = type(model).call is keras.Sequential.call
        return model._functional if is_plain else None
    # What `keras.Model(inputs, outputs)` returns; it has no public class.
    is_functional = isinstance(model, Functional)
    is_plain = is_functional and type(model).call is Functional.call
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
    return [_call_at(node) for node in nodes if not node.is_input]


@contextlib.contextmanager
def watched(functional, watch):
    """Scope in which a functional model shows its calls while it runs.

    Args:
        functional: Functional model.
        watch: Function of the list of tensors that a run gets. It returns one that is
            called for each call of the graph, with the `Call`, the function to run and
            its arguments, and returns what that one returns.
    """
    run = functional._run_through_graph

    def run_watched(inputs, operation_fn=lambda operation: operation, **others):
        of_this_run = watch(tree.flatten(inputs))
        waiting = iter(calls(functional))

        def shown(operation):
            # What cannot be computed is passed over.
            call = next(x for x in waiting if x.operation is operation)
            return functools.partial(of_this_run, call, operation_fn(operation))

        return run(inputs, operation_fn=shown, **others)

    # Past what Keras does with the attributes that a model is given.
    vars(functional)["_run_through_graph"] = run_watched
    try:
        yield
    finally:
        del vars(functional)["_run_through_graph"]


def call_of(tensor) -> Call:
    """The call that made a symbolic tensor; that of an input has no inputs."""
    operation, index, _ = tensor._keras_history
    return _call_at(operation._inbound_nodes[index])


def _call_at(node) -> Call:
    return Call(
        node.operation,
        node.arguments.args,
        node.arguments.kwargs,
        node.arguments.keras_tensors,
        node.outputs,
    )


def nested_arguments(call, functional) -> list:
    """What a call of a nested model binds to the model's inputs, in their order.

    Further arguments are left out, such as the mask that Keras adds by itself. An
    optional input may be bound to None.
    """
    given = call.args[0] if call.args else call.kwargs["inputs"]
    # Keras lets a dictionary stand for a list of inputs, by name.
    if isinstance(given, dict) and not isinstance(functional._inputs_struct, dict):
        return [given[x.name] for x in functional.inputs]
    # Keras warns of further keys of a dictionary, and leaves out what is too much.
    return tree.flatten(given)[: len(functional.inputs)]


def mask_of(tensor):
    """The mask that a tensor carries to the layers after it, or None."""
    return getattr(tensor, "_keras_mask", None)


def with_mask(tensor, mask):
    """A tensor that carries a mask to the layers after it, or none.

    `compute_mask`, the public way, does not see the masks that nested models make.
    """
    set_keras_mask(tensor, mask)
    return tensor


def keep_path(old, new):
    """Give a copy of a variable the old one's path, by which an optimizer may choose.

    A path names the models around a variable's layer, and some of these may be gone.
    """
    new._path = old.path


def producer(tensor):
    """The operation whose call made a symbolic tensor."""
    return tensor._keras_history.operation


def is_sparse(tensor) -> bool:
    """Whether a symbolic tensor is sparse when the network runs.

    Keras also says so of the product of a dense tensor and a number, and of what is
    made of it.
    """
    # What a trace has no graph for has no history.
    if not tensor.sparse or getattr(tensor, "_keras_history", None) is None:
        return False
    call = call_of(tensor)
    said = [x for x in call.inputs if x.sparse]
    if said:
        return any(map(is_sparse, said))
    # An input, or what encodes what it is given.
    is_layer = isinstance(call.operation, keras.layers.Layer)
    return is_layer or bool(getattr(call.operation, "sparse", False))


def input_structure(functional):
    """The inputs as the user nested them (`Model.inputs` is flat)."""
    return functional._inputs_struct


def new_input(tensor):
    """A new input like an old one, an `InputLayer`'s attributes included."""
    new = keras.Input(
        batch_shape=tensor.shape,
        dtype=tensor.dtype,
        sparse=tensor.sparse,
        ragged=tensor.ragged,
        optional=getattr(producer(tensor), "optional", False),
        name=producer(tensor).name,
    )
    # Another one, if it was given none: by it dictionaries and signatures are read.
    new.name = tensor.name
    return new


def output_structure(functional):
    """The outputs as the user nested them (`Model.outputs` is flat)."""
    return functional._outputs_struct


def all_layers(layer) -> list:
    """A layer and everything inside it, at any depth."""
    return list(layer._flatten_layers(include_self=True, recursive=True))


def all_graphs(layer) -> list:
    """The graphs of a model and of all models inside of it, each once."""
    graphs = map(graph_of, all_layers(layer))
    return list({id(graph): graph for graph in graphs if graph is not None}.values())


# What Keras, and under its prefix TensorFlow, keep of what a model's attributes hold.
_LISTS_OF_KERAS = ("_layers", "_trainable_variables", "_non_trainable_variables")
_PREFIX_OF_TENSORFLOW = "_self_"


def attributes_of(model) -> dict:
    """The attributes of a model, less the lists in which Keras keeps them again."""
    return {
        name: value
        for name, value in vars(model).items()
        if name not in _LISTS_OF_KERAS and not name.startswith(_PREFIX_OF_TENSORFLOW)
    }


def copy_of_operation(operation, name):
    """An operation that shares what another one holds, and has not been called.

    Not all of them can be made from their configs. What they know of their calls would
    keep the network alive that they are part of.
    """
    kind: Any = type(operation)
    copy = kind.__new__(kind)
    # Keras puts functions around some methods, which hold the object they are of.
    around = {key: value for key, value in vars(copy).items() if callable(value)}
    uncalled: dict = {"_inbound_nodes": [], "_outbound_nodes": []}
    vars(copy).update(vars(operation), **around, **uncalled, name=name)
    return copy


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

    There is no public way to take a sub-layer out. In the old one's place, so that the
    order of all weights is that of a model made with the new one.
    """
    owner._tracker.replace_tracked_value("layers", getattr(owner, name), layer)
    setattr(owner, name, layer)


def renew_compiled_state(model):
    """Tell a compiled model that it was compiled with the layers that it has now.

    Keras notes which layers train when it compiles. It would warn of those that it does
    not find there, and the note keeps those alive that are gone.
    """
    if not hasattr(model, "_compiled_trainable_state"):
        # Keras notes it since 3.15.
        return
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


def variables_of(optimizer) -> list:
    """The variables that a built optimizer steps, in the order of its slots.

    The public `variables` are those of the optimizer itself.
    """
    return optimizer._trainable_variables


# Attributes of an optimizer that are lists of variables, but not of slots: what it
# steps, and everything that it has itself.
LISTS_OTHER_THAN_SLOTS = ("_trainable_variables", "_variables")


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


class BuiltBeforeItsStep(keras.Model):
    """A model around a `network`, all of whose variables are there before a step is.

    What a step keeps, such as an optimizer's slots and the totals of metrics, Keras
    makes inside of the first one, and TensorFlow then traces that step a second time.
    Shapes are enough to make them. `_maybe_symbolic_build` is what `fit` calls before.

    Under a strategy Keras makes them beforehand, from the mean over all replicas of a
    batch, which several workers cannot take
    (https://github.com/keras-team/keras/issues/20585). One replica's part has the same
    shapes.
    """

    # Logs of its own. They are not in the lists that `evaluate` and others return if no
    # dictionary is asked for: there, one knows a value by its place.
    only_in_dictionaries: tuple[str, ...] = ()

    @property
    def has_own_call(self) -> bool:
        """Whether it may return something else than its network does."""
        return True

    def _get_metrics_result_or_logs(self, logs):
        """Metrics over all replicas, and after what callbacks have done to them.

        Keras returns those of the last step where a step returns anything else too.
        """
        metrics = self.get_metrics_result()
        if isinstance(logs, dict) and metrics.keys() <= logs.keys():
            return {**logs, **metrics}
        return logs

    def _flatten_metrics_in_order(self, logs):
        own = self.only_in_dictionaries
        return super()._flatten_metrics_in_order(
            {name: value for name, value in logs.items() if name not in own}
        )

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        strategy = self.distribute_strategy
        if iterator is not None and self._distribute_strategy is None:
            self._build_compiled_parts(iterator._distributed_dataset.element_spec)
        elif iterator is not None and has_workers(strategy):
            _, _, batches = next(iter(iterator))
            data_batch = tree.map_structure(
                lambda values: strategy.experimental_local_results(values)[0],
                next(batches),
            )
            with strategy.scope():
                self._symbolic_build(data_batch=data_batch)
        else:
            super()._maybe_symbolic_build(iterator, data_batch)

    def _build_compiled_parts(self, spec):
        if not all(layer.built for layer in self._flatten_layers()):
            # Those that a subclass calls around the network, whose outputs change.
            self._symbolic_build(data_batch=spec)
        _, y, _ = keras.utils.unpack_x_y_sample_weight(spec)
        outputs = output_structure(graph_of(self.network))
        # Several targets Keras brings into the order of the outputs before it builds.
        is_single = (
            y is not None and not tree.is_nested(y) and not tree.is_nested(outputs)
        )
        # What the `call` of a subclass returns is known in the first step only.
        is_known = is_single and not self.has_own_call
        for part in (self._compile_loss, self._compile_metrics):
            if is_known and _tells_metrics(y, outputs) and part and not part.built:
                part.build(y, outputs)
        weights = self.trainable_variables
        if self.optimizer is not None and not self.optimizer.built and weights:
            self.optimizer.build(weights)


def _tells_metrics(y, outputs) -> bool:
    """Whether shapes tell what a metric such as `"accuracy"` stands for.

    Keras asks for the sizes of the last axes, and for the number of axes of `y`.
    """
    rank = y.shape.rank
    if not rank or outputs.shape[-1] is None:
        return False
    return rank < len(outputs.shape) or y.shape[-1] is not None


def leave_inputs_alone(model):
    """Have a model hand its inputs on as they are, as functional models do.

    Others cast them to their own dtype first, which rounds what a layer inside may
    need in full.
    """
    model._convert_input_args = False
    model._allow_non_tensor_positional_args = True


def loss_in_training(model, x, y, outputs, sample_weight):
    """The loss of a training step, by the `compute_loss` that a model's class has.

    That of a subclass may have a `training` without a default, or none at all. Keras
    has noted which.
    """
    return model._compute_loss(x, y, outputs, sample_weight, training=True)


def name_in_logs(metric) -> str:
    """The name by which `compile` logs a metric: an object, a function or a string."""
    return metric if isinstance(metric, str) else get_object_name(metric)


def names_of_losses(functional) -> list:
    """What the losses of several outputs are called in the logs, before `_loss`.

    By their keys if they are a dictionary, by the layers that make them otherwise.
    """
    outputs = output_structure(functional)
    return list(outputs) if isinstance(outputs, dict) else functional.output_names


# Public attributes of Keras's callbacks hold what they have seen so far, but for the
# last: whether the averages stand in the model's place.
_STATE_OF_CALLBACKS = {
    keras.callbacks.EarlyStopping: ("wait", "stopped_epoch", "best", "best_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("best", "wait", "cooldown_counter"),
    keras.callbacks.ModelCheckpoint: ("best",),
    keras.callbacks.SwapEMAWeights: ("_ema_weights_in_model",),
}


def state_of_callback(callback) -> dict:
    """What a callback of Keras has to be told after a restart; no interface says it."""
    for kind, names in _STATE_OF_CALLBACKS.items():
        if isinstance(callback, kind):
            return {name: getattr(callback, name) for name in names}
    return {}


def best_weights(callback) -> list:
    """Weights that `EarlyStopping` may put back into the model; none of others."""
    is_keeping = isinstance(callback, keras.callbacks.EarlyStopping)
    return (callback.best_weights if is_keeping else None) or []


def set_best_weights(callback, weights):
    """Give `EarlyStopping` the weights of the best epoch that it has seen."""
    callback.best_weights = weights


def start_at_epoch(model, epoch):
    """Make a `fit` that is about to begin its epochs start at one of them.

    Keras's own `BackupAndRestore` does it in this way, and leaves it set for every
    later `fit`. None unsets it.
    """
    model._initial_epoch = epoch


# What TensorFlow returns in the place of a global seed where there is none.
_NO_SEED = 87654321


def has_global_seed() -> bool:
    """Whether `tf.random.set_seed`, or Keras's function that calls it, was called."""
    return tf.compat.v1.get_seed(0)[0] != _NO_SEED


def global_seed():
    """State of the generator that layers without a seed of their own share, or None."""
    generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    return None if generator is None else generator.state.numpy().tolist()


def set_global_seed(seed):
    """Set what `global_seed` returned; there is no public way to the generator."""
    if seed is not None:
        global_seed_generator().state.assign(seed)


def build_metrics(model, batch):
    """Create the variables of a compiled model's metrics, as the first step would."""
    model._symbolic_build(data_batch=batch)


@contextlib.contextmanager
def showing_training_data(model, show):
    """Scope in which a model's `fit` shows the `EpochIterator` of its training data.

    Args:
        model: `keras.Model`.
        show: Function of the iterator.

    `fit` keeps it in a local variable. Before the callbacks begin it hands it to one
    method; those of evaluations come later.
    """
    build = model._maybe_symbolic_build
    shown: list = []

    def show_first(iterator=None, data_batch=None):
        if iterator is not None and not shown:
            shown.append(True)
            show(iterator)
        return build(iterator=iterator, data_batch=data_batch)

    # Past Keras's `__setattr__`, which looks for state in what it is given.
    vars(model)["_maybe_symbolic_build"] = show_first
    try:
        yield
    finally:
        del vars(model)["_maybe_symbolic_build"]


def number_of_batches(iterator):
    """How many batches an epoch of an `EpochIterator` has, or None if still unknown."""
    return iterator.num_batches


def resume_data(iterator, past_epochs, steps, batches, prepare):
    """Make the first epoch of an `EpochIterator` go on where an earlier run was.

    Data that starts anew in every epoch is told of the past ones, so that a data set
    which is shuffled anew each time is where it was; data that goes on from epoch to
    epoch (`steps_per_epoch`) is read again. Of the steps before the last one of the
    earlier run the batches are read and thrown away.

    Args:
        iterator: `EpochIterator` that has not begun.
        past_epochs: Int, epochs that the earlier run has ended.
        steps: Int, steps that it has done in the epoch after those.
        batches: Int, batches of an epoch as the earlier run had counted them, or None.
        prepare: Function, called when the data is at the beginning of that epoch.
    """
    enumerate_epoch = iterator._enumerate_iterator

    def enumerate_rest():
        del vars(iterator)["_enumerate_iterator"]
        for _ in range(past_epochs):
            _pass_epoch(iterator, batches)
        prepare()
        for begin, end, data in enumerate_epoch():
            if end + 1 < steps:
                skip_batches(iterator, data)
            else:
                yield begin, end, data

    vars(iterator)["_enumerate_iterator"] = enumerate_rest


def skip_batches(iterator, data):
    """Read the batches of one call of the training function; return the first."""
    batches = list(itertools.islice(data, iterator.steps_per_execution))
    if not batches:
        raise ValueError(
            "The data has ended before the step at which the backup was made. Train "
            "with the data that the backup was made with."
        )
    return batches[0]


def _pass_epoch(iterator, batches):
    """Repeat what an epoch does to the data set itself."""
    if iterator.steps_per_epoch:
        with iterator.catch_stop_iteration():
            for _, _, data in iterator._enumerate_iterator():
                skip_batches(iterator, data)
    elif iterator.num_batches:
        for _ in iterator._enumerate_iterator():
            pass
    else:
        iterator.data_adapter.on_epoch_begin()
        iter(iterator._get_iterator())
        iterator._num_batches = batches
        iterator.data_adapter.on_epoch_end()
