"""Ours beside other ways to prune a network that is trained already."""

from tables.cells import by_kind, data, latencies, seeds

_COLUMNS = [
    ("test accuracy", "test", "{:.2%}"),
    ("on validation", "validation", "{:.2%}"),
    ("MACs", "macs", "{:,.0f}"),
    ("parameters", "parameters", "{:,.0f}"),
    ("training, s", "seconds", "{:.0f}"),
    ("ms, batch 1", "ms 1", "{:.2f}"),
    ("of whole", "of whole 1", "{:.2f}"),
]


def lines(result):
    settings, rows = result["settings"], result["rows"]
    yield (
        f"## A trained network, pruned while it is trained on: {data(settings)}, "
        f"{settings['epochs']} epochs after {settings['trained']}"
    )
    yield ""
    yield (
        f"One network of {settings['sections']} sections, trained for "
        f"{settings['trained']} epochs, {seeds(rows)} seeds. From its weights each way "
        f"has {settings['epochs']} epochs more, whose time is given. Ours twice: with "
        "gates that start open and are decided after a fifth of that time, and with "
        "defaults, which are meant for networks that begin. The rankings drop sections "
        "until they have no more MACs than the former. Test accuracy, read once per "
        "network."
    )
    yield ""
    yield from by_kind([{**row, **latencies(row)} for row in rows], _COLUMNS)
