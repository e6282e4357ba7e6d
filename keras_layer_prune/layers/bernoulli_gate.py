"""The layer that makes a section removable: `BernoulliGate`."""

import keras
import tensorflow as tf

from keras_layer_prune._checks import (
    checked_config,
    fraction,
    one_of,
    optional_seed,
)
from keras_layer_prune.layers._configs import take_part
from keras_layer_prune.layers._draws import Draws, active_draws
from keras_layer_prune.variational.estimators import balancing_weight, straight_through
from keras_layer_prune.variational.flattening_prior import FlatteningPrior

DRAWS = ("row", "batch")


@keras.saving.register_keras_serializable("keras_layer_prune")
class BernoulliGate(keras.layers.Layer):
    """Multiplies a branch by one Bernoulli variable whose probability is learned.

    Put it at the end of the nonlinear branch of a residual connection, after the
    last normalisation. While training, the gate is open (1) or closed (0) at random;
    otherwise it multiplies by its probability. `GatedModel` moves that probability
    to exactly 0 or 1, and `PruneSections` removes what closed.

    Source: arXiv 2406.04549.

    Args:
        prior: `FlatteningPrior`, what the section has to earn. None: `GatedModel`
            sets the price from the size of the training set.
        initial_probability: Float in `[0, 1]`.
        draws: `"row"` draws once per example, `"batch"` once per minibatch (the
            names are those of stochastic depth in torchvision). Rows give the gate a
            steadier gradient.
        seed: Int, or None for a random one.

    Attributes:
        probability: float32 scalar variable in `[0, 1]`, theta of the paper. It is
            not among `trainable_variables`, so no optimizer, weight decay or
            clipping touches it.
        benefit: float32 scalar variable. Running mean of what the section takes off
            the training loss, in nats per example.
        second_moment: float32 scalar variable. Running mean of the square of what a
            minibatch says of the benefit, in squared nats per example.
        surcharge: float32 scalar variable. What an open gate costs beside its price,
            in nats per example: above 0 while `PruneSections(max_macs=...)` closes it.

    Input shape:
        Any, with the batch first.

    Output shape:
        Same as the input.

    Raises:
        ValueError: If `initial_probability` is outside `[0, 1]`, or `draws` is not
            one of its two names.

    Example:

    >>> x = inputs = keras.Input((16,))
    >>> branch = keras.layers.Dense(16, activation="relu")(x)
    >>> x = keras.layers.Add()([x, keras_layer_prune.BernoulliGate()(branch)])
    >>> network = keras.Model(inputs, x)
    """

    def __init__(
        self,
        prior: FlatteningPrior | None = None,
        initial_probability: float = 0.9,
        draws: str = "row",
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if prior is not None and not isinstance(prior, FlatteningPrior):
            raise TypeError(
                "`prior` must be a `FlatteningPrior` or None. Received: "
                f"prior={prior!r}. For a price of 600 nats write "
                "`FlatteningPrior(log_gamma=600.0)`."
            )
        self.prior = prior
        self.initial_probability = fraction("initial_probability", initial_probability)
        self.draws = one_of("draws", draws, DRAWS)
        self.seed = optional_seed(seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.supports_masking = True
        start = self.initial_probability
        self.probability = self._float32_scalar("probability", start)
        self.benefit = self._float32_scalar("benefit", 0.0)
        self.second_moment = self._float32_scalar("second_moment", 0.0)
        self.surcharge = self._float32_scalar("surcharge", 0.0)

    def _float32_scalar(self, name, value):
        # `autocast=False`: a half precision policy would round theta, and with it
        # every small step.
        return self.add_weight(
            name=name,
            shape=(),
            initializer=keras.initializers.Constant(value),
            dtype="float32",
            autocast=False,
            trainable=False,
            aggregation="only_first_replica",
        )

    def build(self, input_shape=None):
        """Do nothing."""
        # The variables exist already; a gate can be read before it is called.
        self.built = True

    def call(self, inputs, training=False):
        """Multiply by a draw if `training`, else by the probability."""
        self._check_dtype(inputs)
        if training:
            return self._drawn(inputs)
        return inputs * tf.cast(self._theta(), inputs.dtype)

    def _theta(self):
        return tf.convert_to_tensor(self.probability.value)

    def _drawn(self, inputs):
        """The inputs times zeros and ones, with theta's gradient."""
        theta = self._theta()
        draws = active_draws() or Draws()
        chance = draws.chance(theta) if self.trainable else theta
        if self.draws == "row":
            uniform = draws.uniform(tf.shape(inputs)[0], self.seed_generator)
        else:
            uniform = keras.random.uniform(
                (1,), dtype="float32", seed=self.seed_generator
            )
        # `uniform` is in [0, 1): a chance of 1 is always open, of 0 always closed.
        sample = tf.cast(uniform < chance, tf.float32)
        sample = draws.settle_sample(self, uniform, sample)
        weight = balancing_weight(sample, chance) if draws.balanced else 1.0
        return straight_through(inputs, sample, theta, weight)

    def compute_output_spec(self, inputs, training=False):
        """What comes out, or an error for numbers that no probability can weigh."""
        self._check_dtype(inputs)
        return super().compute_output_spec(inputs, training=training)

    def _check_dtype(self, inputs):
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if not keras.backend.is_float_dtype(dtype):
            raise TypeError(
                f"`{self.name}` cannot weigh {dtype} numbers by its "
                "probability. Cast them before the gate, with "
                '`keras.ops.cast(x, "float32")`.'
            )

    def compute_output_shape(self, input_shape):
        """Shape of the output for a shape of the input."""
        return input_shape

    def get_config(self):
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "prior": keras.saving.serialize_keras_object(self.prior),
            "initial_probability": self.initial_probability,
            "draws": self.draws,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        """An object from the config of another one."""
        config = checked_config(config)
        return cls(prior=take_part(config, "prior"), **config)
