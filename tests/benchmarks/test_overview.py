"""The small tables at the head of the page say what the large ones hold."""

import pytest
from tables import overview


def row(kind, seed=0, test=0.5, seconds=1.0, macs=100):
    columns = {"test": test, "seconds": seconds, "macs": macs}
    return {"kind": kind, "seed": seed, **columns}


def test_ours_is_compared_with_dense_and_with_the_limit_of_its_own_seed():
    rows = [
        row("dense", 0, test=0.60, seconds=10, macs=100),
        row("pruned", 0, test=0.61, seconds=6, macs=50),
        row("from scratch", 0, test=0.58, seconds=5, macs=50),
        row("dense", 1, test=0.70, seconds=20, macs=100),
        row("pruned", 1, test=0.69, seconds=10, macs=40),
        row("from scratch", 1, test=0.69, seconds=10, macs=40),
    ]
    first, second = overview.beside_dense(rows)
    assert first["MACs of dense"] == 0.5
    assert second["MACs of dense"] == 0.4
    assert first["points over dense"] == pytest.approx(1.0)
    assert second["points over dense"] == pytest.approx(-1.0)
    assert first["points over from scratch"] == pytest.approx(3.0)
    assert second["time of dense"] == 0.5
    assert first["time of from scratch"] == pytest.approx(1.2)


def test_what_was_not_trained_has_an_empty_cell():
    result = {
        "settings": {"network": "lenet", "size": [], "dataset": "mnist", "epochs": 8},
        "rows": [row("dense"), row("pruned", test=0.51, macs=50)],
    }
    (line,) = [x for x in overview.lines([result], []) if x.startswith("| lenet")]
    empty, points = "|  |", "| +1.00 (+1.00 to +1.00) |"
    assert empty in line
    assert points in line


def test_peers_are_the_best_and_the_fastest_of_all_seeds():
    rows = [
        row("ours", 0, test=0.70, seconds=9),
        row("steady", 0, test=0.69, seconds=20),
        row("lucky once", 0, test=0.71, seconds=10),
        row("ours", 1, test=0.70, seconds=11),
        row("steady", 1, test=0.69, seconds=20),
        row("lucky once", 1, test=0.60, seconds=10),
    ]
    pairs = overview.beside_peers(rows)
    assert [pair["points"] for pair in pairs] == pytest.approx([1.0, 1.0])
    assert [pair["time"] for pair in pairs] == pytest.approx([0.9, 1.1])


def test_peers_under_our_prior_are_told_from_others():
    settings = {"width": 8, "dataset": "mnist", "epochs": 8, "under_prior": True}
    rows = [row("ours"), row("at random")]
    lines = list(overview.lines([], [{"settings": settings, "rows": rows}]))
    (line,) = [x for x in lines if x.startswith("| residual width 8, mnist, 8 epochs")]
    assert "the others under its prior" in line
