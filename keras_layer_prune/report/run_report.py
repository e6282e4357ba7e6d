"""A report of a training for people: `write_report`."""

import html
import math
from pathlib import Path

from keras_layer_prune._checks import checked_new_file
from keras_layer_prune.graph.gates import kept_sections, left_for_budget
from keras_layer_prune.report.curves import curves_of, is_decided_in, known_history
from keras_layer_prune.report.names import shortened
from keras_layer_prune.report.outcome import REMOVED, STAYS, UNDECIDED, outcome
from keras_layer_prune.report.plots import check_trajectories
from keras_layer_prune.report.summarize import summarize
from keras_layer_prune.report.svg import bars, line_chart

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 760px; margin: 2em auto;
       padding: 0 1em; color: #0f172a; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: right; padding: 4px 8px; border-bottom: 1px solid #e2e8f0; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; }
h2 { margin-top: 2em; font-size: 1.1em; }
"""


# Of what this package reports; what a user's metric is counted in, nobody knows.
_UNITS = {
    "loss": "in units of the loss; in training with prices of gates and weights",
    "data_loss": "in units of the loss, of the data alone",
    "sections": "how many the network has",
    "expected_sections": "the sum of the probabilities of gates, and what was kept",
    "removed": "sections that left in an epoch",
}


def write_report(model, path, history=None, trajectories=None):
    """Write what a training removed, when, why, and what it saved, as one HTML file.

    The file carries its pictures inside and needs nothing else to be shown.

    Args:
        model: `GatedModel` after `fit`.
        path: Path of a file that does not exist yet.
        history: What `fit` returned, or its dictionary, for curves and for what each
            removal cost in accuracy. None: without. A dictionary of an earlier `fit`
            is taken to begin at epoch 0.
        trajectories: `PruneSections.trajectories`, for the gates' curves and the order
            of the sections. None: without.

    Raises:
        FileExistsError: If `path` exists.
        FileNotFoundError: If its folder does not.
        TypeError: If `model` is not a `GatedModel`, or an argument not of its type.
        ValueError: If a gate in `trajectories` has no points, or a number in them is
            not finite.

    Example:

    >>> history = model.fit(x, y, epochs=20, callbacks=[prune])
    >>> keras_layer_prune.write_report(
    ...     model, "report.html", history, prune.trajectories
    ... )
    """
    if not hasattr(model, "pruning_log"):
        raise TypeError(
            "`model` must be a `GatedModel`, whose `pruning_log` the report tells. "
            f"Received: model={model!r}"
        )
    path = Path(checked_new_file(path))
    _check(history, trajectories)
    history = known_history(model, history)
    curves = curves_of(history)
    parts = [
        _summary(model),
        _network(model, trajectories or {}),
        _log(model.pruning_log, curves, history),
        _gates(trajectories or {}),
        _curves(curves),
    ]
    path.write_text(_page(model.name, "".join(parts)), encoding="utf-8")


def _check(history, trajectories):
    curves = getattr(history, "history", history)
    if curves is not None and not _are_curves(curves):
        raise TypeError(
            "`history` must be what `fit` returned, or its dictionary of lists. "
            f"Received: history={history!r}"
        )
    if trajectories is not None:
        check_trajectories(trajectories)


def _are_curves(curves) -> bool:
    return isinstance(curves, dict) and all(
        isinstance(name, str) and isinstance(values, list | tuple)
        for name, values in curves.items()
    )


def _page(name, body) -> str:
    title = f"Pruning of {html.escape(name)}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1>{body}</html>\n"
    )


def _summary(model) -> str:
    after = summarize(model.network, latency=False)
    removed = [entry for entry in model.pruning_log if entry["action"] == "removed"]
    rows: list[list] = []
    for what, left in (("parameters", after.parameters), ("macs", after.macs)):
        before = left + sum(entry[what] for entry in removed)
        name = {"parameters": "parameters", "macs": "MACs per example"}[what]
        rows.append([name, f"{before:,}", f"{left:,}", _share(left, before)])
    left = model.sections
    before = len(model.pruning_log) + len(model.gates)
    rows.append(["sections", before, left, _share(left, before)])
    return _table(["", "before", "now", "left"], rows)


def _share(part, whole) -> str:
    return f"{part / whole:.0%}" if whole else ""


def _network(model, trajectories) -> str:
    """The sections as bars, in the network's order where it is known."""
    kept = kept_sections(model.pruning_log)
    parts = {}
    for entry in model.pruning_log:
        became = STAYS if entry["section"] in kept else REMOVED
        parts[entry["section"]] = (entry["macs"], became)
    for section in summarize(model.network, latency=False).sections:
        became = outcome(section["theta"])
        # A closed gate whose section is still there, as after an interrupt.
        became = UNDECIDED if became == REMOVED else became
        parts[section["name"]] = (section["macs"], became)
    order = [name for name in trajectories if name in parts]
    order += [name for name in parts if name not in order]
    if not order:
        return ""
    picture = bars([(name, *parts[name]) for name in order])
    return "<h2>Sections, as wide as their MACs; faded: removed</h2>" + picture


