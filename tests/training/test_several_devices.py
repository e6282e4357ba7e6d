"""Two replicas of a distribution strategy train, prune and go on as one."""

import subprocess
import sys

# Devices can only be set up before TensorFlow has started.
TWO_DEVICES = """
import tensorflow as tf
cpu, = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
import keras
import numpy as np
import keras_layer_prune as klp
"""


def run(script, folder):
    command = [sys.executable, "-c", TWO_DEVICES + script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


GO_ON = """
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    x = inputs = keras.Input((4,))
    for index in range(2):
        branch = keras.layers.Dense(4, "tanh", kernel_regularizer="l2")(x)
        gate = klp.BernoulliGate(initial_probability=1.0, name=f"gate_{index}")
        gate.trainable = False
        x = keras.layers.Add()([x, gate(branch)])
    model = klp.GatedModel(keras.Model(inputs, keras.layers.Dense(1)(x)))
    adam = keras.optimizers.Adam(0.0)
    model.compile(adam, "mse", jit_compile=False)

x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
y = np.abs(x[:, :1])
model.fit(x, y, batch_size=8, verbose=0)
model.decide(closed=[model.gates[1]])
logs = model.fit(x, y, batch_size=8, verbose=0).history
expected = np.mean((model.network(x, training=False) - y) ** 2)
np.testing.assert_allclose(logs["data_loss"], expected, rtol=1e-5)
assert logs["loss"][0] > logs["data_loss"][0]
assert model.optimizer.iterations.numpy() == 4
assert logs["sections"] == [1.0]
assert "Mirrored" in type(model.trainable_variables[0].value).__name__
"""


def test_replicas_go_on_together_with_the_smaller_network(tmp_path):
    run(GO_ON, tmp_path)


METRICS = """
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    inputs = keras.Input((4,))
    gate = klp.BernoulliGate(initial_probability=1.0, trainable=False)
    x = keras.layers.Add()([inputs, gate(keras.layers.Dense(4, "tanh")(inputs))])
    model = klp.GatedModel(keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(x)))
    root = keras.metrics.RootMeanSquaredError(name="root")
    metrics = [keras.metrics.AUC(name="auc"), root]
    sgd = keras.optimizers.SGD(0.0)
    model.compile(sgd, "binary_crossentropy", metrics=metrics, jit_compile=False)

x = np.random.default_rng(0).normal(size=(44, 4)).astype("float32")
y = (x[:, :1] + x[:, 1:2] > 0.5).astype("float32")
history = model.fit(x, y, batch_size=16, verbose=0).history
expected = model.evaluate(x, y, batch_size=16, verbose=0, return_dict=True)
for name in ("auc", "root", "data_loss"):
    np.testing.assert_allclose(history[name], expected[name], rtol=1e-5)
"""


def test_metrics_are_over_all_replicas(tmp_path):
    run(METRICS, tmp_path)


ROWS = """
from keras_layer_prune.training.step.replicas import rows_of_replica

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
parts = strategy.experimental_distribute_values_from_function(
    lambda context: tf.zeros((3 - context.replica_id_in_sync_group, 2))
)
found = strategy.run(tf.function(rows_of_replica), [parts])
values = [strategy.experimental_local_results(value) for value in found]
assert np.array(values).T.tolist() == [[0, 3, 5], [3, 2, 5]], values
"""


def test_each_replica_knows_its_part_of_a_batch_that_is_not_divided_evenly(tmp_path):
    run(ROWS, tmp_path)
