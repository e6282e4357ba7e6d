"""Tests of single parts of the training leave the callback out, and mean to."""

import pathlib

import pytest

FOLDER = pathlib.Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(
                pytest.mark.filterwarnings("ignore:Nothing moves the gates:UserWarning")
            )
