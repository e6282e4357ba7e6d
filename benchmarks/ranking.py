"""How others choose the sections that leave: one number each, lowest first.

Every function takes a trained network, its sections as `find_sections` lists them, and
some training examples, and returns one score a section.
"""

import keras
import numpy as np
import tensorflow as tf


def at_random(network, sections, split, seed):
    return np.random.default_rng(seed).uniform(size=len(sections))


def last_first(network, sections, split, seed):
    return -np.arange(len(sections))


def scale_of_batch_normalisation(network, sections, split, seed):
    """Mean absolute scale of the section's normalisations (arXiv 1708.06519)."""
    return [
        np.mean(
            [
                np.abs(layer.gamma.numpy()).mean()
                for layer in layers_of(network, section)
                if isinstance(layer, keras.layers.BatchNormalization)
            ]
        )
        for section in sections
    ]


def taylor(network, sections, split, seed):
    """Squared products of weights and gradients, summed up (arXiv 1906.10771)."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    weights = [weights_of(network, section) for section in sections]
    scores = np.zeros(len(sections))
    for start in range(0, len(split.x), 256):
        x, y = split.x[start : start + 256], split.y[start : start + 256]
        with tf.GradientTape() as tape:
            cost = loss(y, network(x, training=False))
        gradients = tape.gradient(cost, [[w.value for w in group] for group in weights])
        for index, group in enumerate(weights):
            scores[index] += sum(
                float(tf.reduce_sum(tf.square(weight * gradient)))
                for weight, gradient in zip(group, gradients[index], strict=True)
            )
    return scores


def change_of_direction(network, sections, split, seed):
    """One minus the cosine of what comes in and what goes out (arXiv 2403.03853)."""
    sums = [network.get_layer(section.name) for section in sections]
    ends = [[layer.input[0], layer.output] for layer in sums]
    values = keras.Model(network.input, ends).predict(
        split.x[:1024], batch_size=256, verbose=0
    )
    return [1.0 - cosine(before, after) for before, after in values]


def cosine(before, after):
    """Mean over all places of the cosine between their channels."""
    product = np.sum(before * after, axis=-1)
    lengths = np.linalg.norm(before, axis=-1) * np.linalg.norm(after, axis=-1)
    return float(np.mean(product / np.maximum(lengths, 1e-12)))


def layers_of(network, section):
    return [network.get_layer(name) for name in section.layers]


def weights_of(network, section):
    return [w for layer in layers_of(network, section) for w in layer.trainable_weights]


RANKINGS = {
    "at random": at_random,
    "last first": last_first,
    "batch-norm scale": scale_of_batch_normalisation,
    "Taylor": taylor,
    "input-output similarity": change_of_direction,
}
