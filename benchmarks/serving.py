"""What is served: the pruned network, the dense one, and the small one by hand.

    python benchmarks/serving.py

A network with three of four gates closed is exported, and beside it the network
before, and the same small network written by hand. Latencies are taken in turn, from
the SavedModels as TensorFlow loads them; the time to load and the size are those of the
folders. A LiteRT file of each is made too, and its outputs are compared; an ONNX file
where the extra `onnx` is installed.
"""

import argparse
import importlib.util
import pathlib
import statistics
import tempfile

import results
import timing

import networks  # isort: skip
import numpy as np
import tensorflow as tf

import keras_layer_prune as klp

SHAPE = (28, 28, 1)
KINDS = ("dense", "pruned", "by hand")
HAS_ONNX = all(map(importlib.util.find_spec, ("tf2onnx", "onnxruntime")))


def main():
    arguments = parse_arguments()
    if not HAS_ONNX:
        print("Without ONNX: pip install 'keras_layer_prune[onnx]'")
    with tempfile.TemporaryDirectory() as folder:
        paths = export_all(pathlib.Path(folder), arguments)
        rows = [row(kind, path) for kind, path in paths.items()]
        served = {kind: tf.saved_model.load(str(path)) for kind, path in paths.items()}
        for size in arguments.batch_sizes:
            add_latencies(rows, served, size, arguments.calls)
    for each in rows:
        print(each)
    results.save("serving", vars(arguments), rows)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sections", type=int, default=12, help="a multiple of 12")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--calls", type=int, default=200)
    return parser.parse_args()


def export_all(folder, arguments):
    """Folders with the SavedModels, by kind."""
    paths = {kind: folder / kind.replace(" ", "_") for kind in KINDS}
    for kind, network in make_networks(arguments).items():
        network.export(paths[kind], verbose=False)
        if HAS_ONNX:
            # Keras exports models only that have been called.
            network(example(1))
            network.export(onnx_file(paths[kind]), format="onnx", verbose=False)
    return paths


def onnx_file(path):
    return path.with_name(f"{path.name}.onnx")


def make_networks(arguments):
    gated = make_network(arguments.sections, arguments)
    # In each of three stages, one section in four stays.
    left = arguments.sections // 12
    for index, gate in enumerate(klp.GatedModel(gated).gates):
        in_stage = index % (arguments.sections // 3)
        gate.probability.assign(float(in_stage < left))
    return {
        "dense": make_network(arguments.sections, arguments, gated=False),
        "pruned": klp.strip_gates(gated),
        "by hand": make_network([left] * 3, arguments, gated=False),
    }


def make_network(sections, arguments, **options):
    return networks.residual_network(
        SHAPE, 10, sections=sections, width=arguments.width, **options
    )


def row(kind, path):
    return {
        "kind": kind,
        "bytes": sum(file.stat().st_size for file in path.rglob("*")),
        "load s": statistics.median(load_seconds(path)),
        **litert(path),
        **onnx(path),
    }


def load_seconds(path):
    return [timing.timed(tf.saved_model.load, str(path))[1] for _ in range(5)]


def litert(path):
    """Size of the LiteRT file, and how far its outputs are from the SavedModel's."""
    content = tf.lite.TFLiteConverter.from_saved_model(str(path)).convert()
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    images = example(1)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images)
    interpreter.invoke()
    outputs = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    difference = difference_from_served(outputs, images, path)
    return {"LiteRT bytes": len(content), "LiteRT difference": difference}


def onnx(path):
    """The same of the ONNX file; None without the extra."""
    if not HAS_ONNX:
        return {"ONNX bytes": None, "ONNX difference": None}
    import onnxruntime

    file = onnx_file(path)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    images = example(1)
    (outputs,) = session.run(None, {session.get_inputs()[0].name: images})
    difference = difference_from_served(outputs, images, path)
    return {"ONNX bytes": file.stat().st_size, "ONNX difference": difference}


def difference_from_served(outputs, images, path):
    served = tf.saved_model.load(str(path))
    return float(np.abs(outputs - served.serve(tf.constant(images))).max())


def add_latencies(rows, served, size, calls):
    images = tf.constant(example(size))
    runs = [
        lambda model=model: model.serve(images).numpy() for model in served.values()
    ]
    times = timing.in_turn(runs, calls, warm_up=10)
    by_hand = list(served).index("by hand")
    for index, each in enumerate(rows):
        ratios = [turn[index] / turn[by_hand] for turn in times]
        each[f"ms, batch {size}"] = 1e3 * statistics.median(t[index] for t in times)
        each[f"over by hand, batch {size}"] = statistics.median(ratios)


def example(size):
    generator = np.random.default_rng(0)
    return generator.uniform(0, 255, (size, *SHAPE)).astype("float32")


if __name__ == "__main__":
    main()
