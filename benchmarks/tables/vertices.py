"""Where gates end, beside all the places where they could."""

import itertools

from tables.cells import spread


def lines(result):
    yield "## Projected SGD against enumeration"
    yield ""
    yield (
        f"{result['settings']['sections']} gates on digits with frozen weights, all "
        "settings evaluated; nats per example."
    )
    yield ""
    yield "| estimate | starts | at a vertex | within one flip of the best | above it |"
    yield "| --- | --- | --- | --- | --- |"
    for name, group in itertools.groupby(result["rows"], lambda row: row["estimator"]):
        group = list(group)
        yield (
            f"| {name} | {len(group)} | {sum(row['is_vertex'] for row in group)} "
            f"| {sum(row['flips_from_best'] <= 1 for row in group)} "
            f"| {spread(group, 'excess', '{:.4f}')} |"
        )
