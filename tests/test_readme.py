"""What the README tells users to write works as it stands there."""

import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text()


# Keras 3.15 warns of its own default whenever `fit` gets a `tf.data.Dataset`.
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")
def test_the_workflow_of_the_readme_runs(tmp_path, monkeypatch):
    (workflow,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    x = np.random.default_rng(0).normal(size=(64, 32, 32, 3)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((x, np.arange(64) % 10)).batch(32)
    names = {"train": data, "test": data}
    monkeypatch.chdir(tmp_path)
    exec(workflow.replace("epochs=60", "epochs=2, verbose=0"), names)
    served = tf.saved_model.load(tmp_path / "served")
    np.testing.assert_allclose(served.serve(x[:2]), names["slim"](x[:2]), atol=1e-5)
    assert names["model"].gates == []


def test_its_commands_are_those_of_the_gate():
    gate = (pathlib.Path(__file__).parents[1] / ".ci" / "run").read_text()
    for command in ("python examples/quickstart.py", "python -m pytest"):
        assert command in README
        assert command in gate
