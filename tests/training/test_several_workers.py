"""Two processes, or two replicas, train and prune as a single device would."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

import keras_layer_prune
from keras_layer_prune.graph.gates import left_for_budget

FOLDER = pathlib.Path(__file__).parent
SCRIPT = FOLDER / "distributed_training.py"
PACKAGE = FOLDER.parents[1]


def start(kind, folder, **environment):
    """A process of `distributed_training.py`."""
    path = os.pathsep.join([str(PACKAGE), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), kind, str(folder)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_workers(folder, of_second=None, **environment):
    """Two processes that find each other on this machine.

    Args:
        folder: Where they report.
        of_second: Dictionary, what only the second finds in its environment.
        **environment: What both find there.
    """
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    configs = [
        {"cluster": cluster, "task": {"type": "worker", "index": index}}
        for index in range(2)
    ]
    return [
        start("worker", folder, TF_CONFIG=json.dumps(config), **environment, **own)
        for config, own in zip(configs, ({}, of_second or {}), strict=True)
    ]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def finish(processes, seconds=600):
    """Wait for processes; return what they have printed."""
    try:
        ended = [process.communicate(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, ended, strict=True):
        assert process.returncode == 0, errors[-3000:]
    return [output for output, _ in ended]


def reports(folder, kind):
    paths = sorted(pathlib.Path(folder).glob(f"{kind}_*.json"))
    return [json.loads(path.read_text()) for path in paths]


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    folder = tmp_path_factory.mktemp("single")
    finish([start("single", folder)])
    return reports(folder, "single")[0]


def decisions(report):
    return [(e["section"], e["action"], e["step"], e["epoch"]) for e in report["log"]]


def assert_same_training(report, expected):
    assert decisions(report) == decisions(expected)
    actions = {entry["action"] for entry in expected["log"]}
    assert actions == {"removed", "kept"}
    assert any(left_for_budget(entry) for entry in expected["log"])
    assert len({entry["step"] for entry in expected["log"]}) > 1
    assert report["history"].keys() == expected["history"].keys()
    for name, values in expected["history"].items():
        np.testing.assert_allclose(report["history"][name], values, rtol=1e-4)
    np.testing.assert_allclose(
        report["predictions"], expected["predictions"], rtol=1e-3, atol=1e-3
    )


def test_two_replicas_train_and_prune_as_a_single_device(single, tmp_path):
    finish([start("replicas", tmp_path)])
    (report,) = reports(tmp_path, "replicas")
    assert_same_training(report, single)


@pytest.mark.slow
def test_two_workers_train_and_prune_as_a_single_device(single, tmp_path):
    outputs = finish(start_workers(tmp_path))
    found = reports(tmp_path, "worker")
    for report in found:
        assert_same_training(report, single)
    first, second = found
    # To the bit: they have summed the same gradients and drawn the same gates.
    assert first["weights"] == second["weights"]
    assert first["slots"] == second["slots"]
    assert [report["is_chief"] for report in found] == [True, False]
    assert ["removed `gate" in output for output in outputs] == [True, False]


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(keras_layer_prune, "BackupAndRestore"), reason="needs BackupAndRestore"
)
# Before the first section leaves, and after it.
@pytest.mark.parametrize("step", [7, 20])
def test_with_a_worker_killed_the_run_completes_after_a_restart(single, tmp_path, step):
    backup = {"KLP_BACKUP": str(tmp_path / "backup")}
    first, second = start_workers(tmp_path, {"KLP_KILL_AT": str(step)}, **backup)
    second.communicate(timeout=600)
    # What runs the job ends the rest of it.
    first.kill()
    first.communicate()
    assert second.returncode == -signal.SIGKILL
    assert reports(tmp_path, "worker") == []
    finish(start_workers(tmp_path, **backup))
    found = reports(tmp_path, "worker")
    for report in found:
        assert_same_training(report, single)
    assert found[0]["weights"] == found[1]["weights"]
