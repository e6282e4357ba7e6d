"""Layers as users write them, for layers that hold another one."""

import keras


@keras.saving.register_keras_serializable("tests")
class LazyBlock(keras.layers.Layer):
    """No `build` and no `compute_output_shape`: Keras traces the `call`."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = keras.layers.Dense(units, activation="tanh")

    def call(self, inputs):
        return self.dense(inputs)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("tests")
class MaskedBlock(keras.layers.Layer):
    """Takes a mask as a second argument, as transformer blocks do."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, inputs, attention_mask=None):
        outputs = inputs * 2.0 * self.scale
        if attention_mask is None:
            return outputs
        mask = keras.ops.cast(attention_mask, outputs.dtype)
        return outputs * mask[..., None]


@keras.saving.register_keras_serializable("tests")
class UnknownShape(keras.layers.Layer):
    """Returns its input with a static shape that says little."""

    def call(self, inputs):
        flat = keras.ops.reshape(inputs, (-1,))
        return keras.ops.reshape(flat, keras.ops.shape(inputs))
