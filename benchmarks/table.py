"""Write benchmarks/README.md from the results that the benchmarks have left.

python benchmarks/table.py
"""

import itertools
import json
from pathlib import Path

import choices
import results
import torch_process

INTRODUCTION = """# Benchmarks

Made by `python benchmarks/table.py` from the JSON files in `results/`; each of them
names the command, the machine and the versions. Figures are means, with the smallest
and the largest in brackets. Each training had one core for itself, while other work
went on on the second one: the same training takes up to a quarter more or less time.
The residual network of width 16 was trained while the machine did other work: its wall
times say little.

Two things in how Keras feeds arrays were found late: once a seed is set, every epoch
has the same order, and on one core TensorFlow's tuner of `tf.data` holds up the end of
every epoch (`examples/batches.py`). The residual networks on all of CIFAR-10 and their
peers, LeNet and the transformer are measured with neither. All other trainings have
both: with them dense reached 66.4% of CIFAR-10 instead of 68.8%, and epochs took longer
than they computed, those of small networks by the most. PyTorch's peers never had them.

Trainings on all of MNIST at width 16, and from several starting depths, were compiled
by XLA; the others, measured later, were not. Peers on MNIST were measured before
`min_saving` had the default that counts the cost of a trace.
"""

CLOSING = """## Where this falls short, and what was tried

- Accuracy against dense, and against what is left, trained from scratch. The aims were
  0.3 points below the one at half of the MACs, and not below the other. On CIFAR-10 in
  12 epochs ours is 1.3 points below dense on the test set, with defaults (0.53 of the
  MACs, two seeds) as at a price of 0.12 (0.47, four seeds); on validation examples it
  is 0.6 above and 0.2 below. With all four seeds it is level with the other: 0.2 below
  on the test set, 0.2 above on validation examples. In 24 epochs, at 0.37 of the MACs,
  it is 0.1 below dense and 1.5 above the other, on validation examples 1.4 and 2.2
  above. But without augmentation 24 epochs are too many for this network: dense had 0.8
  more after 12. With crops and flips in 12 epochs ours is 1.2 below dense and 0.3 above
  the other. From scratch, too, the small network stays 1.4 below dense with crops and
  flips: there depth is worth what it costs, and a lower price would keep more of it.
- How far such differences can be trusted. By the choice of the images alone, an
  accuracy of 68% has a standard error of 0.66 points on the 5,000 validation examples
  and of 0.47 on the test set, the same images for all seeds; and seeds differ by up to
  two points.
- Accuracy at equal MACs. The aim was to be above every other. On CIFAR-10 in 12 epochs
  batch-norm scale and sections dropped at random end 0.2 above ours on the test set,
  and below it on validation examples; on 20,000 examples of MNIST input-output
  similarity and Taylor end above: all by less than ours differs from seed to seed. In
  24 epochs, with a third of the sections left, results differ more (from 58% to 69%):
  input-output similarity ends 1.2 above ours (1.3 on validation examples), Taylor 0.7
  above (0.6 below). Whether they choose better, in a trained network, or gain by a
  second schedule is open: in one of the two seeds input-output similarity keeps as many
  sections of each stage as ours does. They train for a third to a half longer.
- What was tried, on validation examples of CIFAR-10, one or two seeds each, without a
  difference beyond that spread: all gates decided after a fifth, a quarter, 0.35 or
  half of the training; a prior on the weights of precision 50, also on sections that
  had been decided; prices that fall from stage to stage; gates of what stays that go on
  drawing, at 0.8, until three quarters of the training. Gates that had 500 steps
  instead of 850 decided worse: 5, 4 and 3 sections stayed. All of this, and the choice
  of the default price, was with the same order of examples in every epoch (above), and
  should be looked at again without. Without it: gates that start at 0.98 instead of 0.9
  (two seeds), and six sections from other stages, trained from scratch (two seeds):
  again no difference beyond the spread. Which six of twelve stay is worth little here;
  how long an epoch takes differs by a third with their stages, at equal MACs.
- A deeper start, with crops and flips, on validation examples: 24 sections are 1.3
  better than 12 when dense, and with half of their MACs (11 and 13 stay, at prices of
  0.025 and 0.02) as good as 12 dense ones, 1.2 below their own dense network. At a
  price of 0.05 six stay: the more sections there are, the less each is worth early.
- The price with crops and flips. 0.12 nats per example instead of 0.1 leaves 5 and 4
  sections (two seeds) instead of 7 and 5, 0.15 leaves 5 and 4, 0.2 leaves 2 (one seed):
  so early in the training, sections are worth little apart from each other.
- Time over what is left, trained from scratch. The aim was 1.2, and at most 0.7 of
  dense. On all of CIFAR-10 both are about held, where gates are decided after a quarter
  of the training; not in shorter trainings, where they are decided at the middle, and
  traces of the step, three of some seconds each, are a larger part.
- Time against other tools. On all of CIFAR-10 ours takes less than each, PyTorch's too,
  in 12 epochs hardly less than batch-norm scale; on 20,000 examples of MNIST nearly
  twice as long as PyTorch's.
- MNIST. In some thousand steps, sections of width 8 still earn their price, and more
  than half of the MACs stay. At width 16 fewer do.
"""


