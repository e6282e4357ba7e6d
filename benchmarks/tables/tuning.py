"""Settings beside each other, on examples held out of the training set."""

import tuning

from tables.cells import by_kind, data, seeds

_COLUMNS = [
    ("held out", "validation", "{:.2%}"),
    ("sections", "sections", "{:.1f}"),
    ("MACs", "macs", "{:,.0f}"),
    ("MACs spent", "macs spent", "{:.1e}"),
    ("wall time, s", "seconds", "{:.0f}"),
]


def lines(result):
    settings, rows = result["settings"], result["rows"]
    yield (
        f"## Settings compared: {settings['network']} on {data(settings)}, "
        f"{settings['epochs']} epochs, {_compared(settings)}"
    )
    yield ""
    yield (
        f"{seeds(rows)} seeds. Accuracy on a fifth of the training examples, held out; "
        "the test set was not read."
    )
    yield ""
    yield from by_kind(rows, _COLUMNS)


def _compared(settings):
    # Files of before an option was there do not have it.
    given = [
        f"`{name}`"
        for name, option in tuning.SETTINGS.items()
        if settings.get(option, [None]) != [None]
    ]
    return " and ".join(given) or "defaults"
