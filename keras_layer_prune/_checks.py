"""Checks of arguments that mean the same everywhere."""

import math
import os
from numbers import Integral, Real


def finite_number(name: str, value) -> float:
    """Return `value` as a float, or raise if it is not one finite number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(
            f"`{name}` must be a number. Received: {name}={value!r} of type "
            f"{type(value).__name__}"
        )
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"`{name}` must be finite. Received: {name}={value!r}")
    return number


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
    # An array would compare entry by entry.
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"`{name}` must be one of {choices}. Received: {name}={value!r}"
        )
    return value


def whole_number(name: str, value, least: int) -> int:
    """Return `value` as an int, or raise if it is not one of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(
            f"`{name}` must be an int. Received: {name}={value!r} of type "
            f"{type(value).__name__}"
        )
    number = int(value)
    if not least <= number < 2**63:
        raise ValueError(
            f"`{name}` must be at least {least}, and less than 2**63. Received: "
            f"{name}={value!r}"
        )
    return number


def optional_seed(value) -> int | None:
    """Return a seed as an int, or None for None, or raise."""
    return None if value is None else whole_number("seed", value, -(2**63))


def optional_fraction(name: str, value) -> float | None:
    """Return `value` as a float in `[0, 1]`, or None for None, or raise."""
    return None if value is None else fraction(name, value)


def flag(name: str, value) -> bool:
    """Return `value`, or raise if it is not True or False."""
    if not isinstance(value, bool):
        raise TypeError(
            f"`{name}` must be True or False. Received: {name}={value!r} of type "
            f"{type(value).__name__}"
        )
    return value


def checked_folder(name: str, value) -> str:
    """Return the path of a folder, or of one to be made, as a string, or raise."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise TypeError(
            f"`{name}` must be a string or a path, that of a folder. Received: "
            f"{name}={value!r}"
        )
    path = os.fspath(value)
    if os.path.exists(path) and not os.path.isdir(path):
        raise ValueError(
            f"`{name}` must be a folder, or a path at which one can be made. Received: "
            f"{name}={path!r}, which is a file."
        )
    return path


def checked_new_path(path) -> str:
    """Return a path as a string, or raise if it is none or something is there."""
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise TypeError(f"`path` must be a path. Received: path={path!r}")
    path = os.fspath(path)
    if os.path.lexists(path):
        raise FileExistsError(
            f"`{path}` exists, and nothing is overwritten. Choose another path, or "
            "remove what is there."
        )
    return path


def checked_new_file(path) -> str:
    """Return a path as a string, or raise if no new file can be written there."""
    path = checked_new_path(path)
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"`{path}` cannot be written: there is no folder `{folder}`. Make it first."
        )
    return path


def sentence(error) -> str:
    """What an error says, with a full stop at its end."""
    text = str(error).strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def checked_config(config) -> dict:
    """Return a copy of a config, or raise if it is no dictionary of arguments."""
    if not isinstance(config, dict) or not all(isinstance(key, str) for key in config):
        raise TypeError(
            "`config` must be a dictionary of arguments by name, as `get_config()` "
            f"returns it. Received: config={config!r}"
        )
    return dict(config)
