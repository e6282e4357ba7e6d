"""A training that was killed ends as one that was not, to the bit."""

import functools

import pytest
from killed import EPOCHS, STEPS, Kill, Script, assert_same
from small_models import actions

from keras_layer_prune import PruneSections


@pytest.fixture(scope="module")
def undisturbed():
    return Script(None).run()


def test_the_training_of_these_tests_prunes_several_times(undisturbed):
    log = undisturbed.model.pruning_log
    assert len(log) == 5
    assert len({entry["event"] for entry in log}) >= 3


def test_a_backup_changes_nothing(undisturbed, tmp_path):
    assert_same(
        Script(
            tmp_path,
        ).run(save_freq=5),
        undisturbed,
    )


@pytest.mark.parametrize("epoch", [0, 1, 2, 3, 4, EPOCHS - 1])
def test_killed_in_an_epoch_and_begun_again_at_its_beginning(
    epoch, undisturbed, tmp_path
):
    script = Script(tmp_path).run_until_done(Kill(epoch, 3))
    assert_same(script, undisturbed)


@pytest.mark.parametrize("step", range(STEPS))
def test_killed_in_the_middle_of_an_epoch_and_begun_again_there(
    step, undisturbed, tmp_path
):
    script = Script(tmp_path).run_until_done(Kill(2, step), Kill(3, step), save_freq=4)
    assert_same(script, undisturbed)


def test_sections_that_have_to_leave_for_a_budget_go_on_leaving(
    undisturbed, monkeypatch, tmp_path
):
    with_budget = functools.partial(PruneSections, max_macs=0.2)
    monkeypatch.setattr("killed.PruneSections", with_budget)
    expected = Script(None).run()
    assert set(actions(undisturbed.model).values()) == {"removed", "kept"}
    assert set(actions(expected.model).values()) == {"removed"}
    kills = Kill(1, 4), Kill(2, 3), Kill(4, 1)
    script = Script(tmp_path).run_until_done(*kills, save_freq=4)
    assert_same(script, expected)
