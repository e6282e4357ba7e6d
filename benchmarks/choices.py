"""What can be chosen in each benchmark that trains with gates and without."""

# It shows where the next two are.
import results  # noqa: F401, isort: skip
import datasets  # isort: skip
import recipe  # isort: skip

import keras_layer_prune as klp

# What may be chosen otherwise than the package does by itself, in words.
CHOICES = {
    "price": "price {} nats per example",
    "settle_by": "`settle_by={}`",
    "hold": "`hold={}`",
    "max_macs": "`max_macs={}`",
    "precision": "precision {} per example",
}
# The oldest results are from when that was the default.
_FORMER = {"settle_by": 0.5}


def add_to(parser):
    """Add what can be chosen to a command line."""
    add_training_to(parser)
    add_costs_to(parser)
    parser.add_argument("--settle-by", type=float, help="default: ours")
    parser.add_argument("--hold", type=float, help="default: ours")


def add_costs_to(parser):
    """Add what gates and weights cost, and how much may be left."""
    parser.add_argument("--max-macs", type=float, help="share of dense; default: any")
    parser.add_argument("--price", type=float, help="nats per example; default: ours")
    parser.add_argument(
        "--precision", type=float, help="of the weights, per example; default: ours"
    )


def add_training_to(parser):
    """Add what can be chosen of every training, with gates or without."""
    parser.add_argument("--dataset", choices=datasets.NAMES, default="mnist")
    parser.add_argument("--train-examples", type=int, help="the first so many")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument(
        "--augment", action="store_true", help="random crops and flips, for CIFAR-10"
    )
    parser.add_argument("--workers", type=int, default=1, help="seeds at once")


def load(arguments):
    """The examples that were asked for, as `datasets.Data`."""
    return datasets.load(arguments.dataset, arguments.train_examples)


def prune(arguments):
    """The callback as it was asked for, in silence."""
    own = {} if arguments.hold is None else {"hold": arguments.hold}
    return klp.PruneSections(
        settle_by=arguments.settle_by, max_macs=arguments.max_macs, verbose=0, **own
    )


def fit(model, data, seed, epochs, arguments, **further):
    """Train as the examples do; return the history, and the seconds that it took.

    A `GatedModel` trains under the prior on weights that was asked for.

    Args:
        model: Network or `GatedModel`.
        data: `datasets.Data`.
        seed: Int, of the augmentation, where there is one.
        epochs: Int.
        arguments: Namespace of the command line.
        **further: Arguments of `fit`, as `callbacks`.
    """
    return recipe.fit(
        model,
        data,
        epochs,
        arguments.batch_size,
        arguments.learning_rate,
        augmentation_seed=seed if arguments.augment else None,
        weight_prior=weight_prior(model, data, arguments),
        verbose=0,
        **further,
    )


def weight_prior(model, data, arguments):
    """The prior on weights that was asked for; None is a model's own default."""
    if arguments.precision is None or not isinstance(model, klp.GatedModel):
        return None
    return klp.GaussianScaleMixturePrior(arguments.precision * len(data.train.x))


def fit_under_prior(network, data, seed, epochs, arguments):
    """Train all of a network under the prior on weights that ours has.

    Returns:
        What was trained, as a plain network; the history; the seconds that it took.
    """
    gated = klp.gate_sections(network, initial_probability=1.0, seed=seed)
    model = klp.GatedModel(gated)
    # Gates that only draw ones would still take time; the prior outlasts them.
    model.decide(opened=model.gates)
    history, seconds = fit(model, data, seed, epochs, arguments)
    return klp.strip_gates(model.network), history, seconds


def result_name(*parts, arguments):
    """A name for each part of the data, length and choice: each keeps its own results.

    Args:
        *parts: Strings, what the benchmark is called and what it trains.
        arguments: Namespace of the command line.
    """
    names = [*parts, arguments.dataset]
    if arguments.train_examples:
        names.append(str(arguments.train_examples))
    if arguments.augment:
        names.append("augmented")
    names.append(f"{arguments.epochs}_epochs")
    chosen = {name: getattr(arguments, name) for name in CHOICES}
    names += [f"{name}_{value}" for name, value in chosen.items() if value is not None]
    return "_".join(names)


def in_words(settings):
    """What was chosen otherwise than the package does by itself."""
    known = {**_FORMER, **settings}
    chosen = [
        words.format(known[name])
        for name, words in CHOICES.items()
        if known.get(name) is not None
    ]
    return ", ".join(chosen) or "defaults"
