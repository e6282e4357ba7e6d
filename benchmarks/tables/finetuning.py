"""Ours beside other ways to prune a network that is trained already."""

from tables.cells import by_kind, chosen, data, latencies, seeds
from tables.peers import COLUMNS


def lines(result):
    settings, rows = result["settings"], result["rows"]
    yield (
        f"## A trained network, pruned while it is trained on: {data(settings)}, "
        f"{settings['epochs']} epochs after {settings['trained']}{chosen(settings)}"
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
    yield from by_kind([{**row, **latencies(row)} for row in rows], COLUMNS)
