"""Backbones of KerasHub, small and random: gated, half closed, rebuilt, exported.

KerasHub pins versions of TensorFlow Text, so it gets an environment of its own:

    python3 -m venv .venv-hub && .venv-hub/bin/pip install -e . keras-hub
    .venv-hub/bin/python benchmarks/keras_hub_models.py

Prints what `find_sections` says of each, and what `equivalence.py` measures; ends with
status 1 if a backbone fails.
"""

import argparse
import re
import sys

import results  # isort: skip
import keras
import keras_hub
import numpy as np
from equivalence import gate_and_rebuild

import keras_layer_prune as klp

COMMAND = "python benchmarks/keras_hub_models.py"
TOKENS = 30
SIZES = {"num_layers": 6, "num_heads": 2, "hidden_dim": 16}


def main():
    arguments = parse_arguments()
    rows = {row["model"]: row for row in results.rows_of("keras_hub")}
    settings = {"seed": arguments.seed, "keras_hub": keras_hub.__version__}
    for name in MAKERS:
        if re.search(arguments.models, name):
            rows[name] = row_of(name, arguments.seed)
            in_order = [rows[name] for name in MAKERS if name in rows]
            results.save("keras_hub", settings, in_order, COMMAND)
    return 1 if any(row["problems"] for row in rows.values()) else 0


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="", help="regular expression of names")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def row_of(name, seed) -> dict:
    model, inputs = MAKERS[name]()
    randomise(model, seed)
    sections = klp.find_sections(model)
    print(f"{name}\n{sections}\n")
    row = gate_and_rebuild(model, inputs, seed, imports=["keras_hub"])
    print({key: value for key, value in row.items() if "difference" in key})
    print(f"problems: {row['problems']}\n", flush=True)
    return {
        "model": name,
        "sections": len(sections),
        "prunable": sum(section.prunable for section in sections),
        "parameters": model.count_params(),
        **row,
    }


def bert():
    backbone = keras_hub.models.BertBackbone(
        TOKENS, intermediate_dim=32, max_sequence_length=16, **SIZES
    )
    return backbone, {**sentences(), "segment_ids": np.zeros((4, 12), "int32")}


def gpt_2():
    backbone = keras_hub.models.GPT2Backbone(
        TOKENS, intermediate_dim=32, max_sequence_length=16, **SIZES
    )
    return backbone, sentences()


def vit():
    backbone = keras_hub.models.ViTBackbone((32, 32, 3), 8, mlp_dim=32, **SIZES)
    mend_config(type(backbone.get_layer("vit_patching_and_embedding")))
    return backbone, images()


def mend_config(layer_class):
    """Take out of a config what the constructor refuses.

    As it stands in KerasHub 0.32, no model but the backbone that it was made for could
    be loaded with this layer in it, and `gate_sections` says so.
    """
    get_config = layer_class.get_config
    refused = ("num_patches", "num_positions")

    def mended(self):
        config = get_config(self)
        return {key: value for key, value in config.items() if key not in refused}

    layer_class.get_config = mended


def vit_opened():
    """The same with its blocks in the open: the backbone keeps them all in one layer.

    Its sections are the attention and the feed-forward part of each block.
    """
    backbone, images = vit()
    encoder = backbone.get_layer("vit_encoder")
    x = encoder.dropout(encoder.input)
    for block in encoder.encoder_layers:
        x = opened(block, x)
    return keras.Model(backbone.input, encoder.layer_norm(x)), images


def opened(block, x):
    """A block as a nested model, in which its two parts can be told apart.

    Its dropout is left out, whose rate is 0. `block.call(inputs)` would do, did the
    feed-forward layer inside have a config to be made again from.
    """
    inputs = keras.Input(x.shape[1:])
    y = block.layer_norm_1(inputs)
    y = inputs + block.mha(y, y)
    z = block.mlp.dense_2(block.mlp.dense_1(block.layer_norm_2(y)))
    return keras.Model(inputs, y + z, name=block.name)(x)


MAKERS = {"BERT": bert, "GPT-2": gpt_2, "ViT": vit, "ViT, opened": vit_opened}


def sentences():
    generator = np.random.default_rng(0)
    lengths = np.array([12, 5, 9, 7])
    return {
        "token_ids": generator.integers(0, TOKENS, (4, 12)).astype("int32"),
        "padding_mask": (np.arange(12) < lengths[:, None]).astype("int32"),
    }


def images():
    return np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32")


def randomise(model, seed):
    """Weights under which every block matters, unlike those of a fresh backbone."""
    generator = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        centre = 1.0 if variable.name == "gamma" else 0.0
        variable.assign(generator.normal(centre, 0.2, variable.shape))


if __name__ == "__main__":
    sys.exit(main())
