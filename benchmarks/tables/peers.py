"""Ours beside other ways to prune."""

import choices
import torch_process

from tables.cells import by_kind, chosen, latencies, seeds, spread, training

COLUMNS = [
    ("test accuracy", "test", "{:.2%}"),
    ("on validation", "validation", "{:.2%}"),
    ("MACs", "macs", "{:,.0f}"),
    ("parameters", "parameters", "{:,.0f}"),
    ("training, s", "seconds", "{:.0f}"),
    ("ms, batch 1", "ms 1", "{:.2f}"),
    ("of whole", "of whole 1", "{:.2f}"),
    ("ms, batch 32", "ms 32", "{:.2f}"),
    ("of whole", "of whole 32", "{:.2f}"),
]


def lines(result):
    settings, rows = result["settings"], result["rows"]
    yield f"## Other ways to drop sections: {training(settings)}{chosen(settings)}"
    yield ""
    yield (
        f"One starting network of {settings['sections']} sections, "
        f"{settings['epochs']} epochs in all, {seeds(rows)} seeds; ours with "
        f"{choices.in_words(settings)}. The others train it for half of them, drop "
        "sections until they have no more MACs than ours, and train on: rankings "
        "alone, without the regularisers with which some of them were published. Test "
        "accuracy, read once per network. Latencies: median calls, in turn with the "
        "whole network in the same framework; what part of its time is left. Training "
        "times of Keras include compilation."
    )
    if settings.get("under_prior"):
        yield ""
        yield "The Keras peers train under the prior on weights that ours has."
    yield from other_frameworks(rows)
    yield ""
    yield from by_kind([{**row, **latencies(row)} for row in rows], COLUMNS)


def other_frameworks(rows):
    """What ran in a process of its own, and how to make the environments for it."""
    told = {row["kind"]: row["versions"] for row in rows if "versions" in row}
    for kind, found in told.items():
        names = ", ".join(f"{name} {version}" for name, version in found.items())
        yield ""
        yield (
            f"{kind} takes channels out, in PyTorch, from the same initial weights: "
            f"{names}; `{torch_process.installation(kind)}`.{search(rows, kind)}"
        )


def search(rows, kind):
    """What it took to find the setting that meets the budget, if that took anything."""
    group = [row for row in rows if row["kind"] == kind and "search seconds" in row]
    if not group:
        return ""
    seconds = spread(group, "search seconds", "{:.0f}")
    return f" To find its sparsity for the budget took {seconds} s more."
