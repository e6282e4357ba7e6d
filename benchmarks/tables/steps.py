"""What a training step costs, and the first of them."""


def overhead(result):
    yield "## What a training step costs"
    yield ""
    yield (
        "Steps of both models taken in turn; median of the ratios, quartiles in "
        "brackets."
    )
    yield ""
    yield "| | jit_compile | ms | ratio | model variables | optimizer variables |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in result["rows"]:
        first, second = row["milliseconds"]
        counts = [row.get(f"{what} variables", "") for what in ("model", "optimizer")]
        low, high = row["quartiles"]
        yield (
            f"| {row['what']} | {row['jit_compile']} | {first:.1f} / {second:.1f} "
            f"| {row['median ratio']:.3f} ({low:.3f}-{high:.3f}) "
            f"| {counts[0]} | {counts[1]} |"
        )


def first_step(result):
    settings, rows = result["settings"], result["rows"]
    yield "## How long `fit` takes to its first step"
    yield ""
    yield (
        f"{settings['sections']} sections, a new model each time, in turn; medians of "
        f"{settings['pairs']} pairs. Most of it is tracing, which Keras by itself "
        "does twice."
    )
    yield ""
    yield "| jit_compile | with gates, s | plain Keras, s | ratio |"
    yield "| --- | --- | --- | --- |"
    for row in rows:
        gated, plain = row["seconds"]
        ratio = row["ratio"]
        yield (
            f"| {row['jit_compile']} | {gated:.1f} | {plain:.1f} "
            f"| {ratio['mean']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f}) |"
        )
