"""What `fit` looks at before its first batch: can it work, and will the gates move?"""

import warnings

from keras_layer_prune.graph.gates import free_gates, undecided_gates
from keras_layer_prune.graph.rebuild import check_remade
from keras_layer_prune.training.fit_callbacks import callbacks_of, gate_movers
from keras_layer_prune.training.guards.checks import check_layers_beside
from keras_layer_prune.training.guards.other_callbacks import check_callbacks
from keras_layer_prune.training.step.gate_gradients import check_draws


def check_before_fit(model, given):
    """Refuse a training that would fail in its middle; warn if gates cannot move.

    Args:
        model: Compiled `GatedModel`.
        given: Dictionary of the arguments of `fit`.

    Raises:
        ValueError: If there is no optimizer, a callback or an attribute of the model
            cannot follow a network that gets smaller, a layer cannot be made again, or
            a gate does not draw as `gate_gradient` needs it.
    """
    _check_optimizer(model.optimizer)
    free = free_gates(model.network)
    # One may have been thawed since `compile`.
    check_draws(model.gate_gradient, free)
    callbacks = callbacks_of(given)
    moves = bool(gate_movers(callbacks))
    will_shrink = bool(free) and moves
    check_callbacks(callbacks, will_shrink, given.get("epochs", 1))
    if will_shrink:
        check_layers_beside(model)
        with model.distribute_strategy.scope():
            check_remade(model.network, free)
    if moves:
        _warn_of_stuck_gates(model, free)
    elif free and model.gate_step_size is None:
        warnings.warn(
            "Nothing moves the gates in this `fit`: they draw with the "
            "probabilities that they have. Add `callbacks=[PruneSections()]`, or "
            "give `compile` a `gate_step_size`.",
            stacklevel=3,
        )


def _check_optimizer(optimizer):
    if optimizer is None:
        raise ValueError(
            "`fit` needs an optimizer, and the model was compiled with "
            "`optimizer=None`: so it can be evaluated only. Compile it with one, as in "
            '`model.compile("sgd", ...)`. Where all weights are frozen and only gates '
            "move, any will do: it has nothing to step."
        )


def _warn_of_stuck_gates(model, free):
    stuck = [gate.name for gate in undecided_gates(model.network) if gate not in free]
    if stuck:
        warnings.warn(
            f"Frozen gates between 0 and 1 are never decided: {stuck}. Set "
            "`gate.trainable = True`, or call `model.decide(closed, opened)`.",
            stacklevel=4,
        )
