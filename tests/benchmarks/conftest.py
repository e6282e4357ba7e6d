import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]

# The benchmarks and the examples import each other as scripts in one folder do.
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "examples")]


@pytest.fixture(scope="module")
def small_data():
    """Forty random images of three classes, the same in every split."""
    import datasets

    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, size=(40, 9, 9, 1)).astype("float32")
    split = datasets.Split(x, np.arange(40) % 3)
    return datasets.Data(split, split, split)
