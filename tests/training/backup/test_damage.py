"""What is on the disk is what was written, or is not used."""

import errno
import hashlib
import os
import random
import re
import stat
import subprocess

import numpy as np
import pytest

from keras_layer_prune.training.backup.files import ARRAYS, MANIFEST, STATE, Generations
from keras_layer_prune.training.backup.store import Store


def contents(number):
    """A state and arrays that tell the number of their generation."""
    state = {"position": {"epoch": number, "step": 0}, "text": "x" * 100}
    arrays = {"a": np.full((7, 5), number, "float32"), "b": np.array(number)}
    return state, arrays


@pytest.fixture
def folder(tmp_path):
    """A folder with the generations 1 and 2, after three saves."""
    store = Store(tmp_path)
    for number in range(3):
        store.save(*contents(number))
    return tmp_path


def assert_is(found, number):
    state, arrays = found
    expected_state, expected_arrays = contents(number)
    assert state == expected_state
    assert arrays.keys() == expected_arrays.keys()
    for name, value in expected_arrays.items():
        np.testing.assert_array_equal(arrays[name], value)
        assert arrays[name].dtype == value.dtype


def bytes_of(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).digest() for path in files}


def truncate(raw, dice):
    return raw[: dice.randrange(len(raw))]


def flip(raw, dice):
    changed = bytearray(raw)
    changed[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def damage(folder, number, how, dice):
    """Damage one file of a generation at a random place; return what undoes it."""
    # The larger a file, the more often.
    files = [Generations(folder).path(number) / n for n in (STATE, ARRAYS, MANIFEST)]
    (path,) = dice.choices(files, [f.stat().st_size for f in files])
    raw = path.read_bytes()
    path.write_bytes(how(raw, dice))
    return lambda: path.write_bytes(raw)


def test_the_newest_generation_is_read_and_two_are_kept(folder):
    assert_is(Store(folder).newest(), 2)
    assert Generations(folder).numbers() == [2, 1]


@pytest.mark.parametrize("how", [truncate, flip])
def test_a_hundred_random_damages_to_the_last_generation_are_seen(how, folder):
    dice = random.Random(0)
    for _ in range(100):
        undo = damage(folder, 2, how, dice)
        with pytest.warns(UserWarning, match="The last backup is damaged"):
            assert_is(Store(folder).newest(), 1)
        undo()
    assert_is(Store(folder).newest(), 2)


@pytest.mark.parametrize("how", [truncate, flip])
def test_a_hundred_random_damages_to_both_are_an_error_and_change_nothing(how, folder):
    dice = random.Random(1)
    for _ in range(100):
        undo = [damage(folder, number, how, dice) for number in (1, 2)]
        before = bytes_of(folder)
        with pytest.raises(ValueError, match="Every backup in .* is damaged"):
            Store(folder).newest()
        assert bytes_of(folder) == before
        for u in undo:
            u()


def test_every_single_byte_of_a_generation_is_covered(folder):
    (folder / "generation-00000001").rename(folder / "elsewhere")
    for name in (STATE, MANIFEST):
        path = Generations(folder).path(2) / name
        raw = path.read_bytes()
        for place in range(len(raw)):
            path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
            with pytest.raises(ValueError, match="is damaged"):
                Store(folder).newest()
        path.write_bytes(raw)
    assert_is(Store(folder).newest(), 2)


@pytest.mark.parametrize("name", [STATE, ARRAYS, MANIFEST])
def test_a_file_that_is_missing_is_a_damage(name, folder):
    (Generations(folder).path(2) / name).unlink()
    with pytest.warns(UserWarning, match="No such file"):
        assert_is(Store(folder).newest(), 1)


def test_a_generation_under_the_number_of_another_is_a_damage(folder):
    path = Generations(folder).path
    path(2).rename(folder / "away")
    path(1).rename(path(2))
    with pytest.raises(ValueError, match="is damaged"):
        Store(folder).newest()


def test_after_a_damage_the_generation_that_was_used_is_kept(folder):
    (Generations(folder).path(2) / STATE).write_bytes(b"")
    store = Store(folder)
    with pytest.warns(UserWarning, match="damaged"):
        store.newest()
    store.save(*contents(3))
    assert Generations(folder).numbers() == [3, 1]


def test_file_systems_that_flush_no_folders_will_do(folder, monkeypatch):
    flush = os.fsync

    def files_only(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    Store(folder).save(*contents(3))
    assert_is(Store(folder).newest(), 3)


def fail_at(monkeypatch, name, call):
    """Let the disk be full at one call of a function of `os`."""
    calls = []
    real = getattr(os, name)

    def full(*args, **kwargs):
        calls.append(args)
        if len(calls) == call:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(os, name, full)


@pytest.mark.parametrize(
    ("name", "call"),
    [("fsync", 1), ("fsync", 2), ("fsync", 3), ("fsync", 4)]
    + [("rename", 1), ("mkdir", 1)],
)
def test_a_full_disk_is_a_clear_error_and_leaves_the_earlier_backup(
    name, call, folder, monkeypatch
):
    store = Store(folder)
    before = bytes_of(folder)
    if name == "mkdir":
        call = 2  # the directory itself comes first
    fail_at(monkeypatch, name, call)
    with pytest.raises(OSError, match="could not be written.*Make room") as error:
        store.save(*contents(3))
    assert error.value.errno == errno.ENOSPC
    assert bytes_of(folder) == before
    assert_is(Store(folder).newest(), 2)


def test_what_to_do_of_a_backup_that_cannot_be_written_tells_whether_there_is_one(
    tmp_path, monkeypatch
):
    store = Store(tmp_path)
    assert store.newest() is None
    with monkeypatch.context() as patch:
        fail_at(patch, "fsync", 1)
        with pytest.raises(OSError, match="Nothing has been trained.*Make room") as no:
            store.save(*contents(0))
    assert "goes on from there" not in str(no.value)
    store.save(*contents(0))
    fail_at(monkeypatch, "fsync", 1)
    with pytest.raises(OSError, match="is as it was.*goes on from there") as one:
        store.save(*contents(1))
    assert "Nothing has been trained" not in str(one.value)


def test_a_folder_that_can_no_longer_be_read_is_told_as_such(folder, monkeypatch):
    store = Store(folder)
    store.newest()

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(OSError, match="could not be written.*goes on from there"):
        store.save(*contents(3))


def below_a_file(folder):
    (folder / "file").touch()
    return folder / "file" / "backup"


def link_to_nowhere(folder):
    (folder / "link").symlink_to(folder / "nowhere")
    return folder / "link"


def name_too_long(folder):
    return folder / ("x" * 300)


@pytest.mark.parametrize("make", [below_a_file, link_to_nowhere, name_too_long])
def test_a_path_at_which_no_folder_can_be_made_is_a_clear_error(make, tmp_path):
    path = make(tmp_path)
    advice = "Nothing has been trained.*a path at which one can be made"
    with pytest.raises(OSError, match=rf"{re.escape(str(path))}` could not.*{advice}"):
        store = Store(path)
        assert store.newest() is None
        store.save(*contents(0))


def test_a_folder_that_may_not_be_read_is_a_clear_error(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(PermissionError, match="could not be searched.*written and re"):
        Store(folder).newest()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 kB, where this process may make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("may not mount a file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_really_full(small_disk):
    store = Store(small_disk)
    for number in range(3):
        store.save(*contents(number))
    state, arrays = contents(3)
    arrays["a"] = np.zeros(100_000)
    before = bytes_of(small_disk)
    with pytest.raises(OSError, match="No space left on device.*Make room"):
        store.save(state, arrays)
    assert bytes_of(small_disk) == before
    assert_is(Store(small_disk).newest(), 2)
    store.save(*contents(4))
    assert_is(Store(small_disk).newest(), 4)


def test_what_a_killed_process_left_half_written_is_not_read_and_is_removed(folder):
    unfinished = folder / "generation-00000003.unfinished"
    unfinished.mkdir()
    (unfinished / STATE).write_text("{")
    store = Store(folder)
    assert_is(store.newest(), 2)
    store.tidy()
    assert not unfinished.exists()


def test_generations_are_written_beside_what_others_put_into_former_ones(folder):
    stray = [f"generation-00000003.unfinished{n}/.DS_Store" for n in ("", 1)]
    for name in stray:
        (folder / name).parent.mkdir()
        (folder / name).write_text("shown")
    store = Store(folder)
    for number in range(3, 6):
        store.save(*contents(number))
    store.tidy()
    assert_is(Store(folder).newest(), 5)
    assert all((folder / name).read_text() == "shown" for name in stray)
    unfinished = folder.glob("*.unfinished*")
    assert len(list(unfinished)) == len(stray)


def test_files_of_others_stay(folder):
    mine = [folder / "notes.txt", folder / "generation-1" / "x", folder / "logs" / "y"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    inside = Generations(folder).path(2) / "mine.txt"
    inside.write_text("mine")
    Store(folder).clear()
    assert all(path.read_text() == "mine" for path in mine)
    assert [path.read_text() for path in folder.rglob("mine.txt")] == ["mine"]
    assert Generations(folder).numbers() == []


def test_pickled_objects_are_not_loaded(folder):
    class Trap:
        def __reduce__(self):
            return os.abort, ()

    generations = Generations(folder)
    generations.write(3, contents(3)[0], {"a": np.array([Trap()], dtype=object)})
    with pytest.warns(UserWarning, match="Object arrays cannot be loaded"):
        assert_is(Store(folder).newest(), 2)


def test_a_backup_of_an_earlier_version_is_refused_and_kept(folder):
    for path in folder.glob(f"*/{MANIFEST}"):
        path.write_text(path.read_text().replace('"format": 16', '"format": 8'))
    before = bytes_of(folder)
    with pytest.raises(ValueError, match="earlier version.*Nothing has been deleted"):
        Store(folder).newest()
    assert bytes_of(folder) == before
