"""Networks of the size of the paper's."""


def lines(result):
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
