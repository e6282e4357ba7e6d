"""A model under training gets a smaller network, and goes on."""

from typing import NamedTuple

import keras

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.rebuild import leave_behind
from keras_layer_prune.graph.rebuilding.carried_state import paired_variables
from keras_layer_prune.graph.rebuilding.retrace import Retrace
from keras_layer_prune.training.shrinking.optimizer_state import carry_over
from keras_layer_prune.training.step.weights_under_prior import carried_weights


class _Replacement(NamedTuple):
    network: keras.Model
    optimizer: keras.optimizers.Optimizer
    weights_under_prior: list


def shrink(model, closed, opened):
    """Replace a model's network by one without the decided gates.

    Closed sections leave with their weights and the optimizer's slots for them;
    whatever stays goes on where it was. Nothing is changed unless everything can be.

    Args:
        model: `GatedModel`.
        closed: Gates whose sections go.
        opened: Gates that go and leave their sections.
    """
    # Variables have to be made as the old ones were, mirrored if they were.
    with model.distribute_strategy.scope():
        replacement = _make_replacement(model, closed, opened)
    leave_behind(model.network)
    private.replace_layer(model, "network", replacement.network)
    model.hold_under_prior(replacement.weights_under_prior)
    if model.compiled:
        private.replace_optimizer(model, replacement.optimizer)
        private.renew_compiled_state(model)
    # `fit` looks the training function up at every step, the others on every call.
    is_training = model.train_function is not None
    model.test_function = None
    # TensorFlow tracks this one by itself, until it is deleted.
    del model.predict_function
    model.predict_function = None
    model.train_function = None
    model.step_graphs.release()
    if is_training:
        model.make_train_function()


def _make_replacement(model, closed, opened) -> _Replacement:
    # Linear layers that become neighbours are not folded here: the optimizer's momenta
    # of a product cannot be had from those of its factors. `Retrace` leaves a `Seam`
    # between them, for `strip_gates`.
    retrace = Retrace(model.network, closed, opened)
    network = retrace.rebuild()
    copied = [
        pair
        for old_layer, new_layer in retrace.pairs
        for pair in paired_variables(old_layer, new_layer)
    ]
    for old, new in copied:
        private.keep_path(old, new)
    return _Replacement(
        network,
        _shrunk_optimizer(model, network, copied),
        carried_weights(model.weights_under_prior, network, copied),
    )


def _shrunk_optimizer(model, network, copied):
    """The optimizer for what the network keeps of the variables that it knows."""
    optimizer = model.optimizer if model.compiled else None
    if optimizer is None or not optimizer.built:
        return optimizer
    # Those that it was built for: some may have been frozen since.
    old_variables = private.variables_of(optimizer)
    origin = {id(v): i for i, v in enumerate(old_variables)}
    origin |= {id(new): origin[id(old)] for old, new in copied if id(old) in origin}
    new_variables = [v for v in _variables_with(model, network) if id(v) in origin]
    kept = [origin[id(v)] for v in new_variables]
    return carry_over(optimizer, old_variables, new_variables, kept)


def _variables_with(model, network) -> list:
    """The variables of a model, in its order, with another network in the place of its.

    A subclass may have weights of its own.
    """
    replaced = {id(v) for v in model.network.variables}
    stays = [id(v) not in replaced for v in model.variables]
    before = stays.index(False)
    own = [v for v, it_stays in zip(model.variables, stays, strict=True) if it_stays]
    return [*own[:before], *network.variables, *own[before:]]
