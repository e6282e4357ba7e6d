"""Every model of `keras.applications`: gated, half closed, rebuilt, compared.

    python benchmarks/rebuild.py
    python benchmarks/rebuild.py --models "ResNet50$|VGG"

Weights are random, and so are the statistics of the normalisations, so that an
operation left out or in by mistake changes the outputs. `effect` is by how much one
gate more or less does, the smallest of a few: where it is 0, equal outputs would show
nothing. Differences are relative to the largest output. Prints a row of a table for
each model; ends with status 1 if a model fails.
"""

import argparse
import gc
import inspect
import pathlib
import random
import re
import sys
import tempfile
import time

import results

import keras  # isort: skip
import numpy as np

import keras_layer_prune as klp
from keras_layer_prune.graph.anatomy import count_parameters, layers_at_work
from keras_layer_prune.graph.gates import find_gates

SMALLEST = {"Xception": 71, "InceptionV3": 75, "InceptionResNetV2": 75}
SIZE = 64
TOLERANCE = 1e-5

COLUMNS = {
    "model": "model",
    "sections": "additions",
    "prunable": "prunable",
    "closed": "closed",
    "parameters": "parameters",
    "parameters_left": "left",
    "find_seconds": "find (s)",
    "gate_seconds": "gate (s)",
    "rebuild_seconds": "rebuild (s)",
    "strip_seconds": "strip (s)",
    "effect": "effect",
    "open_difference": "difference, all open",
    "difference": "difference, half closed",
    "loaded_difference": "difference, loaded",
    "problems": "problems",
}


def main():
    arguments = parse_arguments()
    print("|".join(["", *COLUMNS.values(), ""]))
    print("|" + " --- |" * len(COLUMNS))
    rows = []
    for name in application_names(arguments.models):
        rows.append(checked_row(name, arguments.seed))
        print(markdown(rows[-1]), flush=True)
        keras.backend.clear_session()
        gc.collect()
    # A selection does not take the place of the whole.
    name = "selected_models" if arguments.models else "rebuild"
    results.save(name, vars(arguments), rows)
    return 1 if any(row["problems"] for row in rows) else 0


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="", help="regular expression of names")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def application_names(pattern) -> list[str]:
    """Names of the models of `keras.applications` that match a pattern."""
    makers = vars(keras.applications).items()
    names = [name for name, value in makers if inspect.isfunction(value)]
    return [name for name in sorted(names) if re.search(pattern, name)]


def checked_row(name, seed) -> dict:
    """What a model shows, or the error that it raises."""
    try:
        return row_of(name, seed)
    except Exception as error:
        return {"model": name, "problems": [f"{type(error).__name__}: {error}"]}


def row_of(name, seed) -> dict:
    keras.utils.set_random_seed(seed)
    model = make_model(name, seed)
    sections, find_seconds = timed(klp.find_sections, model)
    row = {
        "model": name,
        "sections": len(sections),
        "prunable": sum(section.prunable for section in sections),
        "parameters": model.count_params(),
        "find_seconds": find_seconds,
    }
    if not row["prunable"]:
        return {**row, "says": str(sections), "problems": []}
    return {**row, **gate_and_rebuild(model, seed)}


def make_model(name, seed):
    """A model with random weights and random statistics of its normalisations."""
    size = SMALLEST.get(name, SIZE)
    maker = getattr(keras.applications, name)
    model = maker(
        weights=None,
        input_shape=(size, size, 3),
        classes=10,
        classifier_activation=None,
    )
    randomise(model, seed)
    return model


