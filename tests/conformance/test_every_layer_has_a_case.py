"""No public layer is forgotten by the conformance tests."""

import inspect

import keras
from cases import CASES

import keras_layer_prune


def public_layers():
    classes = [x for x in vars(keras_layer_prune).values() if inspect.isclass(x)]
    return {
        x
        for x in classes
        if issubclass(x, keras.layers.Layer) and not issubclass(x, keras.Model)
    }


def test_every_public_layer_has_a_case():
    assert public_layers() == {type(case.make()) for case in CASES}


def test_every_case_is_named_after_its_layer():
    assert [case.name for case in CASES] == [type(c.make()).__name__ for c in CASES]
