"""A network that is trained already, pruned while it is trained on.

    python benchmarks/finetuning.py --dataset cifar10 --augment --workers 2
    python benchmarks/finetuning.py --dataset cifar10 --augment --max-macs 0.5

A network is trained as it is. Then every way starts from these weights and has as many
epochs more, with a schedule of its own: the whole network trained on; with gates that
start open and are decided early; with gates and schedule as they are by default, which
are meant for networks that begin; and without the sections that a measure ranks lowest,
until no more MACs are left than with the early gates. The test set is read once per
network, at the end. Times are those of what comes after the first training.
"""

import argparse

import choices
import keras
import peers
import ranking
import results
import side_by_side

import recipe  # isort: skip

import keras_layer_prune as klp

# What a trained network is worth is known from the start: gates need not wait until it
# has become useful. Chosen on validation examples of CIFAR-10, one seed.
EARLY = {"hold": 0.0, "settle_by": 0.2}


def main():
    arguments = parse_arguments()
    calls = [(seed, arguments) for seed in range(arguments.seeds)]
    rows = []
    for runs in side_by_side.results_of(run_seed, calls, arguments.workers):
        rows += runs
        # A run of hours may fail in its last seed.
        results.save(result_name(arguments), vars(arguments), rows)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trained", type=int, default=12, help="epochs before")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--sections", type=int, default=12)
    parser.add_argument("--width", type=int, default=8)
    choices.add_training_to(parser)
    choices.add_costs_to(parser)
    # The schedules are what is compared.
    parser.set_defaults(settle_by=None, hold=None)
    return parser.parse_args()


def result_name(arguments):
    trained = f"after_{arguments.trained}"
    return choices.result_name("finetuning", trained, arguments=arguments)


def run_seed(seed, arguments):
    """One row for each way, all from the same trained network."""
    rows = []
    for row in rows_of_seed(seed, arguments):
        rows.append(row)
        peers.print_row(row)
    return rows


def rows_of_seed(seed, arguments):
    data = choices.load(arguments)
    whole = peers.make_network(data, seed, arguments)
    keras.utils.set_random_seed(seed)
    choices.fit(whole, data, seed, arguments.trained, arguments)

    def row(kind, network, seconds):
        return peers.result_row(kind, seed, network, whole, data, seconds)

    yield row("as it was", whole, 0.0)
    yield row("trained on", *train_on(whole, data, seed, arguments))
    ours, seconds = prune(whole, data, seed, arguments, 1.0, EARLY)
    yield row("ours, early", ours, seconds)
    yield row("ours, defaults", *prune(whole, data, seed, arguments, 0.9, {}))
    for name, rank in ranking.RANKINGS.items():
        small, ranked = peers.drop_lowest(whole, rank, data, seed, peers.macs(ours))
        small, seconds = train_on(small, data, seed, arguments)
        yield row(name, small, ranked + seconds)


def train_on(network, data, seed, arguments):
    """A copy of a network after its further epochs, and the seconds that they took."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    # Crops and flips of its own: the first training has the seeds below.
    seed += arguments.seeds
    _, seconds = choices.fit(copy, data, seed, arguments.epochs, arguments)
    return copy, seconds


def prune(network, data, seed, arguments, initial_probability, schedule):
    """A network without what its gates have closed, and the seconds that it took."""
    gated = klp.gate_sections(
        network,
        prior=recipe.prior(arguments.price, data),
        initial_probability=initial_probability,
        seed=seed,
    )
    callback = klp.PruneSections(max_macs=arguments.max_macs, verbose=0, **schedule)
    return peers.prune(gated, data, seed + arguments.seeds, arguments, callback)


if __name__ == "__main__":
    main()
