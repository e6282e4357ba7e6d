"""Every model of `keras.applications`: gated, half closed, rebuilt, exported, compared.

    python benchmarks/rebuild.py                          # all of them, an hour
    python benchmarks/rebuild.py --models "ResNet50$|VGG" # some; rows of others stay
    python benchmarks/rebuild.py --resume                 # those not exported yet

Weights are random, and so are the statistics of the normalisations, so that an
operation left out or in by mistake changes the outputs. The stripped model is run once
more from its SavedModel, in a process that has TensorFlow alone, and from its `.keras`
file, in one that has Keras and not this package. Prints a row of a table for each model
and keeps it; ends with status 1 if a model fails.
"""

import argparse
import gc
import sys

import results  # isort: skip
import applications
import keras
import timing
from equivalence import gate_and_rebuild

import keras_layer_prune as klp

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
    "served_difference": "difference, exported",
    "problems": "problems",
}


def main():
    arguments = parse_arguments()
    rows = {row["model"]: row for row in results.rows_of("rebuild")}
    print("|".join(["", *COLUMNS.values(), ""]))
    print("|" + " --- |" * len(COLUMNS))
    for name in applications.names(arguments.models):
        if arguments.resume and is_done(rows.get(name)):
            continue
        rows[name] = checked_row(name, arguments)
        print(markdown(rows[name]), flush=True)
        # Kept at once: a run of all models can be cut off and gone on with.
        in_order = [rows[name] for name in sorted(rows)]
        settings = {"seed": arguments.seed}
        results.save("rebuild", settings, in_order, "python benchmarks/rebuild.py")
        keras.backend.clear_session()
        gc.collect()
    return 1 if any(row["problems"] for row in rows.values()) else 0


def is_done(row) -> bool:
    """Whether a row shows all that it can."""
    if row is None or row["problems"]:
        return False
    return not row["prunable"] or "served_difference" in row


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="", help="regular expression of names")
    parser.add_argument("--resume", action="store_true", help="only what is missing")
    parser.add_argument("--skip-export", action="store_true", help="much faster")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def checked_row(name, arguments) -> dict:
    """What a model shows, or the error that it raises."""
    try:
        return row_of(name, arguments)
    except Exception as error:
        return {"model": name, "problems": [f"{type(error).__name__}: {error}"]}


def row_of(name, arguments) -> dict:
    keras.utils.set_random_seed(arguments.seed)
    model = applications.small(name, arguments.seed)
    sections, find_seconds = timing.timed(klp.find_sections, model)
    row = {
        "model": name,
        "sections": len(sections),
        "prunable": sum(section.prunable for section in sections),
        "parameters": model.count_params(),
        "find_seconds": find_seconds,
    }
    if not row["prunable"]:
        return {**row, "says": str(sections), "problems": []}
    images = applications.random_images(model, arguments.seed)
    export = not arguments.skip_export
    return {**row, **gate_and_rebuild(model, images, arguments.seed, export)}


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
