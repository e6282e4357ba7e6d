"""One model gated, half closed, rebuilt, stripped, saved and exported, all compared.

Differences are relative to the largest output. `effect` is by how much one gate more or
less changes the outputs, the smallest of a few: where it is 0, equal outputs would show
nothing.
"""

import pathlib
import random
import tempfile

import results  # noqa: F401  # isort: skip
import keras
import numpy as np
import timing
import without_package

import keras_layer_prune as klp
from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.costs.anatomy import count_parameters, layers_at_work
from keras_layer_prune.graph.gates import find_gates

TOLERANCE = 1e-5
# With all gates open nothing may change that is more than a rounding.
OPEN_TOLERANCE = 1e-6


def gate_and_rebuild(model, inputs, seed, export=True, imports=()) -> dict:
    """What a model with sections shows.

    Args:
        model: Functional model without gates.
        inputs: Array, or dictionary of arrays by the names of the model's inputs.
        seed: Int, from which the sections that close are drawn.
        export: Whether to export a SavedModel too, which takes most of the time.
        imports: Names of packages that layers of the model come from.

    Returns:
        Dictionary; `"problems"` is a list of what is not as it must be.
    """
    gated, gate_seconds = timing.timed(
        klp.gate_sections, model, initial_probability=1.0, seed=seed
    )
    open_difference = relative_difference(model, gated, inputs)
    closed = close_half(gated, seed)
    smaller, rebuild_seconds = timing.timed(klp.remove_closed_sections, gated)
    slim, strip_seconds = timing.timed(klp.strip_gates, smaller)
    del smaller
    row = {
        "gate_seconds": gate_seconds,
        "rebuild_seconds": rebuild_seconds,
        "strip_seconds": strip_seconds,
        "closed": len(closed),
        "parameters_left": slim.count_params(),
        "effect": least_effect(gated, slim, inputs, seed),
        "open_difference": open_difference,
        "difference": relative_difference(gated, slim, inputs),
        "scale": scale_of(gated, inputs),
        **differences_without_package(slim, inputs, export, imports),
    }
    return {**row, "problems": problems(row, gated, slim, closed)}


def close_half(gated, seed) -> set:
    """Close a random half of the gates; return them."""
    gates = find_gates(gated)
    closed = set(random.Random(seed).sample(gates, (len(gates) + 1) // 2))
    for gate in closed:
        gate.probability.assign(0.0)
    return closed


def least_effect(gated, slim, inputs, seed) -> float:
    """The smallest difference that one gate at the wrong bound makes."""
    effects = []
    gates = find_gates(gated)
    for gate in random.Random(seed).sample(gates, min(5, len(gates))):
        theta = float(gate.probability.numpy())
        gate.probability.assign(1.0 - theta)
        effects.append(relative_difference(slim, gated, inputs))
        gate.probability.assign(theta)
    return min(effects)


def differences_without_package(slim, inputs, export, imports) -> dict:
    """`"loaded_difference"` and, if exported, `"served_difference"`."""
    expected = keras.tree.flatten(slim(inputs, training=False))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        without_package.save_all(slim, inputs, folder, export)
        found = without_package.outputs(folder, imports)
    scale = scale_of(slim, inputs)
    return {
        f"{kind}_difference": largest_difference(expected, outputs) / scale
        for kind, outputs in sorted(found.items())
    }


def largest_difference(expected, outputs) -> float:
    pairs = zip(expected, outputs, strict=True)
    return max(float(np.max(np.abs(np.asarray(a) - b))) for a, b in pairs)


def relative_difference(a, b, inputs) -> float:
    return klp.max_difference(a, b, inputs) / scale_of(a, inputs)


def scale_of(model, inputs) -> float:
    outputs = keras.tree.flatten(model(inputs, training=False))
    return max(float(keras.ops.max(keras.ops.abs(x))) for x in outputs)


def problems(row, gated, slim, closed) -> list[str]:
    """What is not as it must be."""
    after = layers_at_work(gated, closed)
    kept = {use.layer for use in after}
    removed = {use.layer for use in layers_at_work(gated)} - kept
    layers = (names(removed) - names(kept)) & names(private.all_layers(slim))
    variables = (paths(removed) - paths(kept)) & paths([slim])
    checks = {
        "outputs are zero or not finite": 0.0 < row["scale"] < np.inf,
        "a mistake would not show": row["effect"] > 100.0 * TOLERANCE,
        "open gates change the outputs": row["open_difference"] <= OPEN_TOLERANCE,
        "outputs differ": row["difference"] <= TOLERANCE,
        "outputs differ once loaded": row["loaded_difference"] <= TOLERANCE,
        "outputs differ where served": row.get("served_difference", 0.0) <= TOLERANCE,
        f"layers of removed sections are left: {layers}": not layers,
        f"variables of removed sections are left: {variables}": not variables,
        "weights of removed sections are left": slim.count_params()
        == count_parameters(after),
        "the package is left": "keras_layer_prune" not in slim.to_json(),
    }
    return [problem for problem, is_fine in checks.items() if not is_fine]


def names(layers) -> set:
    """Names with kinds: an output keeps the name of the layer that made it."""
    return {(layer.name, type(layer).__name__) for layer in layers}


def paths(layers) -> set:
    return {variable.path for layer in layers for variable in layer.variables}
