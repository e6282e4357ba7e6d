"""What of every model of `keras.applications` can be pruned, at full size.

    python benchmarks/sections.py
    python benchmarks/sections.py --models "ResNet50$|VGG"   # rows of others stay

`python benchmarks/models_page.py` makes docs/which_models_can_be_pruned.md of it.
"""

import argparse
import collections
import gc

import results  # isort: skip
import applications
import keras

import keras_layer_prune as klp
from keras_layer_prune.graph.costs.anatomy import (
    count_macs,
    count_parameters,
    layers_at_work,
)
from keras_layer_prune.graph.finding.sections import read_sections, uses_of_prunable


def main():
    arguments = parse_arguments()
    rows = {row["model"]: row for row in results.rows_of("sections")}
    for name in applications.names(arguments.models):
        rows[name] = row_of(name)
        print(rows[name], flush=True)
        keras.backend.clear_session()
        gc.collect()
    in_order = [rows[name] for name in sorted(rows)]
    results.save("sections", {}, in_order, "python benchmarks/sections.py")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="", help="regular expression of names")
    return parser.parse_args()


def row_of(name) -> dict:
    model = applications.full_size(name)
    found = read_sections(model)
    whole, held = layers_at_work(model), uses_of_prunable(model, found)
    prunable = [one.section for one in found if one.section.prunable]
    refused = [one.section.reason for one in found if not one.section.prunable]
    row = {
        "model": name,
        "input_shape": model.input_shape[1:],
        "sections": len(found),
        "prunable": len(prunable),
        "kinds": dict(collections.Counter(section.kind for section in prunable)),
        # What follows the colon are the names of layers.
        "refused": dict(collections.Counter(x.split(":")[0] for x in refused)),
        "parameters": count_parameters(whole),
        "macs": count_macs(whole),
        "prunable_parameters": count_parameters(held),
        "prunable_macs": count_macs(held),
    }
    return row if prunable else {**row, "says": str(klp.find_sections(model))}


if __name__ == "__main__":
    main()
