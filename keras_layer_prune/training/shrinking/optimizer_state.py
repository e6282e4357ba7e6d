"""An optimizer's state, carried over to a network with fewer variables."""

import contextlib
import warnings
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_layer_prune import _keras_private as private
from keras_layer_prune._checks import sentence
from keras_layer_prune.training.shrinking.several_optimizers import (
    assigned_as_before,
    is_several,
    parts_in_use,
    remade_several,
)


def check_carry_over(optimizer, variables=()):
    """Raise if `carry_over` will not be able to do its work.

    Said when a model is compiled, not in the middle of its training.

    Args:
        optimizer: `keras.optimizers.Optimizer`, built or not; it is left alone.
        variables: List of the trainable variables that it is for.

    Raises:
        ValueError: What `remade` or `carry_over` raises.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if is_several(inner):
        # It is not asked where it would put the variables of a trial.
        for part in parts_in_use(inner, variables):
            check_carry_over(part)
        return
    variables = [keras.Variable(np.zeros(shape, "float32")) for shape in ((2, 2), (2,))]
    trial = remade(optimizer)
    trial.build(variables)
    carry_over(trial, variables, variables, kept=[0, 1])


def check_unused(optimizer, variables):
    """Raise if an optimizer has been built for other variables than it is to train.

    Args:
        optimizer: What `compile` was given.
        variables: List of the trainable variables of the model.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if not variables or not getattr(optimizer, "built", False):
        return
    known = {id(variable) for variable in private.variables_of(optimizer)}
    if not any(id(variable) in known for variable in variables):
        raise ValueError(
            f"The optimizer {type(optimizer).__name__} has trained other weights, and "
            "cannot train these. After sections have left, the model's own optimizer "
            "is a new object: pass `model.optimizer` to go on with it, or a new one."
        )


def remade(optimizer, copies=None):
    """An optimizer like another one, without its state.

    Args:
        optimizer: `keras.optimizers.Optimizer`.
        copies: Dictionary in which each optimizer that is made again is noted, by the
            `id` of the old one.

    Returns:
        An optimizer that is not built.

    Raises:
        ValueError: If it cannot be made again from its config.
    """
    copies = {} if copies is None else copies
    if id(optimizer) not in copies:
        copies[id(optimizer)] = _made_again(optimizer, copies)
    return copies[id(optimizer)]


def _made_again(optimizer, copies):
    if is_several(optimizer):
        return remade_several(optimizer, lambda part: remade(part, copies))
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        config = optimizer.get_config()
        del config["inner_optimizer"]
        return type(optimizer)(remade(optimizer.inner_optimizer, copies), **config)
    try:
        with keras.saving.custom_object_scope(_classes_of(optimizer)):
            return type(optimizer).from_config(_config_of(optimizer))
    except Exception as error:
        raise ValueError(
            f"The optimizer {type(optimizer).__name__} cannot be made again from its "
            f"config, which a smaller network needs: {sentence(error)} Give its class, "
            "and that of its schedule, a `get_config()` that returns all arguments of "
            "the constructor, as saving a model needs too."
        ) from error


def _config_of(optimizer) -> dict:
    """The config, with a learning rate that is a function as it is."""
    schedule = keras.optimizers.schedules.LearningRateSchedule
    with warnings.catch_warnings():
        # Keras warns of writing a function down; it is not written anywhere here.
        warnings.simplefilter("ignore")
        config = optimizer.get_config()
    rate = private.learning_rate_of(optimizer)
    if callable(rate) and not isinstance(rate, schedule):
        config["learning_rate"] = rate
    return config


def _classes_of(part) -> dict[str, type]:
    """Classes of an optimizer and its schedule, which need not be registered."""
    kinds = keras.optimizers.Optimizer, keras.optimizers.schedules.LearningRateSchedule
    inner = [value for value in vars(part).values() if isinstance(value, kinds)]
    classes = {type(part).__name__: type(part)}
    return {k: v for x in inner for k, v in _classes_of(x).items()} | classes


class _Move(NamedTuple):
    """An optimizer, and the one that goes on in its place."""

    old: Any
    new: Any
    old_variables: list
    new_variables: list
    kept: list[int]

    @property
    def pairs(self) -> list:
        """Surviving variables, each with itself in the new network."""
        survivors = [self.old_variables[position] for position in self.kept]
        return list(zip(survivors, self.new_variables, strict=True))


