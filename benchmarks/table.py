"""Write benchmarks/README.md from the results that the benchmarks have left.

python benchmarks/table.py
"""

import json
from pathlib import Path

import results
from tables import (
    chance,
    finetuning,
    kills,
    overview,
    paper,
    peers,
    rebuild,
    robustness,
    serving,
    steps,
    training,
    tuning,
    vertices,
)

PROSE = Path(__file__).parent / "tables"

# By what the files in `results/` begin with, in the order of the page.
TABLES = {
    "training": training.lines,
    "tuning": tuning.lines,
    "paper": paper.lines,
    "peers": peers.lines,
    "finetuning": finetuning.lines,
    "overhead": steps.overhead,
    "first_step": steps.first_step,
    "robustness": robustness.lines,
    "vertices": vertices.lines,
    "chance": chance.lines,
    "serving": serving.lines,
    "rebuild": rebuild.applications,
    "kills": kills.lines,
    "keras_hub": rebuild.keras_hub,
}


def main():
    found = {name: results_of(name) for name in TABLES}
    parts = [(PROSE / "introduction.md").read_text()]
    parts.append("\n".join(overview.lines(found["training"], found["peers"])))
    for name, lines in TABLES.items():
        for result in found[name]:
            parts.append("\n".join(lines(result)) + "\n\n" + provenance(result))
    text = "\n".join([*parts, (PROSE / "shortcomings.md").read_text()])
    Path(__file__).with_name("README.md").write_text(text)
    print(text)


def results_of(name):
    """All results of a benchmark: first those of residual networks, then by name."""
    paths = sorted(results.FOLDER.glob(f"{name}*.json"))
    found = [json.loads(path.read_text()) for path in paths]
    usual = "residual"
    return sorted(found, key=lambda x: x["settings"].get("network", usual) != usual)


def provenance(result):
    machine, versions = result["machine"], result["versions"]
    load = machine.get("load average")
    busy = "" if load is None else f"load average {load:.1f}, "
    return (
        f"`{result['command']}`; {machine['cores']} cores, {busy}"
        f"{machine['gpus']} GPUs, TensorFlow {versions['tensorflow']}, "
        f"Keras {versions['keras']}.\n"
    )


if __name__ == "__main__":
    main()
