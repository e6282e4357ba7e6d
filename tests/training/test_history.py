"""What `fit` reports, against the same sums computed by NumPy."""

import keras
import numpy as np
import pytest
from small_models import (
    chain,
    compiled,
    data,
    freeze_gates,
    idle_model,
    prune_idle,
)

from keras_layer_prune import FlatteningPrior, GaussianScaleMixturePrior, PruneSections

X, Y = data(10)
RATE = 0.3


@keras.saving.register_keras_serializable("tests")
class AddsALoss(keras.layers.Layer):
    def call(self, inputs):
        self.add_loss(keras.ops.convert_to_tensor(RATE))
        return inputs


def network_with_added_losses(thetas=(1.0, 1.0)):
    network = chain(thetas, layer={"kernel_regularizer": keras.regularizers.L2(0.1)})
    outputs = AddsALoss()(network.output)
    return freeze_gates(keras.Model(network.input, outputs))


def added_losses(network):
    kernels = [network.get_layer(f"section_{i}").kernel.numpy() for i in range(2)]
    return RATE + 0.1 * sum(np.sum(kernel**2) for kernel in kernels)


def data_loss(network):
    return np.mean((network(X, training=False).numpy() - Y) ** 2)


def history_of_frozen_weights(network, **arguments):
    """An epoch in batches of different sizes, with a learning rate of zero."""
    model = compiled(network, keras.optimizers.SGD(0.0), **arguments)
    fitted = model.fit(X, Y, batch_size=4, validation_data=(X, Y), verbose=0)
    return {name: values[0] for name, values in fitted.history.items()}


def test_the_data_loss_leaves_out_what_layers_add():
    network = network_with_added_losses()
    history = history_of_frozen_weights(network)
    assert history["data_loss"] == pytest.approx(data_loss(network), rel=1e-5)
    assert history["val_data_loss"] == pytest.approx(data_loss(network), rel=1e-5)


def test_the_validation_loss_is_that_of_keras():
    network = network_with_added_losses()
    history = history_of_frozen_weights(network)
    expected = data_loss(network) + added_losses(network)
    assert history["val_loss"] == pytest.approx(expected, rel=1e-5)


def test_the_loss_is_all_that_is_minimised():
    network = network_with_added_losses()
    for index, price in enumerate((0.5, 2.0)):
        gate = network.get_layer(f"gate_{index}")
        gate.prior = FlatteningPrior(price * len(X))
    history = history_of_frozen_weights(
        network, weight_prior=GaussianScaleMixturePrior(3.0)
    )
    sections = [network.get_layer(f"section_{index}") for index in range(2)]
    squares = sum(np.sum(w**2) for layer in sections for w in layer.get_weights())
    expected = (
        data_loss(network)
        + added_losses(network)
        + 0.5 * 3.0 * squares / len(X)
        + 1.0 * 0.5
        + 1.0 * 2.0
    )
    assert history["loss"] == pytest.approx(expected, rel=1e-5)


def test_batches_count_by_their_examples():
    # The last batch has 2 examples and the others 4; a plain mean would differ.
    network = freeze_gates(chain((1.0, 1.0)))
    history = history_of_frozen_weights(network)
    losses = [np.mean((network(X[i : i + 4]) - Y[i : i + 4]) ** 2) for i in (0, 4, 8)]
    assert history["data_loss"] == pytest.approx(data_loss(network), rel=1e-5)
    assert abs(np.mean(losses) - data_loss(network)) > 1e-3


def test_sections_are_counted_and_expected_from_their_gates():
    history = history_of_frozen_weights(freeze_gates(chain((0.25, 0.5, 1.0))))
    assert history["sections"] == 3.0
    assert history["expected_sections"] == pytest.approx(1.75)


def test_decided_sections_count_when_they_stay():
    model = compiled(freeze_gates(chain((0.25, 0.5, 1.0))))
    first, second, _ = model.gates
    model.decide(closed=[first], opened=[second])
    history = model.fit(X, Y, verbose=0).history
    assert history["sections"] == [2.0]
    assert history["expected_sections"] == [2.0]


def test_every_epoch_says_how_many_sections_left():
    model = idle_model()
    history = prune_idle(model, PruneSections(verbose=0))
    removed = [entry for entry in model.pruning_log if entry["action"] == "removed"]
    expected = [0.0] * 8
    for entry in removed:
        expected[entry["epoch"]] += 1.0
    assert sum(expected) == 1.0
    assert history["removed"] == expected


@pytest.mark.parametrize("outputs", [1, 2])
def test_lists_of_metrics_are_those_of_keras(outputs):
    network = freeze_gates(chain())
    twice = {"a": network.output, "b": 2.0 * network.output}
    if outputs == 2:
        network = keras.Model(network.input, twice)
    metrics = ["mae"] if outputs == 1 else {"b": "mae"}
    model = compiled(network, metrics=metrics, train_size=len(X))
    network.compile("sgd", "mse", metrics=metrics)
    y = Y if outputs == 1 else {"a": Y, "b": Y}
    expected = network.evaluate(X, y, verbose=0)
    assert model.evaluate(X, y, verbose=0) == pytest.approx(expected, rel=1e-5)
    assert model.test_on_batch(X, y) == pytest.approx(expected, rel=1e-5)
    assert len(model.train_on_batch(X, y)) == len(expected)
    assert model.metrics_names == network.metrics_names
    assert "data_loss" in model.evaluate(X, y, verbose=0, return_dict=True)


def test_metrics_of_the_user_are_kept():
    model = compiled(freeze_gates(chain()), metrics=["mae"])
    history = model.fit(X, Y, validation_data=(X, Y), verbose=0).history
    own = {"loss", "data_loss", "mae"}
    gates = {"sections", "expected_sections"}
    assert set(history) == own | gates | {f"val_{name}" for name in own}


def test_the_loss_can_be_computed_without_the_inputs():
    model = compiled(network_with_added_losses())
    outputs = model(X)
    whole = model.compute_loss(X, Y, outputs)
    assert float(model.compute_loss(y=Y, y_pred=outputs)) == float(whole)