def carry_over(optimizer, old_variables, new_variables, kept):
    """A new optimizer for a smaller network that goes on where the old one was.

    Every slot of a surviving variable (momenta, averages, accumulated gradients), the
    number of iterations, the learning rate or its schedule, and the loss scale are
    copied; slots of removed variables are left behind.

    It rests on a convention of all Keras optimizers: a list of slots is indexed by
    the position of the variable it belongs to.

    Args:
        optimizer: The built optimizer of the old network.
        old_variables: List of trainable variables it was built with.
        new_variables: List of trainable variables of the new network.
        kept: Positions in `old_variables`, one for each of `new_variables`.

    Returns:
        A built `keras.optimizers.Optimizer`.

    Raises:
        ValueError: If the optimizer keeps state in a form that is not known.
    """
    copies: dict = {}
    fresh = remade(optimizer, copies)
    whole = _Move(optimizer, fresh, old_variables, new_variables, kept)
    moves = list(_with_parts(whole, copies))
    _build(moves, copies)
    copied = set().union(*(_copy(move) for move in moves))
    missing = [v.path for v in fresh.variables if id(v) not in copied]
    if missing:
        raise ValueError(
            f"The optimizer {type(optimizer).__name__} keeps state that cannot be "
            f"carried over to a smaller network: {missing}. Use one of Keras's own "
            "optimizers, or keep per-variable state in lists in the order of "
            "`build(variables)`."
        )
    return fresh


def _with_parts(move, copies):
    """A move and those of all optimizers inside the one that moves."""
    yield move
    if is_several(move.old):
        for place, part in enumerate(move.old.optimizers):
            yield from _with_parts(_move_of_part(move, place, copies[id(part)]), copies)
        return
    for name, inner in vars(move.new).items():
        if isinstance(inner, keras.optimizers.Optimizer):
            inside = move._replace(old=getattr(move.old, name), new=inner)
            yield from _with_parts(inside, copies)


def _move_of_part(move, place, new) -> _Move:
    """The move of one of several optimizers, with its own variables only."""
    places = [private.place_of(move.old, v) for v in move.old_variables]
    own = [index for index, other in enumerate(places) if other == place]
    kept = [(i, at) for i, at in enumerate(move.kept) if places[at] == place]
    return _Move(
        move.old.optimizers[place],
        new,
        [move.old_variables[index] for index in own],
        [move.new_variables[index] for index, _ in kept],
        [own.index(at) for _, at in kept],
    )


def _build(moves, copies):
    """Build the first of the new optimizers, and with it those inside."""
    with contextlib.ExitStack() as scopes:
        for move in moves:
            _exclude_from_decay(move)
            if is_several(move.old):
                scopes.enter_context(
                    assigned_as_before(
                        move.old,
                        move.new,
                        move.pairs,
                        lambda part: remade(part, copies),
                    )
                )
        moves[0].new.build(moves[0].new_variables)


def _exclude_from_decay(move):
    """Repeat what `exclude_from_weight_decay` was told; no config holds it."""
    excluded = [new for old, new in move.pairs if not private.decays(move.old, old)]
    if excluded:
        move.new.exclude_from_weight_decay(var_list=excluded)


def _copy(move) -> set[int]:
    """Copy an optimizer's own state; return the `id`s of what was written."""
    written = set()
    for name, value in vars(move.new).items():
        source = getattr(move.old, name)
        if isinstance(value, keras.Variable):
            written |= _assign(value, source)
        elif _is_slot_list(name, value, move.kept):
            for target, position in zip(value, move.kept, strict=True):
                written |= _assign(target, source[position])
    return written


def _is_slot_list(name, value, kept) -> bool:
    if name in private.LISTS_OTHER_THAN_SLOTS or not isinstance(value, list):
        return False
    is_slot = [isinstance(slot, keras.Variable) or slot is None for slot in value]
    return len(value) == len(kept) and all(is_slot)


def _assign(target, source) -> set[int]:
    if target is None:
        return set()
    target.assign(source)
    return {id(target)}