def randomise(model, seed):
    """Random normalisations under which every branch matters, close to those of data.

    Freshly made models can hide a mistake: a branch scaled by 1e-6, or by a variance
    that has nothing to do with its values, adds next to nothing.
    """
    generator = np.random.default_rng(seed)
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(random_images(model, seed, count=8), training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    for layer in model.layers:
        is_scale = type(layer).__name__ == "LayerScale"
        for variable in layer.weights:
            draw = DRAWS.get("gamma" if is_scale else variable.name)
            if draw is not None:
                variable.assign(draw(generator, variable.numpy()))


DRAWS = {
    "gamma": lambda generator, x: generator.uniform(0.5, 1.5, x.shape),
    "beta": lambda generator, x: generator.normal(0.0, 0.1, x.shape),
    "moving_mean": lambda generator, x: x + generator.normal(0.0, 0.01, x.shape),
    "moving_variance": lambda generator, x: x * generator.uniform(0.8, 1.2, x.shape),
}


def gate_and_rebuild(model, seed) -> dict:
    images = random_images(model, seed)
    gated, gate_seconds = timed(
        klp.gate_sections, model, initial_probability=1.0, seed=seed
    )
    open_difference = relative_difference(model, gated, images)
    closed = close_half(gated, seed)
    smaller, rebuild_seconds = timed(klp.remove_closed_sections, gated)
    slim, strip_seconds = timed(klp.strip_gates, smaller)
    del smaller
    row = {
        "gate_seconds": gate_seconds,
        "rebuild_seconds": rebuild_seconds,
        "strip_seconds": strip_seconds,
        "closed": len(closed),
        "parameters_left": slim.count_params(),
        "effect": least_effect(gated, slim, images, seed),
        "open_difference": open_difference,
        "difference": relative_difference(gated, slim, images),
        "scale": scale_of(gated, images),
        "loaded_difference": relative_difference(slim, loaded_again(slim), images),
    }
    return {**row, "problems": problems(row, gated, slim, closed)}


def random_images(model, seed, count=2):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, *model.input_shape[1:])).astype("float32")


def close_half(gated, seed) -> set:
    """Close a random half of the gates; return them."""
    gates = find_gates(gated)
    closed = set(random.Random(seed).sample(gates, (len(gates) + 1) // 2))
    for gate in closed:
        gate.probability.assign(0.0)
    return closed


def least_effect(gated, slim, images, seed) -> float:
    """The smallest difference that one gate at the wrong bound makes."""
    effects = []
    gates = find_gates(gated)
    for gate in random.Random(seed).sample(gates, min(5, len(gates))):
        theta = float(gate.probability.numpy())
        gate.probability.assign(1.0 - theta)
        effects.append(relative_difference(slim, gated, images))
        gate.probability.assign(theta)
    return min(effects)


def relative_difference(a, b, images) -> float:
    return klp.max_difference(a, b, images) / scale_of(a, images)


def scale_of(model, images) -> float:
    return float(keras.ops.max(keras.ops.abs(model(images, training=False))))


def loaded_again(model):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "slim.keras"
        model.save(path)
        return keras.models.load_model(path)


def problems(row, gated, slim, closed) -> list[str]:
    """What is not as it must be."""
    before = {use.layer.name for use in layers_at_work(gated)}
    after = layers_at_work(gated, closed)
    removed = before - {use.layer.name for use in after}
    left = {layer.name for layer in slim.layers} & removed
    differences = [row["open_difference"], row["difference"], row["loaded_difference"]]
    checks = {
        "outputs are zero or not finite": 0.0 < row["scale"] < np.inf,
        "a mistake would not show": row["effect"] > 10.0 * TOLERANCE,
        "outputs differ": all(x <= TOLERANCE for x in differences),
        f"layers of removed sections are left: {left}": not left,
        "weights of removed sections are left": slim.count_params()
        == count_parameters(after),
        "the package is left": "keras_layer_prune" not in slim.to_json(),
    }
    return [problem for problem, is_fine in checks.items() if not is_fine]


def timed(function, *args, **kwargs):
    start = time.perf_counter()
    result = function(*args, **kwargs)
    return result, time.perf_counter() - start


def markdown(row) -> str:
    """A row of the table; what `find_sections` says where there are no sections."""
    if row.get("sections") == 0:
        return f"| {row['model']} | 0 | {row['says']} |"
    cells = [row.get(column, "") for column in COLUMNS]
    return "| " + " | ".join(map(cell, cells)) + " |"


def cell(value) -> str:
    if isinstance(value, float):
        return f"{value:.2g}" if value < 1e-3 else f"{value:.2f}"
    if isinstance(value, list):
        return "; ".join(value)
    return f"{value:,}" if isinstance(value, int) else value


if __name__ == "__main__":
    sys.exit(main())
