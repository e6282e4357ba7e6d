"""Set-up that every test shares."""

import os

# TensorFlow reads it once, on import.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import pytest  # noqa: E402


@pytest.fixture(autouse=True)
def fixed_seed():
    """Every test starts from the same random state."""
    keras.utils.set_random_seed(0)


@pytest.fixture
def policy():
    """Sets a policy, and the former one again after the test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)
