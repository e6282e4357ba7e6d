"""Models of others, gated and rebuilt."""


def applications(result):
    yield "## Every model of `keras.applications`: gated, half closed, rebuilt"
    yield ""
    yield (
        "Random weights, small inputs. Differences are relative to the largest output; "
        "seconds, on a machine that was busy with other runs. `all open`: all gates "
        "open, against the model without gates. `served`: the stripped model's "
        "SavedModel in a process that has TensorFlow alone, its optimizer of graphs "
        "off, which rounds at other places. What the sections hold: "
        "[docs/which_models_can_be_pruned.md](../docs/which_models_can_be_pruned.md)."
    )
    yield ""
    yield (
        "| model | additions | prunable | parameters | left | find | gate | rebuild "
        "| all open | half closed | loaded | served |"
    )
    yield "| --- " * 12 + "|"
    for row in result["rows"]:
        cells = [row["model"], row["sections"], row["prunable"]]
        if row["prunable"]:
            cells += [f"{row['parameters']:,}", f"{row['parameters_left']:,}"]
            times = [row[f"{what}_seconds"] for what in ("find", "gate", "rebuild")]
            cells += [f"{seconds:.2f}" for seconds in times]
            cells += differences(row)
        yield "| " + " | ".join(map(str, cells + [""] * (12 - len(cells)))) + " |"


def keras_hub(result):
    yield "## Backbones of KerasHub: gated, half closed, rebuilt"
    yield ""
    yield (
        f"Small random configurations, KerasHub {result['settings']['keras_hub']}. "
        "Sections are whole transformer blocks, in the last row attention and "
        "feed-forward parts. Differences as above."
    )
    yield ""
    yield (
        "| model | sections | prunable | closed | parameters | left "
        "| all open | half closed | loaded | served |"
    )
    yield "| --- " * 10 + "|"
    for row in result["rows"]:
        cells = [row[key] for key in ("model", "sections", "prunable", "closed")]
        cells += [f"{row[key]:,}" for key in ("parameters", "parameters_left")]
        yield "| " + " | ".join(map(str, cells + differences(row))) + " |"


def differences(row):
    names = ("open_difference", "difference", "loaded_difference", "served_difference")
    return [f"{row[name]:.0e}" if name in row else "" for name in names]
