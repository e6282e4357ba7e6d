"""What `fit` returned, read as curves over the epochs that they belong to."""

from numbers import Real


def known_history(model, history):
    """The `History` of a dictionary where it is known, which also has the epochs.

    Args:
        model: `GatedModel`.
        history: What `fit` returned, its dictionary, or None.
    """
    last = getattr(model, "history", None)
    is_of_the_last = history is not None and history is getattr(last, "history", None)
    return last if is_of_the_last else history


def curves_of(history) -> dict[str, list]:
    """Every metric that is a number, against its epochs.

    Args:
        history: What `fit` returned, its dictionary, or None. A dictionary is taken to
            begin at epoch 0.

    Returns:
        Dictionary from name to a list of pairs (epoch, value), epochs counted from 0.
        Metrics of which nobody knows when they were noted are left out.
    """
    values = getattr(history, "history", history) or {}
    numbers = {name: line for name, line in values.items() if _are_numbers(line)}
    epochs = getattr(history, "epoch", None)
    if epochs is None:
        epochs = range(max(map(len, numbers.values()), default=0))
    often = getattr(history, "validation_freq", 1)
    validated = [epoch for epoch in epochs if _is_validated(epoch, often)]
    curves = {}
    for name, line in numbers.items():
        own = validated if name.startswith("val_") else epochs
        if len(own) == len(line):
            curves[name] = list(zip(own, line, strict=True))
    return curves


def is_decided_in(history, position) -> bool:
    """Whether an entry of the pruning log can be of the `fit` that a history is of."""
    decisions = getattr(history, "decisions", None)
    return decisions is None or position in decisions


def _are_numbers(values) -> bool:
    # A metric may be an array for each epoch, such as `F1Score`.
    return all(isinstance(value, Real) for value in values)


def _is_validated(epoch, often) -> bool:
    """Whether `fit` validates in an epoch: every so many, or in those of a list."""
    return epoch + 1 in often if isinstance(often, list) else (epoch + 1) % often == 0
