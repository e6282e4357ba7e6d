"""The page of models is what its command makes of the run, and of all of the run."""

import json
import sys
from pathlib import Path

import keras

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import models_page  # noqa: E402

RESULT = json.loads(models_page.RESULT.read_text())


def test_the_page_is_what_its_command_generates():
    assert models_page.PAGE.read_text() == models_page.page(RESULT)


def test_every_model_of_keras_applications_is_on_it():
    makers = [x for x in vars(keras.applications).values() if callable(x)]
    page = models_page.PAGE.read_text()
    assert len(makers) >= 38
    for maker in makers:
        name = maker.__name__
        assert f"| {name} | " in page or f"- **{name}**: " in page


def test_a_model_without_sections_says_why():
    row = {"says": "`a` has no residual connection: x. `GatedResidual(section)` gives"}
    assert models_page.why(row) == "No residual connection: x."