def main():
    parts = [INTRODUCTION]
    for name, make in SECTIONS.items():
        for path in sorted(results.FOLDER.glob(f"{name}*.json")):
            result = json.loads(path.read_text())
            parts.append("\n".join(make(result)) + "\n\n" + provenance(result))
    text = "\n".join([*parts, CLOSING])
    Path(__file__).with_name("README.md").write_text(text)
    print(text)


def provenance(result):
    machine, versions = result["machine"], result["versions"]
    load = machine.get("load average")
    busy = "" if load is None else f"load average {load:.1f}, "
    return (
        f"`{result['command']}`; {machine['cores']} cores, {busy}"
        f"{machine['gpus']} GPUs, TensorFlow {versions['tensorflow']}, "
        f"Keras {versions['keras']}.\n"
    )


def training(result):
    settings, rows = result["settings"], result["rows"]
    network = settings.get("network", "residual")
    yield (
        f"## One `fit`, with and without gates: {network} on {data(settings)}, "
        f"{settings['epochs']} epochs"
    )
    yield ""
    yield (
        f"{rows[0]['sections']} sections, {settings['epochs']} epochs, "
        f"{seeds(rows)} seeds, {choices.in_words(settings)}. Test accuracy, read once "
        "per network; wall time of `fit`."
    )
    yield ""
    if network in CHAINS:
        yield CHAINS[network]
        yield ""
    yield (
        "| | test accuracy | on validation | sections | parameters | MACs "
        "| wall time, s | of dense | MACs spent |"
    )
    yield "| --- " * 9 + "|"
    for kind in dict.fromkeys(row["kind"] for row in rows):
        group = [row for row in rows if row["kind"] == kind]
        cells = [
            spread(group, "test", "{:.2%}"),
            spread(group, "validation", "{:.2%}"),
            spread(group, "sections", "{:.1f}"),
            spread(group, "parameters", "{:,.0f}"),
            spread(group, "macs", "{:,.0f}"),
            spread(group, "seconds", "{:.0f}"),
            spread(group, "time ratio", "{:.2f}"),
            spread(group, "macs spent", "{:.1e}"),
        ]
        yield f"| {kind} | " + " | ".join(cells) + " |"
    yield ""
    pruned = [row for row in rows if row["kind"] == "pruned"]
    halves = [row["removed in the first half"] for row in pruned]
    yield f"Sections gone in the first half of the run, by seed: {halves}."
    yield from seed_by_seed(pruned, rows)


def data(settings):
    """The data set, what part of it was trained on, and whether it was augmented."""
    examples = settings.get("train_examples")
    part = f", the first {examples:,} training examples" if examples else ""
    augmented = ", random crops and flips" if settings.get("augment") else ""
    return settings["dataset"] + part + augmented


def seeds(rows):
    """How many are done: a run may have ended before its last."""
    return len({row["seed"] for row in rows})


# What the comparison is not of.
_CHAIN = (
    "The dense network is the plain chain; with gates it has linear shortcuts too, "
    "which cost parameters and MACs, and which alone may change the accuracy."
)
CHAINS = {"lenet": _CHAIN, "vgg16": _CHAIN}


# What ours is compared with seed by seed, in words.
_COMPARED = {
    "dense": "dense",
    "from scratch": "what is left, trained from scratch",
}


def seed_by_seed(pruned, rows):
    """Ours against dense and against the limit, seed by seed."""
    for kind, words in _COMPARED.items():
        other = {row["seed"]: row for row in rows if row["kind"] == kind}
        pairs = [(row, other[row["seed"]]) for row in pruned if row["seed"] in other]
        if not pairs:
            continue
        ratios = [{"time": a["seconds"] / b["seconds"]} for a, b in pairs]
        gains = [
            {name: 100 * (a[name] - b[name]) for name in ("test", "validation")}
            for a, b in pairs
        ]
        yield (
            f"Against {words}: wall time {spread(ratios, 'time', '{:.2f}')}, accuracy "
            f"{spread(gains, 'test', '{:+.2f}', ' to ')} points, on validation "
            f"{spread(gains, 'validation', '{:+.2f}', ' to ')}."
        )


def paper(result):
    settings, (row,) = result["settings"], result["rows"]
    before, after = row["before"], row["after"]
    yield f"## {settings['network']} on {settings['dataset']}, {row['kind']}"
    yield ""
    yield (
        f"Seed {row['seed']}, {settings['epochs']} epochs: test accuracy "
        f"{row['test']:.2%}; parameters {after['parameters']:,} of "
        f"{before['parameters']:,}; MACs {after['macs']:,} of {before['macs']:,}; "
        f"`fit` {row['seconds']:.0f} s."
    )


