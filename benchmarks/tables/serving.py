"""What is served."""


def lines(result):
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
