"""Pruning by PyTorch's libraries, each in a process and an environment of its own.

Two frameworks in one process would share threads and memory.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from torch_peers import handed

FOLDER = Path(__file__).parent

# Where the python of each is, if its environment was made as `installation` says, and
# the file of what belongs into it.
ENVIRONMENTS = {
    "Torch-Pruning": (".venv-torch/bin/python", "torch_pruning.txt"),
    "OTO": (".venv-oto/bin/python", "oto.txt"),
}


def installation(kind):
    """The command that makes the environment, from the repository's folder."""
    python, requirements = ENVIRONMENTS[kind]
    return (
        f"python -m venv {python.removesuffix('/bin/python')} && {python} -m pip "
        f"install -r benchmarks/torch_peers/{requirements}"
    )


def versions(kind, python):
    """Versions that a process would run with, by name.

    Raises:
        SystemExit: If `python` is no interpreter that has what it needs.
    """
    try:
        told = _call(python, kind, capture_output=True).stdout
        return json.loads(told)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise SystemExit(
            f"{python} cannot run {kind}: {said[-1] if said else 'no output'}\n"
            f"Make an environment with `{installation(kind)}` and hand over its "
            "python, or leave the option out."
        ) from error


def run(kind, python, given):
    """Let a process train and prune.

    Args:
        kind: String, a key of `ENVIRONMENTS`.
        python: String, the path of an interpreter.
        given: `handed.Handed`.

    Returns:
        Dictionary, the row of the result.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "handed.npz", Path(folder) / "result.json"
        handed.write(source, given)
        _call(python, kind, source, target)
        return json.loads(target.read_text())


def _call(python, *arguments, **streams):
    # Not resolved: the link in an environment is what makes it one.
    command = [os.path.abspath(python), "-m", "torch_peers", *arguments]
    return subprocess.run(command, cwd=FOLDER, check=True, text=True, **streams)
