"""One `fit` with gates beside those without."""

import choices

from tables.cells import (
    by_kind,
    by_seed,
    chosen,
    points,
    seeds,
    spread,
    training,
)

# What the comparison is not of.
_CHAIN = (
    "The dense network is the plain chain; with gates it has linear shortcuts too, "
    "which cost parameters and MACs, and which alone may change the accuracy."
)
_CHAINS = ("lenet", "vgg16")

_COLUMNS = [
    ("test accuracy", "test", "{:.2%}"),
    ("on validation", "validation", "{:.2%}"),
    ("sections", "sections", "{:.1f}"),
    ("parameters", "parameters", "{:,.0f}"),
    ("MACs", "macs", "{:,.0f}"),
    ("wall time, s", "seconds", "{:.0f}"),
    ("of dense", "time ratio", "{:.2f}"),
    ("MACs spent", "macs spent", "{:.1e}"),
]

# What ours is compared with seed by seed, in words.
_COMPARED = {
    "dense": "dense",
    "from scratch": "what is left, trained from scratch",
    "dense, under the prior": "dense, under the prior on weights too",
    "from scratch, under the prior": "what is left, from scratch under that prior",
}


def lines(result):
    settings, rows = result["settings"], result["rows"]
    yield (
        f"## One `fit`, with and without gates: {training(settings)}{chosen(settings)}"
    )
    yield ""
    yield (
        f"{rows[0]['sections']} sections, {settings['epochs']} epochs, "
        f"{seeds(rows)} seeds, {choices.in_words(settings)}. Test accuracy, read once "
        "per network; wall time of `fit`."
    )
    yield ""
    if settings.get("network") in _CHAINS:
        yield _CHAIN
        yield ""
    yield from by_kind(rows, _COLUMNS)
    yield ""
    pruned = [row for row in rows if row["kind"] == "pruned"]
    halves = [row["removed in the first half"] for row in pruned]
    yield f"Sections gone in the first half of the run, by seed: {halves}."
    yield from seed_by_seed(pruned, rows)


def seed_by_seed(pruned, rows):
    """Ours against dense and against the limit, seed by seed."""
    for kind, words in _COMPARED.items():
        other = by_seed(rows, kind)
        pairs = [(row, other[row["seed"]]) for row in pruned if row["seed"] in other]
        if not pairs:
            continue
        ratios = [{"time": a["seconds"] / b["seconds"]} for a, b in pairs]
        gains = [
            {name: points(a, b, name) for name in ("test", "validation")}
            for a, b in pairs
        ]
        yield (
            f"Against {words}: wall time {spread(ratios, 'time', '{:.2f}')}, accuracy "
            f"{spread(gains, 'test', '{:+.2f}', ' to ')} points, on validation "
            f"{spread(gains, 'validation', '{:+.2f}', ' to ')}."
        )