def _log(log, curves, history) -> str:
    """One row for each decision, with what it was worth and what it saved."""
    header = "section epoch step what theta benefit price parameters MACs".split()
    rows = [_cells(entry) for entry in log]
    metric = _validation_metric(curves)
    if metric:
        header.append(f"{metric}, epoch before / of it")
        values = dict(curves[metric])
        for position, entry in enumerate(log):
            known = values if is_decided_in(history, position) else {}
            rows[position].append(_around(known, entry["epoch"]))
    explanation = (
        "<p>A section leaves when its benefit, what it takes off the training loss in "
        "nats per example, is below its price. Gates that had not decided themselves "
        "in their time were decided by where they were going, or rounded if they had "
        "few steps: theta, the probability of an open gate, was then between 0 and "
        "1. Of two numbers in the column of prices the second is what a section was "
        "charged beside its price, because the network had to fit "
        "<code>max_macs</code>.</p>"
    )
    return "<h2>Decisions</h2>" + explanation + _table(header, rows)


def _cells(entry) -> list:
    return [
        entry["section"],
        _epoch(entry["epoch"]),
        entry["step"],
        entry["action"],
        f"{entry['theta']:.3g}",
        f"{entry['benefit']:.4f}",
        _price(entry),
        f"{entry['parameters']:,}",
        f"{entry['macs']:,}",
    ]


def _price(entry) -> str:
    price = f"{entry['price']:.4f}"
    return f"{price} + {entry['surcharge']:.4f}" if left_for_budget(entry) else price


def _epoch(epoch):
    """Epochs are counted from 1, as Keras prints them."""
    return "" if epoch is None else epoch + 1


def _validation_metric(curves):
    """The user's own metric, or else the loss of the data; None without validation."""
    names = [name for name in curves if name.startswith("val_")]
    # Whatever is not a loss, of one output or of all, comes first.
    return min(names, key=lambda name: name.endswith("loss"), default=None)


def _around(values, epoch) -> str:
    """A metric in the epoch before and in the one of a decision, where both are known.

    Args:
        values: Dictionary from epoch to value.
        epoch: Int or None.
    """
    if epoch is None or not {epoch - 1, epoch} <= values.keys():
        return ""
    return f"{values[epoch - 1]:.4f} / {values[epoch]:.4f}"


def _gates(trajectories) -> str:
    if not trajectories:
        return ""
    picture = line_chart(trajectories, "probability that a gate is open")
    return "<h2>Gates</h2>" + picture


def _curves(curves) -> str:
    """One picture for each metric, training and validation together."""
    pictures = []
    for name in (n for n in curves if not n.startswith("val_")):
        series = {
            each: _finite(curves[each])
            for each in (name, f"val_{name}")
            if curves.get(each)
        }
        if any(series.values()):
            pictures.append(line_chart(series, _titled(name)))
    return "<h2>Training</h2>" + "".join(pictures) if pictures else ""


def _titled(name) -> str:
    """The title of a picture: what is drawn, and in what unit if that is known."""
    return f"{name}: {_UNITS[name]}" if name in _UNITS else shortened(name)


def _finite(points) -> list:
    """Points that can be drawn, epochs counted from 1."""
    pairs = [(epoch + 1, float(value)) for epoch, value in points]
    return [(epoch, value) for epoch, value in pairs if math.isfinite(value)]


def _table(header, rows) -> str:
    def row(cells, tag):
        inner = (f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells)
        return f"<tr>{''.join(inner)}</tr>"

    return f"<table>{row(header, 'th')}{''.join(row(r, 'td') for r in rows)}</table>"
