"""Compiled by XLA, the layer computes what it computes eagerly."""

import numpy as np
import pytest
import tensorflow as tf
from cases import CASES, FEATURES, gate_of


@pytest.mark.parametrize("case", CASES, ids=str)
def test_xla_equals_eager_at_inference(case):
    x = np.random.default_rng(0).normal(size=(5, FEATURES)).astype("float32")
    layer = case.make()
    eager = layer(x)
    compiled = tf.function(layer, jit_compile=True)
    np.testing.assert_allclose(compiled(x), eager, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("theta", [0.0, 1.0])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_xla_equals_eager_while_training_with_a_decided_gate(case, theta):
    # Undecided gates draw other samples under XLA than eagerly.
    x = np.random.default_rng(0).normal(size=(5, FEATURES)).astype("float32")
    layer = case.make()
    gate_of(layer).probability.assign(theta)
    eager = layer(x, training=True)
    compiled = tf.function(lambda x: layer(x, training=True), jit_compile=True)
    np.testing.assert_allclose(compiled(x), eager, rtol=1e-5, atol=1e-6)
