"""What several tables write in their cells and headings."""

import choices
import results


def by_kind(rows, columns):
    """Lines of a table with one row for each kind.

    Args:
        rows: List of dictionaries.
        columns: List of triples: heading, key of the rows, form of its numbers.
    """
    yield "| | " + " | ".join(heading for heading, _, _ in columns) + " |"
    yield "| --- " * (1 + len(columns)) + "|"
    for kind in dict.fromkeys(row["kind"] for row in rows):
        group = [row for row in rows if row["kind"] == kind]
        cells = [spread(group, key, form) for _, key, form in columns]
        yield f"| {kind} | " + " | ".join(cells) + " |"


def spread(rows, key, form, between="-"):
    # Earlier results lack what has been measured only since.
    if any(key not in row for row in rows):
        return ""
    s = results.spread([row[key] for row in rows])
    return f"{form} ({form}{between}{form})".format(s["mean"], s["min"], s["max"])


def latencies(row):
    """Milliseconds, and their ratios to the whole network's, by batch size."""
    whole = row["whole latency ms"]
    cells = {f"ms {n}": ms for n, ms in row["latency ms"].items()}
    ratios = {f"of whole {n}": ms / whole[n] for n, ms in row["latency ms"].items()}
    return cells | ratios


def data(settings):
    """The data set, what part of it was trained on, and whether it was augmented."""
    examples = settings.get("train_examples")
    part = f", the first {examples:,} training examples" if examples else ""
    augmented = ", random crops and flips" if settings.get("augment") else ""
    return settings["dataset"] + part + augmented


def training(settings):
    """What was trained, on which data, and for how long."""
    # Only `training.py` has more than one network, and sizes by name.
    sizes = settings.get("size", [("width", settings.get("width"))])
    network = [settings.get("network", "residual")]
    network += [f"{name} {value}" for name, value in sizes]
    return f"{' '.join(network)}, {data(settings)}, {settings['epochs']} epochs"


def chosen(settings):
    """What was chosen, at the end of a heading; nothing where that is nothing."""
    words = choices.in_words(settings)
    return "" if words == "defaults" else f", {words}"


def by_seed(rows, kind):
    """The rows of one kind, by their seeds."""
    return {row["seed"]: row for row in rows if row["kind"] == kind}


def points(row, other, data_set="test"):
    """By how many points of accuracy a row is above another one."""
    return 100 * (row[data_set] - other[data_set])


def seeds(rows):
    """How many are done: a run may have ended before its last."""
    return len({row["seed"] for row in rows})
