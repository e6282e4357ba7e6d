"""Checks of scalar arguments: what passes, and what the errors say."""

import numpy as np
import pytest

from keras_layer_prune._checks import (
    finite_number,
    fraction,
    one_of,
    positive_number,
)


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2.0), np.int64(2)])
def test_numbers_of_any_kind_become_floats(value):
    number = finite_number("size", value)
    assert type(number) is float
    assert number == 2.0


@pytest.mark.parametrize("check", [finite_number, positive_number, fraction])
@pytest.mark.parametrize("value", ["1", None, [1.0], True, 1j])
def test_what_is_not_a_number_is_named_with_its_type(check, value):
    with pytest.raises(TypeError, match=rf"`size` must be .*{type(value).__name__}"):
        check("size", value)


@pytest.mark.parametrize("check", [finite_number, positive_number, fraction])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_an_error(check, value):
    with pytest.raises(ValueError, match=f"`size` must be finite.*{value!r}"):
        check("size", value)


@pytest.mark.parametrize("value", [0, -1e-9])
def test_a_positive_number_is_above_zero(value):
    with pytest.raises(ValueError, match=f"`size` must be greater than 0.*{value!r}"):
        positive_number("size", value)
    assert positive_number("size", 1e-9) == 1e-9


@pytest.mark.parametrize("value", [-1e-9, 1.0 + 1e-9])
def test_a_fraction_lies_between_zero_and_one(value):
    with pytest.raises(ValueError, match=f"`size` must be between 0 and 1.*{value!r}"):
        fraction("size", value)
    assert [fraction("size", x) for x in (0, 0.5, 1)] == [0.0, 0.5, 1.0]


def test_a_choice_is_one_of_those_listed():
    assert one_of("color", "red", ("red", "blue")) == "red"
    with pytest.raises(ValueError, match="`color` must be one of .*red.*blue.*green"):
        one_of("color", "green", ("red", "blue"))
