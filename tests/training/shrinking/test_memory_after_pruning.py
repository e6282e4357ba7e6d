"""What was removed is gone: variables, slots and the network that held them."""

import gc
import weakref

import keras
import pytest
import tensorflow as tf
from small_models import (
    FEATURES,
    actions,
    chain,
    compiled,
    data,
    freeze_gates,
    gate,
    idle_model,
    prune_idle,
)

from keras_layer_prune import PruneSections, strip_gates


def shapes(variables):
    return sorted(tuple(v.shape) for v in variables)


def test_variables_and_slots_are_those_of_the_small_network_built_by_hand():
    model = compiled(freeze_gates(chain((0.0, 1.0, 0.0))), "adam")
    x, y = data()
    model.fit(x, y, verbose=0)
    first, second, third = model.gates
    model.decide(closed=[first, third], opened=[second])
    model.fit(x, y, verbose=0)

    inputs = keras.Input((FEATURES,))
    section = keras.layers.Dense(FEATURES, "tanh")(inputs)
    outputs = keras.layers.Dense(1)(keras.layers.Add()([inputs, section]))
    by_hand = keras.Model(inputs, outputs)
    by_hand.compile("adam", "mse", run_eagerly=True)
    by_hand.fit(x, y, verbose=0)

    assert shapes(model.network.variables) == shapes(by_hand.variables)
    assert shapes(model.trainable_variables) == shapes(by_hand.trainable_variables)
    assert shapes(model.optimizer.variables) == shapes(by_hand.optimizer.variables)
    assert strip_gates(model.network).count_params() == by_hand.count_params()


def test_the_model_keeps_no_variable_of_a_removed_section():
    model = compiled(chain((0.0, 1.0)))
    model.decide(closed=[model.gates[0]])
    kept = {v.path for v in model.variables}
    assert not [path for path in kept if "section_0" in path or "gate_0" in path]
    assert [path for path in kept if "section_1/kernel" in path]


class LooksBack(keras.callbacks.Callback):
    """Counts, after each epoch, what of the first network and optimizer is alive."""

    def __init__(self):
        super().__init__()
        self.alive = []

    def on_train_batch_end(self, batch, logs=None):
        if not self.alive:
            model = self.model
            idle = model.network.get_layer("idle")
            self.seen = [
                weakref.ref(thing)
                for thing in (
                    model.network,
                    model.optimizer,
                    model.train_function,
                    idle,
                    idle.kernel.value,
                    # The memory itself, which a graph that took it in keeps as well.
                    idle.kernel.value.handle,
                )
            ]

    def on_epoch_begin(self, epoch, logs=None):
        if epoch:
            gc.collect()
            self.alive.append(sum(ref() is not None for ref in self.seen))


def test_the_old_network_is_freed_while_the_training_goes_on():
    model = idle_model(run_eagerly=False, optimizer=keras.optimizers.Adam(0.0))
    look = LooksBack()
    x, y = data(8)
    prune_idle(model, look, PruneSections(verbose=0), validation_data=(x, y))
    assert actions(model)["gate_idle"] == "removed"
    epoch = next(e["epoch"] for e in model.pruning_log if e["action"] == "removed")
    assert look.alive[:epoch] == [6] * epoch
    assert look.alive[epoch:] == [0] * (7 - epoch)


def once_removed(**ways):
    """A model that trained, was called in all ways and lost its first section.

    With it, whether the memory of that section's kernel and of its slots is free.
    """
    model = compiled(
        chain((1.0, 1.0), layer={"activation": "silu"}),
        "adam",
        **{"run_eagerly": False, **ways},
    )
    x, y = data(8)
    model.fit(x, y, verbose=0)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    lost = [
        weakref.ref(variable.value.handle)
        for variable in [*model.network.variables, *model.optimizer.variables]
        if "section_0" in variable.path and "kernel" in variable.path
    ]
    assert len(lost) == 3  # Adam has two slots for it
    model.decide(closed=[model.gates[0]])
    gc.collect()
    return model, all(ref() is None for ref in lost)


@pytest.mark.parametrize(
    "precision, ways",
    [
        ("float32", {}),
        ("float32", {"jit_compile": True}),
        ("float32", {"steps_per_execution": 2}),
        ("mixed_float16", {}),  # in which Keras steps in a branch
    ],
    ids=["plainly", "with_xla", "several_steps_at_once", "with_scaled_loss"],
)
def test_no_function_that_was_traced_keeps_the_memory(precision, ways, policy):
    policy(precision)
    model, is_free = once_removed(**ways)
    assert is_free
    x, y = data(8)
    model.fit(x, y, verbose=0)
    assert model.predict(x, verbose=0).shape == (8, 1)


class WithOwnFunction(keras.layers.Layer):
    """Calls a function of the user's, which is traced once for all networks."""

    @staticmethod
    @tf.function(jit_compile=False)
    def function(x):
        return tf.nn.silu(x)

    def call(self, x):
        return self.function(x)


def test_a_function_that_outlives_a_network_still_has_its_gradient():
    inputs = keras.Input((FEATURES,))
    x = WithOwnFunction()(keras.layers.Dense(FEATURES, name="first")(inputs))
    x = keras.layers.Add()([x, gate("gate")(keras.layers.Dense(FEATURES)(x))])
    model = compiled(keras.Model(inputs, x), "sgd", run_eagerly=False)
    x, _ = data(8)
    model.evaluate(x, x, verbose=0)  # of which it needs no gradient
    model.decide(closed=model.gates)
    before = model.network.get_layer("first").kernel.numpy()
    model.fit(x, x, verbose=0)
    assert (model.network.get_layer("first").kernel.numpy() != before).any()


def network_of_words():
    words = keras.Input((2,), dtype="string")
    x = keras.layers.StringLookup(vocabulary=["a", "b"])(words)
    x = keras.layers.Flatten()(keras.layers.Embedding(3, FEATURES)(x))
    branch = keras.layers.Dense(2 * FEATURES, "relu")(x)
    return keras.Model(words, keras.layers.Add()([x, gate("gate")(branch)]))


def test_a_vocabulary_does_not_keep_networks_alive():
    model = compiled(network_of_words())
    old = weakref.ref(model.network)
    embeddings = weakref.ref(model.network.layers[2].embeddings.value)
    model.decide(closed=model.gates)
    gc.collect()
    assert old() is None
    assert embeddings() is None
