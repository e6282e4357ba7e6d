"""Checks of scalar arguments, shared by the priors."""

import math
from numbers import Real


def finite_number(name: str, value) -> float:
    """Return `value` as a float, or raise if it is not one finite number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(
            f"`{name}` must be a number. Received: {name}={value!r} of type "
            f"{type(value).__name__}"
        )
    if not math.isfinite(value):
        raise ValueError(f"`{name}` must be finite. Received: {name}={value!r}")
    return float(value)


def positive_number(name: str, value) -> float:
    """Return `value` as a float, or raise if it is not finite and above 0."""
    number = finite_number(name, value)
    if number <= 0.0:
        raise ValueError(f"`{name}` must be greater than 0. Received: {name}={value!r}")
    return number


def fraction(name: str, value) -> float:
    """Return `value` as a float, or raise if it is not in `[0, 1]`."""
    number = finite_number(name, value)
    if not 0.0 <= number <= 1.0:
        raise ValueError(
            f"`{name}` must be between 0 and 1. Received: {name}={value!r}"
        )
    return number


def one_of(name: str, value, choices: tuple[str, ...]) -> str:
    """Return `value`, or raise if it is not one of `choices`."""
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {choices}. Received: {value!r}")
    return value