def peers(result):
    settings, rows = result["settings"], result["rows"]
    epochs = settings["epochs"]
    yield f"## Other ways to drop sections: {data(settings)}, {epochs} epochs"
    yield ""
    yield (
        f"One starting network of {settings['sections']} sections, "
        f"{epochs} epochs in all, {seeds(rows)} seeds; ours with "
        f"{choices.in_words(settings)}. The others train it for half of them, drop "
        "sections until they have no more MACs than ours, and train on: rankings "
        "alone, without the regularisers with which some of them were published. Test "
        "accuracy, read once per network. Latencies: median calls, in turn with the "
        "whole network in the same framework; what part of its time is left. Training "
        "times of Keras include compilation."
    )
    yield from other_frameworks(rows)
    yield ""
    yield (
        "| | test accuracy | on validation | MACs | parameters | training, s "
        "| ms, batch 1 | of whole | ms, batch 32 | of whole |"
    )
    yield "| --- " * 10 + "|"
    for kind in dict.fromkeys(row["kind"] for row in rows):
        group = [{**row, **latencies(row)} for row in rows if row["kind"] == kind]
        cells = [
            spread(group, "test", "{:.2%}"),
            spread(group, "validation", "{:.2%}"),
            spread(group, "macs", "{:,.0f}"),
            spread(group, "parameters", "{:,.0f}"),
            spread(group, "seconds", "{:.0f}"),
            spread(group, "ms 1", "{:.2f}"),
            spread(group, "of whole 1", "{:.2f}"),
            spread(group, "ms 32", "{:.2f}"),
            spread(group, "of whole 32", "{:.2f}"),
        ]
        yield f"| {kind} | " + " | ".join(cells) + " |"


def latencies(row):
    """Milliseconds, and their ratios to the whole network's, by batch size."""
    whole = row["whole latency ms"]
    cells = {f"ms {n}": ms for n, ms in row["latency ms"].items()}
    ratios = {f"of whole {n}": ms / whole[n] for n, ms in row["latency ms"].items()}
    return cells | ratios


def other_frameworks(rows):
    """What ran in a process of its own, and how to make the environments for it."""
    told = {row["kind"]: row["versions"] for row in rows if "versions" in row}
    for kind, found in told.items():
        names = ", ".join(f"{name} {version}" for name, version in found.items())
        yield ""
        yield (
            f"{kind} takes channels out, in PyTorch, from the same initial weights: "
            f"{names}; `{torch_process.installation(kind)}`.{search(rows, kind)}"
        )


def search(rows, kind):
    """What it took to find the setting that meets the budget, if that took anything."""
    group = [row for row in rows if row["kind"] == kind and "search seconds" in row]
    if not group:
        return ""
    seconds = spread(group, "search seconds", "{:.0f}")
    return f" To find its sparsity for the budget took {seconds} s more."


def serving(result):
    sizes = result["settings"]["batch_sizes"]
    yield "## What is served"
    yield ""
    yield (
        "SavedModels called in turn; medians, in brackets the median ratio to the "
        "small network written by hand. LiteRT and ONNX: how far outputs are from the "
        "SavedModel's."
    )
    yield ""
    batches = " | ".join(f"ms, batch {size}" for size in sizes)
    # ONNX is left out where it was not installed.
    formats = ["LiteRT"]
    formats += ["ONNX"] if result["rows"][0].get("ONNX bytes") else []
    files = " | ".join(f"{name} bytes | {name} difference" for name in formats)
    yield f"| | bytes | load, s | {batches} | {files} |"
    yield "| --- " * (3 + len(sizes) + 2 * len(formats)) + "|"
    for row in result["rows"]:
        cells = [row["kind"], f"{row['bytes']:,}", f"{row['load s']:.2f}"]
        cells += [
            f"{row[f'ms, batch {n}']:.2f} ({row[f'over by hand, batch {n}']:.2f})"
            for n in sizes
        ]
        for name in formats:
            cells += [f"{row[f'{name} bytes']:,}", f"{row[f'{name} difference']:.1e}"]
        yield "| " + " | ".join(cells) + " |"


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


def robustness(result):
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


def kills(result):
    rows, settings = result["rows"], result["settings"]
    hits = {
        moment: sum(row["hit in"].get(moment, 0) for row in rows)
        for moment in ("step", "rebuild", "write", "restart", "between")
    }
    same = sum(row["bit-identical"] for row in rows)
    lost = sum(len(row[LOST]) for row in rows)
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


LOST = "restarts from another place than the last backup"


def spread(rows, key, form, between="-"):
    # Earlier results lack what has been measured only since.
    if any(key not in row for row in rows):
        return ""
    s = results.spread([row[key] for row in rows])
    return f"{form} ({form}{between}{form})".format(s["mean"], s["min"], s["max"])


SECTIONS = {
    "training": training,
    "paper": paper,
    "peers": peers,
    "overhead": overhead,
    "first_step": first_step,
    "robustness": robustness,
    "vertices": vertices,
    "serving": serving,
    "rebuild": rebuild,
    "kills": kills,
    "keras_hub": keras_hub,
}


if __name__ == "__main__":
    main()
