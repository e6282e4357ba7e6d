"""How the examples and benchmarks train a classifier, and how they judge it."""

import time

import augmentation
import batches
import keras
import numpy as np
import tensorflow as tf

import keras_layer_prune as klp

# On a CPU it takes longer to compile a step, again after each pruning, than trainings
# of minutes get out of it.
USES_XLA = bool(tf.config.list_physical_devices("GPU"))


def fit(
    model,
    data,
    epochs,
    batch_size,
    learning_rate,
    augmentation_seed=None,
    weight_prior=None,
    **arguments,
):
    """Train with Adam and a cosine schedule on the cross-entropy of logits.

    Args:
        model: Network or `GatedModel`.
        data: `datasets.Data`.
        epochs: Int.
        batch_size: Int.
        learning_rate: Float, at the start.
        augmentation_seed: Int, to crop and flip the training images at random. None:
            they are taken as they are.
        weight_prior: `GaussianScaleMixturePrior` of a `GatedModel`. None: its default.
        **arguments: Arguments of `fit`, as `callbacks`.

    Returns:
        The dictionary of the history, and the seconds that `fit` took.
    """
    train = _training_batches(data.train, batch_size, augmentation_seed)
    steps = len(train) * epochs
    own = {} if weight_prior is None else {"weight_prior": weight_prior}
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    model.compile(
        keras.optimizers.Adam(schedule),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=USES_XLA,
        **own,
    )
    start = time.perf_counter()
    history = model.fit(
        train,
        epochs=epochs,
        # They are shuffled already, which Keras would warn of.
        shuffle=False,
        validation_data=batches.in_order(data.validation, batch_size),
        **arguments,
    )
    return history.history, time.perf_counter() - start


def _training_batches(split, batch_size, augmentation_seed):
    if augmentation_seed is None:
        return batches.shuffled(split, batch_size)
    return augmentation.training_batches(split, batch_size, augmentation_seed)


def prior(price, data):
    """The prior of gates at a price in nats per training example; None: the default."""
    return None if price is None else klp.FlatteningPrior(price * len(data.train.x))


def accuracy(network, split):
    """Share of the examples of a `datasets.Split` that a network gets right."""
    logits = network.predict(split.x, batch_size=256, verbose=0)
    return float(np.mean(logits.argmax(axis=-1) == split.y))


def costs(network):
    """Parameters and multiply-accumulate operations of a network, as a dictionary."""
    summary = klp.summarize(network, latency=False)
    return {"parameters": summary.parameters, "macs": summary.macs}
