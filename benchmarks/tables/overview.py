"""What the larger tables say, in two small ones at the head of the page."""

import statistics

import choices

from tables.cells import by_seed, points, seeds, spread, training

_FIT_COLUMNS = [
    ("MACs left", "MACs of dense", "{:.2f}"),
    ("points over dense", "points over dense", "{:+.2f}"),
    ("points over the limit", "points over from scratch", "{:+.2f}"),
    ("time, of dense", "time of dense", "{:.2f}"),
    ("time, of the limit", "time of from scratch", "{:.2f}"),
]
_PEERS_COLUMNS = [
    ("MACs", "macs", "{:,.0f}"),
    ("points over the best of the others", "points", "{:+.2f}"),
    ("time, of the fastest of the others", "time", "{:.2f}"),
]


def lines(trainings, peers):
    """Both tables.

    Args:
        trainings: List of results of `training.py`.
        peers: List of results of `peers.py`.
    """
    yield "## In short"
    yield ""
    yield (
        "One `fit` with gates, seed by seed, beside one of the dense network and one "
        "of the limit: what is left, trained from scratch for as many epochs. "
        "Accuracies are those of the test set."
    )
    yield ""
    yield from _table(trainings, beside_dense, _FIT_COLUMNS)
    yield ""
    yield (
        "Beside other ways to prune the same network, in as many epochs and to no more "
        "MACs: beside the one whose accuracy has the highest mean, and the one whose "
        "time has the lowest."
    )
    yield ""
    yield from _table(peers, beside_peers, _PEERS_COLUMNS)
    yield ""


def _table(results, compared, columns):
    headings = " | ".join(heading for heading, _, _ in columns)
    yield f"| | chosen | seeds | {headings} |"
    yield "| --- " * (3 + len(columns)) + "|"
    for result in results:
        settings, rows = result["settings"], result["rows"]
        pairs = compared(rows)
        cells = [spread(pairs, key, form, " to ") for _, key, form in columns]
        first = [training(settings), _chosen(settings), str(seeds(rows))]
        yield f"| {' | '.join([*first, *cells])} |"


def _chosen(settings) -> str:
    others = ", the others under its prior" if settings.get("under_prior") else ""
    return choices.in_words(settings) + others


def beside_dense(rows) -> list[dict]:
    """Ours beside dense and beside the limit, where that was trained, seed by seed."""
    others = {name: by_seed(rows, name) for name in ("dense", "from scratch")}
    pairs = []
    for seed, ours in by_seed(rows, "pruned").items():
        pair = {}
        for name, group in others.items():
            if seed in group:
                other = group[seed]
                pair[f"MACs of {name}"] = ours["macs"] / other["macs"]
                pair[f"points over {name}"] = points(ours, other)
                pair[f"time of {name}"] = ours["seconds"] / other["seconds"]
        pairs.append(pair)
    return pairs


def beside_peers(rows) -> list[dict]:
    """Ours beside the most accurate and the fastest of the others, seed by seed."""
    kinds = dict.fromkeys(row["kind"] for row in rows if row["kind"] != "ours")
    others = [by_seed(rows, kind) for kind in kinds]
    best = max(others, key=lambda group: _mean(group, "test"))
    fastest = min(others, key=lambda group: _mean(group, "seconds"))
    return [
        {
            "macs": row["macs"],
            "points": points(row, best[seed]),
            "time": row["seconds"] / fastest[seed]["seconds"],
        }
        for seed, row in by_seed(rows, "ours").items()
    ]


def _mean(group, key) -> float:
    return statistics.fmean(row[key] for row in group.values())
