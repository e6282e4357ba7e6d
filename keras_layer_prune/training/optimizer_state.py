"""An optimizer's state, carried over to a network with fewer variables."""

import keras
import numpy as np

from keras_layer_prune import _keras_private as private


def check_carry_over(optimizer):
    """Raise if `carry_over` will not be able to do its work.

    Said when a model is compiled, not in the middle of its training.

    Args:
        optimizer: `keras.optimizers.Optimizer`, built or not; it is left alone.

    Raises:
        ValueError: What `remade` or `carry_over` raises.
    """
    variables = [keras.Variable(np.zeros(shape, "float32")) for shape in ((2, 2), (2,))]
    trial = remade(optimizer)
    trial.build(variables)
    carry_over(trial, variables, variables, kept=[0, 1])


def remade(optimizer):
    """An optimizer like another one, without its state.

    Args:
        optimizer: `keras.optimizers.Optimizer`.

    Returns:
        An optimizer that is not built.

    Raises:
        ValueError: If it cannot be made again from its config.
    """
    try:
        with keras.saving.custom_object_scope(_classes_of(optimizer)):
            return type(optimizer).from_config(optimizer.get_config())
    except Exception as error:
        raise ValueError(
            f"The optimizer {type(optimizer).__name__} cannot be made again from its "
            f"config, which a smaller network needs: {error} Give its class, and that "
            "of its schedule, a `get_config()` that returns all arguments of the "
            "constructor, as saving a model needs too."
        ) from error


def _classes_of(part) -> dict[str, type]:
    """Classes of an optimizer and its schedule, which need not be registered."""
    kinds = keras.optimizers.Optimizer, keras.optimizers.schedules.LearningRateSchedule
    inner = [value for value in vars(part).values() if isinstance(value, kinds)]
    classes = {type(part).__name__: type(part)}
    return {k: v for x in inner for k, v in _classes_of(x).items()} | classes


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
    fresh = remade(optimizer)
    survivors = [old_variables[position] for position in kept]
    _exclude_from_decay(optimizer, fresh, survivors, new_variables)
    fresh.build(new_variables)
    copied = _copy(optimizer, fresh, len(old_variables), kept)
    missing = [v.path for v in fresh.variables if id(v) not in copied]
    if missing:
        raise ValueError(
            f"The optimizer {type(optimizer).__name__} keeps state that cannot be "
            f"carried over to a smaller network: {missing}. Use one of Keras's own "
            "optimizers, or keep per-variable state in lists in the order of "
            "`build(variables)`."
        )
    return fresh


def _exclude_from_decay(old, new, old_variables, new_variables):
    """Repeat what `exclude_from_weight_decay` was told; no config holds it."""
    pairs = zip(old_variables, new_variables, strict=True)
    excluded = [target for v, target in pairs if not private.decays(old, v)]
    if excluded:
        new.exclude_from_weight_decay(var_list=excluded)
    for name, inner in vars(new).items():
        if isinstance(inner, keras.optimizers.Optimizer):
            source = getattr(old, name)
            _exclude_from_decay(source, inner, old_variables, new_variables)


def _copy(old, new, number_of_old, kept) -> set[int]:
    """Copy the state of one optimizer; return the `id`s of what was written."""
    written = set()
    for name, value in vars(new).items():
        source = getattr(old, name)
        if isinstance(value, keras.Variable):
            written |= _assign(value, source)
        elif isinstance(value, keras.optimizers.Optimizer):
            written |= _copy(source, value, number_of_old, kept)
        elif _is_slot_list(name, value, kept):
            for target, position in zip(value, kept, strict=True):
                written |= _assign(target, source[position])
    return written


def _is_slot_list(name, value, kept) -> bool:
    if name in ("_trainable_variables", "_variables") or not isinstance(value, list):
        return False
    is_slot = [isinstance(slot, keras.Variable) or slot is None for slot in value]
    return len(value) == len(kept) > 0 and all(is_slot)


def _assign(target, source) -> set[int]:
    if target is None:
        return set()
    target.assign(source)
    return {id(target)}
