"""Trainings that are killed."""

_LOST = "restarts from another place than the last backup"


def lines(result):
    rows, settings = result["rows"], result["settings"]
    hits = {
        moment: sum(row["hit in"].get(moment, 0) for row in rows)
        for moment in ("step", "rebuild", "write", "restart", "between")
    }
    same = sum(row["bit-identical"] for row in rows)
    lost = sum(len(row[_LOST]) for row in rows)
    yield "## Killed, and started again"
    yield ""
    yield (
        f"{sum(row['kills'] for row in rows)} kills by SIGKILL in {len(rows)} "
        f"trainings of {settings['pruning events']} pruning events under "
        "`BackupAndRestore`. Weights, gates, optimizer, random states, log and history "
        "equal to the bit to those of a training that was never killed: "
        f"{same} of {len(rows)}. Restarts from another place than the last complete "
        f"backup: {lost}."
    )
    yield ""
    yield "| killed in | " + " | ".join(hits) + " |"
    yield "| --- " * (1 + len(hits)) + "|"
    yield "| times | " + " | ".join(map(str, hits.values())) + " |"
