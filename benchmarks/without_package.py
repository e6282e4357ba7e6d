"""Outputs of saved models where this package, and then Keras too, cannot be imported.

`outputs` starts this file as a process of its own, with the folder that holds
`served/`, `slim.keras` and `inputs.npz`. A SavedModel has to run with TensorFlow alone,
a `.keras` file with what its layers come from.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

PACKAGE = "keras_layer_prune"


def save_all(model, inputs, folder, export=True):
    """Leave in a folder what `outputs` looks for.

    Args:
        model: Keras model without gates.
        inputs: Array, or dictionary of arrays by the names of the model's inputs.
        folder: `Path` of an empty folder.
        export: Whether to export a SavedModel too, which takes most of the time.
    """
    named = inputs if isinstance(inputs, dict) else {"inputs": inputs}
    np.savez(folder / "inputs.npz", **named)
    model.save(folder / "slim.keras")
    if export:
        model.export(str(folder / "served"), verbose=False)


def outputs(folder, imports=()) -> dict[str, list]:
    """What the models in a folder return, in a process without this package.

    Args:
        folder: `Path` that `save_all` wrote to.
        imports: Names of packages that layers of the model come from.

    Returns:
        Dictionary with the flat outputs of `"served"`, if it was exported, and of
        `"loaded"`.
    """
    command = [sys.executable, __file__, str(folder), *imports]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"without this package: {done.stderr[-2000:]}")
    with np.load(folder / "outputs.npz") as arrays:
        return {
            kind: [arrays[key] for key in arrays if key.startswith(kind)]
            for kind in {key.split("_")[0] for key in arrays}
        }


def main():
    folder, imports = Path(sys.argv[1]), sys.argv[2:]
    forbid(PACKAGE, "keras", "tf_keras", *imports)
    inputs = read_inputs(folder)
    found = {}
    if (folder / "served").exists():
        found.update(flat("served", run_served(folder, inputs)))
    permit("keras", *imports)
    found.update(flat("loaded", run_loaded(folder, inputs, imports)))
    np.savez(folder / "outputs.npz", **found)


def forbid(*names):
    """Make imports of some packages fail."""
    for name in names:
        if name in sys.modules:
            raise SystemExit(f"{name} was imported already")
        sys.modules[name] = None


def permit(*names):
    for name in names:
        del sys.modules[name]


def read_inputs(folder):
    with np.load(folder / "inputs.npz") as arrays:
        inputs = {name: arrays[name] for name in arrays}
    return inputs["inputs"] if list(inputs) == ["inputs"] else inputs


def run_served(folder, inputs):
    import tensorflow as tf

    # TensorFlow's optimizer of graphs rounds at other places than Keras's own call:
    # outputs of EfficientNetB0 with random weights, nothing pruned, move by 1e-2.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    served = tf.saved_model.load(str(folder / "served"))
    return tf.nest.flatten(served.serve(tf.nest.map_structure(tf.constant, inputs)))


def run_loaded(folder, inputs, imports):
    import importlib

    import keras

    for name in imports:
        importlib.import_module(name)
    model = keras.models.load_model(folder / "slim.keras")
    return keras.tree.flatten(model(inputs, training=False))


def flat(kind, tensors):
    return {f"{kind}_{i:03d}": np.asarray(x) for i, x in enumerate(tensors)}


if __name__ == "__main__":
    main()
