"""Write benchmarks/README.md from the results that the benchmarks have left.

python benchmarks/table.py
"""

import itertools
import json
from pathlib import Path

import results

INTRODUCTION = """# Benchmarks

Made by `python benchmarks/table.py` from the JSON files in `results/`; each of them
names the command, the machine and the versions. Figures are means, with the smallest
and the largest in brackets.
"""


def main():
    parts = [INTRODUCTION]
    for name, make in SECTIONS.items():
        for path in sorted(results.FOLDER.glob(f"{name}*.json")):
            result = json.loads(path.read_text())
            parts.append("\n".join(make(result)) + "\n\n" + provenance(result))
    text = "\n".join(parts)
    Path(__file__).with_name("README.md").write_text(text)
    print(text)


def provenance(result):
    machine, versions = result["machine"], result["versions"]
    return (
        f"`{result['command']}`; {machine['cores']} cores, {machine['gpus']} GPUs, "
        f"TensorFlow {versions['tensorflow']}, Keras {versions['keras']}.\n"
    )


def training(result):
    settings, rows = result["settings"], result["rows"]
    yield f"## One `fit`, with and without gates: {settings['dataset']}"
    yield ""
    yield (
        f"Residual network of {settings['sections']} sections, width "
        f"{settings['width']}, {settings['epochs']} epochs, {settings['seeds']} seeds, "
        "defaults. Test accuracy, read once per network; wall time of `fit`."
    )
    yield ""
    yield "| | test accuracy | sections | parameters | MACs | wall time, s |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for kind in ("dense", "pruned"):
        group = [row for row in rows if row["kind"] == kind]
        cells = [
            spread(group, "test", "{:.2%}"),
            spread(group, "sections", "{:.1f}"),
            spread(group, "parameters", "{:,.0f}"),
            spread(group, "macs", "{:,.0f}"),
            spread(group, "seconds", "{:.0f}"),
        ]
        yield f"| {kind} | " + " | ".join(cells) + " |"
    pruned = [row for row in rows if row["kind"] == "pruned"]
    halves = [row["removed in the first half"] for row in pruned]
    yield ""
    yield (
        f"Wall time against dense: {spread(pruned, 'time ratio', '{:.2f}')}. "
        f"Sections gone in the first half of the run, by seed: {halves}."
    )


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


def robustness(result):
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


def vertices(result):
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


def rebuild(result):
    yield "## Every model of `keras.applications`: gated, half closed, rebuilt"
    yield ""
    yield (
        "Random weights, small inputs. Differences are relative to the largest output; "
        "seconds, on a machine that was busy with other runs. `all open`: all gates "
        "open, against the model without gates. `served`: the stripped model's "
        "SavedModel in a process that has TensorFlow alone. What the sections hold: "
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


def differences(row):
    names = ("open_difference", "difference", "loaded_difference", "served_difference")
    return [f"{row[name]:.0e}" if name in row else "" for name in names]


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


def spread(rows, key, form):
    s = results.spread([row[key] for row in rows])
    return f"{form} ({form}-{form})".format(s["mean"], s["min"], s["max"])


SECTIONS = {
    "training": training,
    "overhead": overhead,
    "robustness": robustness,
    "vertices": vertices,
    "rebuild": rebuild,
    "keras_hub": keras_hub,
}


if __name__ == "__main__":
    main()
