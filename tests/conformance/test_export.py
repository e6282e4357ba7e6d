"""A network with the layer is exported as a SavedModel."""

import numpy as np
import pytest
import tensorflow as tf
from cases import CASES, FEATURES


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_exported_network_serves_the_same_outputs(case, tmp_path):
    network = case.network()
    network.export(tmp_path / "served", verbose=False)
    # The signature is alive only as long as what was loaded.
    loaded = tf.saved_model.load(tmp_path / "served")
    for rows in (1, 5):
        x = np.random.default_rng(rows).normal(size=(rows, FEATURES)).astype("float32")
        np.testing.assert_allclose(loaded.serve(x), network(x), rtol=1e-5, atol=1e-6)
