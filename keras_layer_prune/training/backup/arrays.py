"""Values of variables as arrays that are written without pickling."""

import re

import numpy as np


def values_of(variables) -> list[np.ndarray]:
    """Values of variables, as plain numbers; bytes where NumPy knows no such type."""
    arrays = [variable.numpy() for variable in variables]
    return [a if _is_plain(a) else np.frombuffer(a.tobytes(), "uint8") for a in arrays]


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
        now = variable.numpy()
        if not _is_plain(now):
            value = np.frombuffer(value.tobytes(), now.dtype).reshape(now.shape)
        variable.assign(value)


def _is_plain(array) -> bool:
    # bfloat16 and its like come from another package, and would load as raw bytes.
    return array.dtype.kind in "biufc"
