"""One training as a process: on a device, on replicas, or as one of several workers.

    python distributed_training.py single|replicas|worker folder

writes what came of it to a JSON file in the folder; the draws of the gates, the data
and the schedule are the same for all. Workers find each other by `TF_CONFIG`.
"""

import json
import os
import pathlib
import signal
import sys

import tensorflow as tf

ROWS = 48
# Two sections that cannot earn theirs and leave on the way, two that stay to the end.
PRICES = (20.0, 0.05, 0.05, 20.0)


def strategy_of(kind):
    if kind == "worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if kind == "replicas":
        (cpu,) = tf.config.list_physical_devices("CPU")
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, two)
        return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    return tf.distribute.get_strategy()


def die_at(step):
    """A callback that ends this process without a warning, if a step is given."""
    import keras

    def look(batch, logs):
        nonlocal steps
        steps += 1
        if step and steps == int(step):
            os.kill(os.getpid(), signal.SIGKILL)

    steps = 0
    return keras.callbacks.LambdaCallback(on_train_batch_end=look)


def main(kind, folder, draws="row"):
    # Before anything else: it sets up what runs the devices.
    strategy = strategy_of(kind)

    import keras
    import numpy as np
    from small_models import chain, data

    import keras_layer_prune as klp
    from keras_layer_prune.training.step.replicas import is_chief

    keras.utils.set_random_seed(0)
    with strategy.scope():
        network = chain((0.9,) * 4, draws=draws)
        for index, price in enumerate(PRICES):
            prior = klp.FlatteningPrior(price * ROWS)
            network.get_layer(f"gate_{index}").prior = prior
        model = klp.GatedModel(network)
        model.compile(
            keras.optimizers.Adam(0.01), "mse", metrics=["mae"], jit_compile=False
        )
    x, y = data(ROWS)
    callbacks = [die_at(os.environ.get("KLP_KILL_AT"))]
    if "KLP_BACKUP" in os.environ:
        callbacks.append(klp.BackupAndRestore(os.environ["KLP_BACKUP"], save_freq=2))
    # Of the two that earn their price, one has to leave.
    prune = klp.PruneSections(settle_by=0.75, verbose=1, min_saving=0.0, max_macs=0.4)
    history = model.fit(
        x,
        y,
        batch_size=16,
        epochs=12,
        shuffle=False,
        verbose=0,
        validation_data=(x, y),
        validation_batch_size=16,
        callbacks=[prune, *callbacks],
    ).history
    report = {
        "history": {
            name: [float(v) for v in values] for name, values in history.items()
        },
        "log": [dict(entry) for entry in model.pruning_log],
        "weights": {v.path: np.asarray(v).tolist() for v in model.network.variables},
        "slots": [np.asarray(v).tolist() for v in model.optimizer.variables],
        "predictions": model.predict(x, batch_size=16, verbose=0).tolist(),
        "is_chief": is_chief(model.distribute_strategy),
    }
    index = (
        json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {}).get("index", 0)
    )
    path = pathlib.Path(folder) / f"{kind}_{draws}_{index}.json"
    path.write_text(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
