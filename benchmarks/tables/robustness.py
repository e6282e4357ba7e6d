"""Where gates start, and what they cost."""

import itertools

from tables.cells import spread


def lines(result):
    if result["settings"].get("prices"):
        yield from prices(result)
        return
    yield "## Starting depth and starting probability"
    yield ""
    yield "Digits, defaults; accuracy on validation examples."
    yield ""
    yield "| sections | initial probability | seeds | sections kept | accuracy |"
    yield "| --- | --- | --- | --- | --- |"

    def start(row):
        return row["depth"], row["initial probability"]

    for (depth, probability), group in itertools.groupby(result["rows"], start):
        group = [{**row, "number": len(row["kept"])} for row in group]
        yield (
            f"| {depth} | {probability} | {len(group)} "
            f"| {spread(group, 'number', '{:.1f}')} "
            f"| {spread(group, 'validation', '{:.2%}')} |"
        )


def prices(result):
    settings = result["settings"]
    yield "## One knob: the price of a section"
    yield ""
    yield (
        f"Digits, {settings['depths'][0]} sections, {settings['seeds']} seeds. A "
        "section stays if it takes more off the training loss than its price, in nats "
        "per example (`log_gamma` over the size of the training set). Accuracy on "
        "validation examples; MACs of what is left, of dense."
    )
    yield ""
    yield "| price | sections kept | MACs | accuracy |"
    yield "| --- | --- | --- | --- |"
    for price, group in itertools.groupby(result["rows"], lambda row: row["price"]):
        group = [{**row, "number": len(row["kept"])} for row in group]
        yield (
            f"| {price} | {spread(group, 'number', '{:.1f}')} "
            f"| {spread(group, 'macs of dense', '{:.2f}')} "
            f"| {spread(group, 'validation', '{:.2%}')} |"
        )
