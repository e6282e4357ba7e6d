"""Keras's `MultiOptimizer`, which delegates variables to other optimizers.

What assigns the variables may be a function of the user's that returns the very
objects in use, or a map by paths, which can change in a smaller network. So the
optimizer of a smaller network is given the assignment of the old one.
"""

import contextlib

import keras

from keras_layer_prune import _keras_private as private


def is_several(optimizer) -> bool:
    """Whether an optimizer delegates to several others."""
    # Keras has the class since 3.15.
    return isinstance(optimizer, getattr(keras.optimizers, "MultiOptimizer", ()))


def parts_in_use(optimizer, variables) -> list:
    """The optimizers that a `MultiOptimizer` delegates to, each once.

    Args:
        optimizer: `MultiOptimizer`, built or not.
        variables: List of the trainable variables it is for.

    Returns:
        List of optimizers, those of no variable included.
    """
    choose = private.optimizer_choice(optimizer)
    chosen = [] if optimizer.built else [choose(variable) for variable in variables]
    return list({id(part): part for part in [*optimizer.optimizers, *chosen]}.values())


def remade_several(optimizer, remade_part):
    """A `MultiOptimizer` of new optimizers, without their state.

    Args:
        optimizer: `MultiOptimizer`.
        remade_part: Function from an optimizer to one like it, without its state, the
            same one for the same one.

    Returns:
        A `MultiOptimizer` that is not built.
    """
    choice = private.optimizer_choice(optimizer)
    if isinstance(choice, keras.optimizers.OptimizerMap):
        parts = {pattern: remade_part(part) for pattern, part in choice.items()}
        choice = type(choice)(remade_part(choice.default_optimizer), parts)
    for part in optimizer.optimizers:
        remade_part(part)
    return type(optimizer)(choice, optimizer.loss_scale_factor, optimizer.name)


@contextlib.contextmanager
def assigned_as_before(optimizer, fresh, pairs, remade_part):
    """Scope in which a new `MultiOptimizer` is built with the assignment of the old.

    Args:
        optimizer: The built `MultiOptimizer`.
        fresh: What `remade_several` made of it.
        pairs: List of pairs of an old variable and the same one in the new network.
        remade_part: What `remade_several` was given.
    """
    parts = {
        id(new): remade_part(optimizer.optimizers[private.place_of(optimizer, old)])
        for old, new in pairs
    }
    choice = private.optimizer_choice(fresh)
    private.set_optimizer_choice(fresh, lambda variable: parts[id(variable)])
    try:
        yield
    finally:
        private.set_optimizer_choice(fresh, choice)
