"""Export: decided gates only, nothing overwritten, nothing of this package inside."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from small_models import (
    chain,
    compiled,
    data,
    gate,
)

from keras_layer_prune import strip_gates

SERVE = """
import sys
sys.modules["keras_layer_prune"] = None      # importing it would now fail
import numpy as np
import tensorflow as tf
served = tf.saved_model.load("served")
outputs = served.serve(tf.constant(np.load("inputs.npy")))
np.save("outputs.npy", outputs.numpy())
"""


def convolutions():
    """Sections with everything that has state of its own, one of them closed."""
    x = inputs = keras.Input((6, 6, 3))
    for index, theta in enumerate((1.0, 0.0)):
        branch = keras.layers.Conv2D(3, 3, padding="same")(x)
        branch = keras.layers.BatchNormalization()(branch)
        branch = gate(f"gate_{index}", theta)(keras.layers.ReLU()(branch))
        x = keras.layers.Add()([x, branch])
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(2)(x))


def test_a_process_with_tensorflow_alone_serves_the_same_outputs(tmp_path):
    model = compiled(convolutions(), "adam", gate_step_size=1e-12)
    x = np.random.default_rng(0).normal(size=(8, 6, 6, 3)).astype("float32")
    model.fit(x, np.ones((8, 2)), epochs=2, verbose=0)
    model.export(tmp_path / "served", verbose=False)
    np.save(tmp_path / "inputs.npy", x)

    subprocess.run([sys.executable, "-c", SERVE], cwd=tmp_path, check=True)

    served = np.load(tmp_path / "outputs.npy")
    slim = strip_gates(model.network)
    np.testing.assert_allclose(served, slim(x, training=False), atol=1e-5)
    np.testing.assert_allclose(served, model(x, training=False), atol=1e-5)
    assert np.abs(served).max() > 0.1


# Keras asks NumPy for a name that it will have again.
@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")
def test_onnx_runtime_computes_the_same_outputs(tmp_path):
    pytest.importorskip("tf2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    model = compiled(convolutions())
    path = tmp_path / "net.onnx"
    model.export(path, format="onnx", verbose=False)

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(size=(8, 6, 6, 3)).astype("float32")
    (inputs,) = session.get_inputs()
    (outputs,) = session.run(None, {inputs.name: x})
    np.testing.assert_allclose(outputs, model(x, training=False), atol=1e-5)
    assert np.abs(outputs).max() > 0.1


def test_undecided_gates_are_named_and_nothing_is_written(tmp_path):
    model = compiled(chain((1.0, 0.75, 0.0, 0.25)))
    with pytest.raises(ValueError, match=r"'gate_1': 0.75, 'gate_3': 0.25.*settle_by"):
        model.export(tmp_path / "served")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_left_alone(tmp_path):
    path = tmp_path / "served"
    path.write_text("precious")
    with pytest.raises(FileExistsError, match=r"served.*nothing is overwritten"):
        compiled(chain((1.0, 0.0))).export(path)
    assert path.read_text() == "precious"


def test_a_folder_in_the_way_is_left_alone(tmp_path):
    path = tmp_path / "served"
    path.mkdir()
    (path / "notes").write_text("precious")
    with pytest.raises(FileExistsError, match="Choose another path"):
        compiled(chain((1.0, 0.0))).export(str(path))
    assert [p.name for p in path.iterdir()] == ["notes"]


def test_the_model_can_train_on_after_an_export(tmp_path):
    model = compiled(chain((1.0, 0.0)), "adam", gate_step_size=1e-12, train_size=16)
    x, y = data()
    model.train_on_batch(x, y)
    model.export(tmp_path / "served", verbose=False)
    model.train_on_batch(x, y)
    assert model.optimizer.iterations == 2
    assert len(model.gates) == 2
