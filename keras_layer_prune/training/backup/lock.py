"""One process at a time in the folder of a backup."""

import contextlib
import os
import socket

try:
    import fcntl
except ImportError:  # Windows has none, and no promise of one process at a time.
    fcntl = None  # type: ignore[assignment]

# No name that somebody's own file has.
_NAME = ".keras_layer_prune.lock"


@contextlib.contextmanager
def held(directory):
    """Scope in which no other process takes the folder.

    The system lets go of the lock when a process ends, however it ends.

    Args:
        directory: `pathlib.Path`, made if it is not there.

    Raises:
        BlockingIOError: If another process has the folder.
    """
    path = directory / _NAME
    file = _locked(path)
    try:
        yield
    finally:
        if file is not None:
            path.unlink(missing_ok=True)
            file.close()


def _locked(path):
    """An open file that is locked; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+b", buffering=0)
    except OSError:
        # What is wrong with the folder is said when the first backup is written.
        return None
    if not _lock(file, path):
        file.close()
        return None
    if not _is_still_there(file, path):
        # Its owner has ended between the two lines, and taken the file with it.
        file.close()
        return _locked(path)
    # Where there is no room, the first backup says so.
    with contextlib.suppress(OSError):
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
    return file


def _lock(file, path) -> bool:
    """Whether a file is locked now; false where its file system has no locks."""
    try:
        # Of the process, not of the open file: processes that it forks to load data
        # and that outlive it do not hold it.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        file.seek(0)
        owner = file.read().decode() or "another process"
        file.close()
        raise BlockingIOError(
            f"The backup in `{path.parent}` is in use by {owner}: two trainings in one "
            "directory would mix their states. Wait until it ends, stop it, or give "
            "this training a directory of its own."
        ) from error
    except OSError:
        return False
    return True


def _is_still_there(file, path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
