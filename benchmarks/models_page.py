"""Write docs/which_models_can_be_pruned.md from what benchmarks/sections.py has left.

python benchmarks/models_page.py
"""

import json
from pathlib import Path

FOLDER = Path(__file__).parent
RESULT = FOLDER / "results" / "sections.json"
PAGE = FOLDER.parent / "docs" / "which_models_can_be_pruned.md"

INTRODUCTION = """# Which models can be pruned

Made by `python benchmarks/models_page.py` of what `python benchmarks/sections.py` has
found; do not edit it by hand. For a model of your own, ask it:

```python
print(klp.find_sections(model))
```

lists every addition in the graph with the branch that could leave, what it holds, and
whether a gate can close it or why not. Nothing is changed by it.

**What works.** Functional and built sequential models, nested in each other to any
depth, with any number of inputs and outputs. A section can leave if there is a linear
way around it: the identity (kind `identity`), or convolutions, normalisations, pooling
and the like without an activation (kind `projection`). `klp.gate_sections(model)` puts
a gate on each.

**Layers that hold their residual connections inside**, such as the transformer blocks
of KerasHub, show no addition in the graph. If such a layer returns what has the shape
of its input, it is listed with the kind `block`, and `gate_sections` puts it into a
`klp.GatedLayer`: it stays or leaves as a whole. Where its call is made of layers and
`keras.ops` only, does not ask whether it is training, and has no weights besides those
of its layers, it can be opened instead, so that its parts leave one by one:

```python
def opened(block, x):
    inputs = keras.Input(x.shape[1:], dtype=x.dtype)
    return keras.Model(inputs, block.call(inputs), name=block.name)(x)
```

**What is not seen.** Subclassed models have no graph: call their layers on a
`keras.Input` and wrap the result in `keras.Model(inputs, outputs)`. The same makes a
plain model of one whose class has a step, a `compute_loss` or a `compute_metrics` of
its own, which is refused, as nothing would call it. A model inside `TimeDistributed` or
another wrapper is named by `find_sections` and not changed. A concatenation keeps every
operand, so nothing could leave in its place. Chains without a way around their layers
get one from `klp.GatedResidual(section, shortcut)`.

## Every model of `keras.applications`

At full size with 1,000 classes, as `keras.applications` makes them. "Hold" is what
would leave if every gate closed, with its share of the model.
"""


def page(result) -> str:
    """The page's text for the result of the benchmark."""
    rows = result["rows"]
    versions = result["versions"]
    parts = [
        INTRODUCTION,
        *table([row for row in rows if row["prunable"]]),
        "",
        "## Where nothing can be pruned, and why",
        "",
        *(f"- **{row['model']}**: {why(row)}" for row in rows if not row["prunable"]),
        "",
        f"Keras {versions['keras']}. That the outputs stay as they are when sections "
        "leave is measured in [benchmarks/README.md](../benchmarks/README.md).",
    ]
    return "\n".join(parts) + "\n"


def table(rows):
    yield (
        "| model | additions | prunable | kinds | parameters | sections hold | MACs "
        "| sections hold | not prunable |"
    )
    yield "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | --- |"
    for row in rows:
        cells = [
            row["model"],
            row["sections"],
            row["prunable"],
            counted(row["kinds"]),
            millions(row["parameters"]),
            held(row["prunable_parameters"], row["parameters"]),
            millions(row["macs"]),
            held(row["prunable_macs"], row["macs"]),
            counted(row["refused"]),
        ]
        yield "| " + " | ".join(map(str, cells)) + " |"


def counted(numbers) -> str:
    return "; ".join(f"{number} {what}" for what, number in sorted(numbers.items()))


def millions(number) -> str:
    return f"{number / 1e6:,.1f} M"


def held(part, whole) -> str:
    return f"{millions(part)} ({part / whole:.0%})"


def why(row) -> str:
    """What `find_sections` says, less the advice that is the same for all."""
    reason = row["says"].split(" `GatedResidual(")[0]
    return (reason := reason.split("` has ", 1)[-1])[0].upper() + reason[1:]


def main():
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(json.loads(RESULT.read_text())))
    print(f"written to {PAGE}")


if __name__ == "__main__":
    main()
