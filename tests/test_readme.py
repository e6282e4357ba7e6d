"""What the README tells users to write works as it stands there."""

import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_layer_prune as klp

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

# Keras 3.15 warns of its own default whenever `fit` gets a `tf.data.Dataset`.
pytestmark = pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")


def test_the_workflow_of_the_readme_runs(tmp_path, monkeypatch):
    workflow, _ = EXAMPLES
    x = np.random.default_rng(0).normal(size=(64, 32, 32, 3)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((x, np.arange(64) % 10)).batch(32)
    names = {"train": data, "test": data}
    monkeypatch.chdir(tmp_path)
    exec(workflow.replace("epochs=60", "epochs=2, verbose=0"), names)
    served = tf.saved_model.load(tmp_path / "served")
    np.testing.assert_allclose(served.serve(x[:2]), names["slim"](x[:2]), atol=1e-5)
    assert names["model"].gates == []


def test_the_script_with_a_backup_goes_on_when_it_is_run_again(tmp_path, monkeypatch):
    _, script = EXAMPLES
    script = script.replace("epochs=60", "epochs=3, verbose=0")
    monkeypatch.chdir(tmp_path)
    epochs = []

    def epoch_begins(self, epoch, logs=None):
        epochs.append(epoch)
        if epochs == [0, 1]:
            raise KeyboardInterrupt

    x = np.ones((8, 4), "float32")
    names = {"keras": keras, "klp": klp, "x": x, "y": x, "make_network": small_network}
    monkeypatch.setattr(klp.PruneSections, "on_epoch_begin", epoch_begins)
    with pytest.raises(KeyboardInterrupt):
        exec(script.replace("save_freq=500", "save_freq=1"), names)
    exec(script.replace("save_freq=500", "save_freq=1"), names)
    assert epochs == [0, 1, 1, 2]
    assert names["model"].history.epoch == [0, 1, 2]
    assert list((tmp_path / "backup").iterdir()) == []


def small_network():
    x = keras.Input((4,))
    gate = klp.BernoulliGate()
    return keras.Model(x, keras.layers.Add()([x, gate(keras.layers.Dense(4)(x))]))


def test_its_commands_are_those_of_the_gate():
    gate = (pathlib.Path(__file__).parents[1] / ".ci" / "run").read_text()
    for command in ("python examples/quickstart.py", "python -m pytest"):
        assert command in README
        assert command in gate
