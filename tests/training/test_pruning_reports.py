"""What `PruneSections` says on the console, and what it keeps for plots."""

import re

from small_models import (
    idle_model,
    prune_idle,
)

from keras_layer_prune import PruneSections


def console(capsys, *callbacks, epochs=8, **fit_arguments):
    model = idle_model()
    prune_idle(model, *callbacks, epochs=epochs, **fit_arguments)
    return model, capsys.readouterr().out


def test_each_removed_section_is_one_line(capsys):
    model, out = console(capsys, PruneSections())
    lines = [line for line in out.splitlines() if "removed" in line]
    assert len(lines) == 1
    step = next(e["step"] for e in model.pruning_log if e["action"] == "removed")
    words = rf"Step {step}: removed `gate_idle`.*theta 0\.00.*64 parameters, 64 MACs"
    assert re.search(words, lines[0])


def test_the_end_of_the_decisions_is_one_line_with_what_stays(capsys):
    _, out = console(capsys, PruneSections())
    lines = [line for line in out.splitlines() if "all gates decided" in line]
    assert lines == ["Step 24: all gates decided, 1 sections stay: ['gate_useful']"]


def test_nothing_else_is_printed(capsys):
    _, out = console(capsys, PruneSections())
    assert len([line for line in out.splitlines() if line]) == 2


def test_without_verbosity_there_is_silence(capsys):
    model, out = console(capsys, PruneSections(verbose=0))
    assert len(model.pruning_log) == 2
    assert out == ""


def test_the_progress_bar_goes_on_in_its_own_line(capsys):
    _, out = console(capsys, PruneSections(), verbose=2)
    reports = [line for line in out.splitlines() if line.startswith("Step ")]
    assert len(reports) == 2
    assert len(re.findall("- loss: ", out)) == 8


def test_trajectories_run_from_the_start_to_the_decision():
    model = idle_model()
    prune = PruneSections(verbose=0)
    prune_idle(model, prune)
    assert set(prune.trajectories) == {"gate_useful", "gate_idle"}
    ends = {entry["section"]: entry for entry in model.pruning_log}
    for name, points in prune.trajectories.items():
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
    prune_idle(model, prune, epochs=2)
    for points in prune.trajectories.values():
        assert points[-1][0] == 2.0
        assert points[-1][1] == 0.5


def test_trajectories_start_anew_with_each_fit():
    model = idle_model()
    prune = PruneSections(verbose=0)
    prune_idle(model, prune)
    prune_idle(model, prune, epochs=1)
    assert prune.trajectories == {}
