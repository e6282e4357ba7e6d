"""An optimizer's state, carried over to a network with fewer variables."""

import keras


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
    fresh = type(optimizer).from_config(optimizer.get_config())
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
    if name == "_trainable_variables" or not isinstance(value, list):
        return False
    is_slot = [isinstance(slot, keras.Variable) or slot is None for slot in value]
    return len(value) == len(kept) > 0 and all(is_slot)


def _assign(target, source) -> set[int]:
    if target is None:
        return set()
    target.assign(source)
    return {id(target)}
