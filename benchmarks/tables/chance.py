"""How often chance decides a gate: what is closed, by what it is worth."""

import itertools


def lines(result):
    rows = result["rows"]
    worths = list(dict.fromkeys(row["worth"] for row in rows))
    yield "## What chance decides"
    yield ""
    yield (
        "The share of gates that are closed in the end, by what their sections are "
        "worth; all below 1 price should be, and none above. No network: what each "
        "minibatch says of a gate is what its section is worth plus normal noise. "
        f"{rows[0]['gates']} gates of each worth. In each second line steps take no "
        "notice of the noise, and gates are decided by the side of 0.5 on which they "
        "stand."
    )
    yield ""
    heads = " | ".join(f"{worth:g} prices" for worth in worths)
    yield f"| moving steps | noise, in prices | | {heads} |"
    yield f"| --- | --- | --- {'| --- ' * len(worths)}|"
    for (steps, noise, as_it_is), group in itertools.groupby(rows, _setting):
        how = "ours" if as_it_is else "without regard to noise"
        closed = "".join(f" | {row['closed']:.0%}" for row in group)
        yield f"| {steps} | {noise:g} | {how}{closed} |"


def _setting(row):
    return row["steps"], row["noise"], row["as it is"]
