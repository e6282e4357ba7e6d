"""What TensorBoard shows of a training that was killed and went on."""

import keras
import pytest
from event_files import events, single
from killed import EPOCHS, Kill, Killed, Script

import keras_layer_prune as klp

pytest.importorskip("tensorboard")


def shown(folder, *kills, **arguments):
    """Everything that a script has written, run again after each kill."""
    script = Script(folder / "backup" if kills else None)
    for kill in (*kills, None):
        # A new process would give the gates the same names.
        keras.utils.clear_session()
        callbacks = [klp.TensorBoardGates(folder / "logs"), kill]
        try:
            script.run(*filter(None, callbacks), **arguments)
        except Killed:
            assert kill
    return events(folder / "logs" / "gates")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return shown(tmp_path_factory.mktemp("undisturbed"))


def test_the_training_of_these_tests_decides_in_several_epochs(undisturbed):
    decided = [min(s) for tag, s in undisturbed.items() if tag.startswith("decisions")]
    assert len(decided) == 5
    assert len(set(decided)) >= 2
    assert list(single(undisturbed["network/sections"])) == [*range(EPOCHS)]


@pytest.mark.parametrize("epoch", [2, 4])
def test_with_a_backup_of_every_epoch_nothing_is_lost_or_doubled(
    epoch, undisturbed, tmp_path
):
    assert shown(tmp_path, Kill(epoch, 3)) == undisturbed


def test_what_had_not_been_backed_up_is_written_again_and_is_the_same(
    undisturbed, tmp_path
):
    found = shown(tmp_path, Kill(2, 4), Kill(3, 1), save_freq=4)
    assert found.keys() == undisturbed.keys()
    for tag, steps in found.items():
        assert {s: set(values) for s, values in steps.items()} == {
            s: {value} for s, value in single(undisturbed[tag]).items()
        }
