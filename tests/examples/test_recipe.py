"""The recipe trains on what it is told to, and its schedule ends with the training."""

import datasets
import keras
import numpy as np
import pytest
import recipe


@pytest.fixture
def data():
    x = np.random.default_rng(0).integers(1, 255, (10, 6, 6, 1)).astype("uint8")
    split = datasets.Split(x, np.arange(10) % 3)
    return datasets.Data(split, split, split)


@pytest.fixture
def network():
    inputs = keras.Input((6, 6, 1))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))


@pytest.mark.parametrize(
    "seed, steps", [(None, 2 * 3), (0, 2 * 2)], ids=["as they are", "augmented"]
)
def test_the_learning_rate_falls_to_zero_in_as_many_steps_as_there_are(
    data, network, seed, steps
):
    history, _ = recipe.fit(network, data, 2, 4, 0.5, augmentation_seed=seed, verbose=0)
    assert len(history["val_accuracy"]) == 2
    assert network.optimizer.iterations == steps
    np.testing.assert_allclose(network.optimizer.learning_rate, 0.0, atol=1e-7)


def test_augmented_images_are_not_those_of_the_data_set(data, network):
    def losses(seed):
        """Of an epoch in one batch, at a learning rate of 0."""
        keras.utils.set_random_seed(0)
        history, _ = recipe.fit(
            network, data, 1, 10, 0.0, augmentation_seed=seed, verbose=0
        )
        return history["loss"]

    np.testing.assert_allclose(losses(None), losses(None))
    assert abs(losses(None)[0] - losses(0)[0]) > 1.0
