"""The networks and the recipe that papers compare on, on one GPU.

    python benchmarks/paper.py --network resnet56 --dataset cifar10
    python benchmarks/paper.py --network resnet56 --dataset cifar10 --dense
    python benchmarks/paper.py --network resnet56 --dataset cifar10 --fraction 0.01

Random crops and flips, SGD with momentum, batches of 128, 200 epochs with a cosine
schedule. One run trains one network, with gates or without, and leaves one file of
results. With `--fraction` a share of the examples and of the epochs is used: a dry run,
which keeps no results.
"""

import argparse
import time

import results

import augmentation  # isort: skip
import datasets  # isort: skip
import networks  # isort: skip
import recipe  # isort: skip
import keras
import tensorflow as tf

import keras_layer_prune as klp


def main():
    arguments = parse_arguments()
    keras.mixed_precision.set_dtype_policy(arguments.policy)
    data = first_of_each(datasets.load(arguments.dataset), arguments.fraction)
    row = run(data, arguments)
    print_row(row)
    if arguments.fraction == 1.0:
        name = f"paper_{arguments.network}_{row['kind']}_{arguments.seed}"
        results.save(name, vars(arguments), [row])


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=networks.BUILDERS, default="resnet56")
    parser.add_argument("--dataset", choices=datasets.NAMES, default="cifar10")
    parser.add_argument("--dense", action="store_true", help="without gates")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--price", type=float, help="nats per example; default: ours")
    parser.add_argument("--policy", default="float32", help="or mixed_bfloat16")
    parser.add_argument("--steps-per-execution", type=int, default=1)
    parser.add_argument("--no-jit", action="store_true", help="without XLA")
    parser.add_argument("--backup", help="a folder; the same command goes on there")
    parser.add_argument("--fraction", type=float, default=1.0)
    return parser.parse_args()


def first_of_each(data, fraction):
    """The first examples of every split."""
    return datasets.Data(
        *(
            datasets.Split(*(part[: round(len(part) * fraction)] for part in split))
            for split in data
        )
    )


def run(data, arguments):
    model = make_model(data, arguments)
    epochs = max(2, round(arguments.epochs * arguments.fraction))
    batches = augmentation.training_batches(
        data.train, arguments.batch_size, arguments.seed
    )
    if not len(batches):
        raise SystemExit(
            f"{len(data.train.x)} training examples do not fill a batch of "
            f"{arguments.batch_size}. Give a larger --fraction, or a smaller "
            "--batch-size."
        )
    compile_model(model, len(batches) * epochs, arguments)
    costs_before = recipe.costs(network_of(model))
    watch = Watch()
    callbacks = [watch, *other_callbacks(arguments)]
    start = time.perf_counter()
    history = model.fit(
        batches,
        epochs=epochs,
        validation_data=data.validation,
        callbacks=callbacks,
        verbose=2,
    ).history
    seconds = time.perf_counter() - start
    slim = model if arguments.dense else klp.strip_gates(model.network)
    return {
        "kind": "dense" if arguments.dense else "pruned",
        "seed": arguments.seed,
        "seconds": seconds,
        "seconds by epoch": watch.seconds,
        "peak memory by epoch": watch.peak_memory,
        "validation": history["val_accuracy"][-1],
        "test": recipe.accuracy(slim, data.test),
        "before": costs_before,
        "after": recipe.costs(slim),
        "latency ms": {n: 1e3 * klp.paired_latencies([slim], n)[0] for n in (1, 256)},
        "sections by epoch": history.get("sections"),
        "log": [dict(entry) for entry in getattr(model, "pruning_log", [])],
    }


def other_callbacks(arguments):
    callbacks = [] if arguments.dense else [klp.PruneSections()]
    if arguments.backup:
        kind = keras.callbacks if arguments.dense else klp
        callbacks.append(kind.BackupAndRestore(arguments.backup))
    return callbacks


def make_model(data, arguments):
    gated = not arguments.dense
    prior = recipe.prior(arguments.price, data)
    network = networks.build(
        arguments.network, data, gated, arguments.seed, prior=prior
    )
    return klp.GatedModel(network) if gated else network


def network_of(model):
    return getattr(model, "network", model)


def compile_model(model, steps, arguments):
    schedule = keras.optimizers.schedules.CosineDecay(arguments.learning_rate, steps)
    model.compile(
        keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=not arguments.no_jit,
        steps_per_execution=arguments.steps_per_execution,
    )


class Watch(keras.callbacks.Callback):
    """Seconds and the largest use of GPU memory, epoch by epoch."""

    def __init__(self):
        super().__init__()
        self.seconds = []
        self.peak_memory = []

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self._start)
        if tf.config.list_physical_devices("GPU"):
            self.peak_memory.append(
                tf.config.experimental.get_memory_info("GPU:0")["peak"]
            )
            tf.config.experimental.reset_memory_stats("GPU:0")


def print_row(row):
    before, after = row["before"], row["after"]
    print(
        f"{row['kind']}, seed {row['seed']}: test {row['test']:.4f}, validation "
        f"{row['validation']:.4f}, parameters {after['parameters']:,} of "
        f"{before['parameters']:,}, MACs {after['macs']:,} of {before['macs']:,} "
        f"(/ {before['macs'] / after['macs']:.2f}), fit {row['seconds']:.0f} s"
    )


if __name__ == "__main__":
    main()
