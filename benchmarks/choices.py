"""What can be chosen in each benchmark that trains with gates and without."""


def add_to(parser):
    """Add what can be chosen to a command line."""
    parser.add_argument(
        "--augment", action="store_true", help="random crops and flips, for CIFAR-10"
    )
    parser.add_argument("--price", type=float, help="nats per example; default: ours")
    parser.add_argument("--settle-by", type=float, help="default: ours")
    parser.add_argument("--workers", type=int, default=1, help="seeds at once")


def result_name(*parts, arguments):
    """A name for each part of the data and each choice: each keeps its own results.

    Args:
        *parts: Strings, what the benchmark is called and what it trains.
        arguments: Namespace of the command line.
    """
    names = [*parts, arguments.dataset]
    if arguments.train_examples:
        names.append(str(arguments.train_examples))
    if arguments.augment:
        names.append("augmented")
    if arguments.price is not None:
        names.append(f"price_{arguments.price}")
    if arguments.settle_by is not None:
        names.append(f"settle_by_{arguments.settle_by}")
    return "_".join(names)


def in_words(settings):
    """What was chosen otherwise than the package does by itself."""
    # The oldest results are from when that was the default.
    price, settle_by = settings.get("price"), settings.get("settle_by", 0.5)
    chosen = []
    if price is not None:
        chosen.append(f"price {price} nats per example")
    if settle_by is not None:
        chosen.append(f"`settle_by={settle_by}`")
    return ", ".join(chosen) or "defaults"
