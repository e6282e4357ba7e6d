"""Values of variables as arrays that are written without pickling."""

import re

import numpy as np


def values_of(variables) -> list[np.ndarray]:
    """Values of variables, as plain numbers; bytes where NumPy knows no such type."""
    return [plain(variable.numpy()) for variable in variables]


def plain(array) -> np.ndarray:
    """An array of plain numbers with the same bytes."""
    return array if _is_plain(array) else np.frombuffer(array.tobytes(), "uint8")


def typed(array, like) -> np.ndarray:
    """The array that `plain` was given, which was like another one."""
    if _is_plain(like):
        return array
    return np.frombuffer(array.tobytes(), like.dtype).reshape(like.shape)


def described(variables) -> list[str]:
    """One line for each variable: what a value must be to fit into it."""
    # The numbers are those that Keras gives to layers, which differ between runs.
    names = [
        re.sub(r"_\d+", "", variable.path.split("/")[-1]) for variable in variables
    ]
    return [
        f"{name} {variable.dtype} {tuple(variable.shape)}"
        for name, variable in zip(names, variables, strict=True)
    ]


def assign(variables, values):
    """Give variables the values that `values_of` returned."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(typed(value, variable.numpy()))


def _is_plain(array) -> bool:
    # bfloat16 and its like come from another package, and would load as raw bytes.
    return array.dtype.kind in "biufc"
