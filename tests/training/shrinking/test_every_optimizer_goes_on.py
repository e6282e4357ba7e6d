"""Each optimizer of Keras, with each option, goes on after a section has left."""

import keras
import optimizer_cases
import pytest


def cases_and_marks():
    """Each class and each option in every run; all of both takes minutes."""
    for case in optimizer_cases.cases():
        is_usual = (
            case.name == "Adam"
            or case.option == "defaults"
            or case.option not in optimizer_cases.OPTIONS
        )
        marks = [] if is_usual else [pytest.mark.slow]
        if "MultiOptimizer" in case.option:
            marks.append(optimizer_cases.without_several)
        yield pytest.param(case, marks=marks)


@pytest.mark.parametrize("case", list(cases_and_marks()), ids=str)
def test_slots_are_equal_and_training_goes_on(case):
    result = optimizer_cases.outcome(case)
    assert result.differing == []
    assert result.iterations[0] == result.iterations[1] > 0
    assert result.deviation < 1e-5
    assert result.is_carried_over


def test_the_page_lists_what_is_tested():
    listed = dict.fromkeys(optimizer_cases.cases())
    assert optimizer_cases.PAGE.read_text() == optimizer_cases.page(listed)


def test_every_optimizer_class_of_keras_is_among_the_cases():
    classes = {
        name
        for name in dir(keras.optimizers)
        if isinstance(getattr(keras.optimizers, name), type)
        and issubclass(getattr(keras.optimizers, name), keras.optimizers.Optimizer)
    }
    tried = {case.name for case in optimizer_cases.cases()}
    assert classes - tried == optimizer_cases.WRAPPERS & classes
