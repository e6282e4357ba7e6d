"""Generations of a backup on disk: written whole or not at all, checked when read.

A generation is a folder of three files. It is written under another name, flushed to
the disk and then renamed, which happens at once or not at all. The manifest holds the
format, the generation's number, the size and the SHA-256 of the other two, and nothing
else: it is made again when the generation is read, and has to be the same to the byte.
So no byte can change unseen.
"""

import contextlib
import errno
import hashlib
import io
import itertools
import json
import os
import re
import zipfile
from pathlib import Path

import numpy as np

STATE, ARRAYS, MANIFEST = "state.json", "arrays.npz", "manifest.json"
# Since 16 the steps between which gates move are the callback's `timetable`.
_FORMAT = 16
# 2: the steps that are done are the callback's `progress`. 4: gates remember the second
# moments of their estimates. 8: and their surcharges. No flipped bit makes one of these
# of another.
_EARLIER_FORMATS = (1, 2, 4, 8)
_NAME = "generation-{:08d}"
_UNFINISHED = ".unfinished"
_PATTERN = re.compile(r"generation-(\d{8})")
_UNFINISHED_PATTERN = re.compile(rf"{_PATTERN.pattern}{re.escape(_UNFINISHED)}\d*")


class DamagedError(Exception):
    """A generation that is not what was written."""


class Generations:
    """The generations of one backup, by number.

    Args:
        directory: `pathlib.Path`. Files in it that are not a backup's are left alone.
    """

    def __init__(self, directory):
        self.directory = Path(directory)

    def numbers(self) -> list[int]:
        """Numbers of all generations, whole or damaged, the newest first."""
        if not self.directory.is_dir():
            return []
        matches = map(_PATTERN.fullmatch, os.listdir(self.directory))
        numbers = (int(match[1]) for match in matches if match)
        return sorted((n for n in numbers if self.path(n).is_dir()), reverse=True)

    def path(self, number) -> Path:
        """Folder of a generation."""
        return self.directory / _NAME.format(number)

    def read(self, number) -> tuple[dict, dict]:
        """State and arrays of a generation.

        Args:
            number: Int.

        Returns:
            A dictionary as JSON keeps it, and a dictionary of NumPy arrays.

        Raises:
            DamagedError: If any byte is not the one that was written.
            ValueError: If an earlier version of this package wrote it.
        """
        folder = self.path(number)
        try:
            contents = {name: (folder / name).read_bytes() for name in (STATE, ARRAYS)}
            manifest = (folder / MANIFEST).read_bytes()
        except OSError as error:
            raise DamagedError(f"`{folder}`: {error}") from error
        digests = {name: _digest(raw) for name, raw in contents.items()}
        if manifest in [_manifest(number, digests, old) for old in _EARLIER_FORMATS]:
            raise ValueError(
                f"`{folder}` was written by an earlier version of keras_layer_prune. "
                "Nothing has been deleted. Finish the training with that version, or "
                "delete the directory to train from the beginning."
            )
        if manifest != _manifest(number, digests):
            raise DamagedError(
                f"`{folder}`: sizes and SHA-256 of its files are not those of its "
                f"{MANIFEST}"
            )
        return _parsed(contents)

    def write(self, number, state, arrays):
        """Write a generation, whole or not at all.

        Args:
            number: Int, one that is not there yet.
            state: Dictionary that can be written as JSON.
            arrays: Dictionary of NumPy arrays of plain numbers.

        Raises:
            OSError: If it cannot be written; then nothing of it is left.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        unfinished = _unfinished(self.path(number))
        try:
            unfinished.mkdir()
            _write_files(unfinished, number, state, arrays)
            os.rename(unfinished, self.path(number))
        except BaseException:
            _discard(unfinished)
            raise
        _flush_folder(self.directory)

    def remove(self, numbers):
        """Remove generations, each at once or not at all, the oldest first."""
        for number in sorted(numbers):
            unfinished = _unfinished(self.path(number))
            os.rename(self.path(number), unfinished)
            _discard(unfinished)

    def remove_unfinished(self):
        """Remove what a process that was killed has left."""
        if self.directory.is_dir():
            for name in os.listdir(self.directory):
                if _UNFINISHED_PATTERN.fullmatch(name):
                    _discard(self.directory / name)


def _unfinished(path) -> Path:
    """A folder beside a generation's that is not there."""
    name = path.name + _UNFINISHED
    for number in itertools.count():
        folder = path.with_name(f"{name}{number or ''}")
        _discard(folder)
        # Else it holds somebody else's file, as of a system that shows folders.
        if not folder.exists():
            break
    return folder


def _write_files(folder, number, state, arrays):
    with open(folder / ARRAYS, "xb") as file:
        np.savez(file, **arrays)
        _flush(file)
    text = json.dumps(state, indent=1)
    _write(folder / STATE, text.encode())
    digests = {name: _digest_of_file(folder / name) for name in (STATE, ARRAYS)}
    _write(folder / MANIFEST, _manifest(number, digests))
    _flush_folder(folder)


def _write(path, content):
    with open(path, "xb") as file:
        file.write(content)
        _flush(file)


def _flush(file):
    """Wait until a file is on the disk, not only in the memory of the system."""
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(path):
    """The same for the names in a folder, where the system can."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders.
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems of networks flush no folders.
        if error.errno not in (errno.EINVAL, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def _digest(raw) -> dict:
    return {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}


def _digest_of_file(path) -> dict:
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": sha256}


def _manifest(number, digests, form=_FORMAT) -> bytes:
    manifest = {"format": form, "generation": number, "files": digests}
    return (json.dumps(manifest, indent=1) + "\n").encode()


def _parsed(contents) -> tuple[dict, dict]:
    # Nothing here can run code: JSON, and arrays without pickled objects.
    try:
        with np.load(io.BytesIO(contents[ARRAYS]), allow_pickle=False) as archive:
            return json.loads(contents[STATE]), dict(archive)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise DamagedError(str(error)) from error


def _discard(folder):
    """Delete a generation's files and then its folder, but nobody else's files."""
    for name in (STATE, ARRAYS, MANIFEST):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
