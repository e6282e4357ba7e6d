"""What was removed is gone: variables, slots and the network that held them."""

import gc
import weakref

import keras
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
    assert look.alive[:epoch] == [5] * epoch
    assert look.alive[epoch:] == [0] * (7 - epoch)


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
