"""Prune a model that nobody here wrote, while it trains on small images.

    python examples/prune_any_model.py           # ResNet50V2 on digits, no download
    python examples/prune_any_model.py --model keras.applications.EfficientNetV2B0 \\
        --weights imagenet --dataset cifar10 --size 64

`--model` is any function that makes a functional model without its head as those of
`keras.applications` do. It is trained as it is and once more with a gate on every
residual section; what is left, and the table of both, go to a new folder.
"""

import argparse
import importlib
import inspect
import json
from pathlib import Path

import datasets
import keras
import quickstart
import recipe

import keras_layer_prune as klp


def main():
    arguments = parse_arguments()
    folder = quickstart.free_folder(arguments.output or default_folder(arguments))
    data = datasets.load(arguments.dataset)
    network = make_network(data, arguments)
    print(sections := klp.find_sections(network))
    gated = klp.gate_sections(network, filters=arguments.filters)
    prune = klp.PruneSections(max_macs=arguments.max_macs)
    folder.mkdir(parents=True)

    print("\nThe model as it is:")
    dense_seconds = fit(network, data, arguments)
    print("\nThe same model with gates:")
    model = klp.GatedModel(gated)
    seconds = fit(model, data, arguments, callbacks=[prune])
    slim = klp.strip_gates(model.network)

    count = sum(section.prunable for section in sections)
    left = count - quickstart.removed(model)
    rows = [quickstart.report(network, dense_seconds, count, data)]
    rows.append(quickstart.report(slim, seconds, left, data))
    quickstart.add_latency(rows, [network, slim])
    klp.plot_gates(prune.trajectories, folder / "gates.png")
    slim.save(folder / "slim.keras")
    difference = quickstart.export_and_compare(slim, slim, folder / "served", data)

    (folder / "result.json").write_text(json.dumps(rows, indent=2))
    quickstart.print_table(rows)
    print(f"SavedModel, loaded again: outputs differ by at most {difference:.1e}")
    print(f"Written to {folder}: gates.png, slim.keras, served/, result.json")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="keras.applications.ResNet50V2")
    parser.add_argument("--weights", help="imagenet, from the network; default: random")
    parser.add_argument("--filters", help="regular expression of sections to gate")
    parser.add_argument("--dataset", choices=datasets.NAMES, default="digits")
    parser.add_argument("--size", type=int, default=32, help="to which images are made")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--max-macs", type=float, help="share that may be left")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="a folder that does not exist yet")
    return parser.parse_args()


def default_folder(arguments):
    return Path(f"{arguments.model.split('.')[-1]}_on_{arguments.dataset}")


def make_network(data, arguments):
    """The model between small images, grey or not, and a logit for each class."""
    keras.utils.set_random_seed(arguments.seed)
    maker = find_maker(arguments.model)
    shape = (arguments.size, arguments.size, 3)
    body = maker(
        include_top=False, weights=arguments.weights, input_shape=shape, pooling="avg"
    )
    inputs = keras.Input(data.image_shape)
    # Not by Keras's layer `Resizing`: its default `training=True` reaches all layers
    # after it, in the export too, which would serve with the statistics of batches.
    x = keras.ops.image.resize(inputs, shape[:2])
    if data.image_shape[-1] == 1:
        x = keras.layers.Concatenate()([x, x, x])
    x = body(scaled_for(maker)(x))
    return keras.Model(inputs, keras.layers.Dense(data.classes)(x))


def find_maker(name):
    """The function that a dotted name stands for."""
    module, _, function = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), function)
    except (AttributeError, ImportError, ValueError) as error:
        raise SystemExit(
            f"--model {name}: {error}. Give a function by its whole name, such as "
            "keras.applications.MobileNetV2."
        ) from error


def scaled_for(maker):
    """What a model's module does to images from 0 to 255 before the model sees them."""
    return getattr(inspect.getmodule(maker), "preprocess_input", lambda x: x / 255.0)


def fit(model, data, arguments, callbacks=()):
    """Train; return the seconds that it took."""
    _, seconds = recipe.fit(
        model,
        data,
        arguments.epochs,
        arguments.batch_size,
        arguments.learning_rate,
        callbacks=list(callbacks),
    )
    return seconds


if __name__ == "__main__":
    main()
