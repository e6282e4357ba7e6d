"""What `PruneSections` says on the console, and what it keeps for plots."""

import contextlib
import io
import re
from typing import NamedTuple

import pytest
from small_models import (
    idle_model,
    prune_idle,
)

from keras_layer_prune import GatedModel, PruneSections


class Run(NamedTuple):
    model: GatedModel
    prune: PruneSections
    console: str

    @property
    def lines(self):
        return [line for line in self.console.splitlines() if line]


def run(verbose=1, **fit_arguments):
    model, prune = idle_model(), PruneSections(verbose=verbose)
    with contextlib.redirect_stdout(io.StringIO()) as console:
        prune_idle(model, prune, **fit_arguments)
    return Run(model, prune, console.getvalue())


@pytest.fixture(scope="module")
def done():
    return run()


def test_each_removed_section_is_one_line(done):
    lines = [line for line in done.lines if "removed" in line]
    assert len(lines) == 1
    removed = next(e for e in done.model.pruning_log if e["action"] == "removed")
    words = r"removed `gate_idle`.*theta 0\.00.*64 parameters, 64 MACs"
    assert re.search(f"Step {removed['step']}: {words}", lines[0])


def test_the_end_of_the_decisions_is_one_line_with_what_stays(done):
    lines = [line for line in done.lines if "all gates decided" in line]
    assert lines == ["Step 24: all gates decided, 1 sections stay: ['gate_useful']"]


def test_nothing_else_is_printed(done):
    assert len(done.lines) == 2


def test_without_verbosity_there_is_silence():
    silent = run(verbose=0)
    assert len(silent.model.pruning_log) == 2
    assert silent.console == ""


def test_reports_do_not_run_into_the_progress_bar(capsys):
    prune_idle(idle_model(), PruneSections(), verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("Step ")]) == 2
    assert len([line for line in lines if "- loss: " in line]) == 8
    assert not [line for line in lines if "loss: " in line and "Step " in line]


def test_trajectories_run_from_the_start_to_the_decision(done):
    assert set(done.prune.trajectories) == {"gate_useful", "gate_idle"}
    ends = {entry["section"]: entry for entry in done.model.pruning_log}
    for name, points in done.prune.trajectories.items():
        epochs, thetas = zip(*points, strict=True)
        assert list(epochs) == sorted(epochs)
        assert points[0] == (0.0, float(thetas[0]))
        assert thetas[0] == 0.5
        assert all(0.0 <= theta <= 1.0 for theta in thetas)
        is_kept = float(ends[name]["action"] == "kept")
        assert points[-1] == (ends[name]["step"] / 6, is_kept)


def test_trajectories_of_gates_that_nobody_decides_run_to_the_end():
    model = idle_model()
    for gate in model.gates:
        gate.trainable = False
    prune = PruneSections(verbose=0)
    with pytest.warns(UserWarning, match="Frozen gates"):
        prune_idle(model, prune, epochs=2)
    for points in prune.trajectories.values():
        assert points[-1][0] == 2.0
        assert points[-1][1] == 0.5


def test_trajectories_start_anew_with_each_fit():
    again = run(verbose=0)
    prune_idle(again.model, again.prune, epochs=1)
    assert again.prune.trajectories == {}
