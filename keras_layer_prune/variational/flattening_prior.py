"""The flattening hyper-prior on a gate's prior probability, and its cost."""

import keras
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from keras_layer_prune._checks import checked_config, finite_number


def flattening_cost(theta, log_gamma):
    """Cost of a Bernoulli gate under the flattening hyper-prior.

    Equals `min{ KL(Bernoulli(theta) || Bernoulli(pi)) - log p(pi) }` over `pi`,
    less its value at `theta = 0`, for `p(pi) ~ 1 / (1 + (gamma - 1) * pi)`.
    Being linear in `theta`, it puts no barrier before 0 or 1.

    Args:
        theta: Tensor of any shape, in `[0, 1]`. Probability of an open gate.
        log_gamma: Float. What an open gate must earn, in nats for the whole
            training set.

    Returns:
        Tensor shaped like `theta`, in nats for the whole training set.
    """
    return theta * log_gamma


@keras.saving.register_keras_serializable("keras_layer_prune")
class FlatteningPrior:
    """Hyper-prior that makes every gate deterministic, and prices it.

    A gate `xi ~ Bernoulli(pi)` has a prior probability `pi` of its own, and `pi`
    has the density `p(pi) = (gamma - 1) / log(gamma) / (1 + (gamma - 1) * pi)` on
    `[0, 1]`. With the best `pi` for each posterior probability `theta`, the gate
    costs `theta * log_gamma`: the same slope everywhere, so that training ends at
    exactly 0 or 1 from any start.

    A section stays if it lowers the training loss, summed over the training set,
    by more than `log_gamma` nats.

    Source: arXiv 2406.04549 for the idea; the density is derived, as the only one
    whose cost is linear.

    Args:
        log_gamma: Float. What an open gate must earn, in nats for the whole
            training set. Positive values favour closing, negative ones keeping.

    Raises:
        ValueError: If `log_gamma` is NaN or infinite.
        TypeError: If `log_gamma` is not a number.

    Example:

    >>> prior = keras_layer_prune.FlatteningPrior(log_gamma=600.0)
    >>> prior.cost(0.5)
    300.0
    >>> hyper_prior = prior.hyper_prior()      # a tfp.distributions.Distribution
    """

    def __init__(self, log_gamma: float):
        self.log_gamma = finite_number("log_gamma", log_gamma)

    def cost(self, theta):
        """Cost of a gate that is open with probability `theta`.

        Args:
            theta: Float or tensor of any shape, in `[0, 1]`.

        Returns:
            Like `theta`, in nats for the whole training set.
        """
        return flattening_cost(theta, self.log_gamma)

    def hyper_prior(self, dtype="float64") -> tfd.Distribution:
        """The density of `pi`: a uniform variable seen through an exponential.

        `pi = (gamma ** u - 1) / (gamma - 1)` with `u` uniform on `[0, 1]`.

        Args:
            dtype: Floating dtype of the distribution. At large `log_gamma` most of
                the mass lies closer to 0 than `float32` resolves.

        Returns:
            A scalar `tfp.distributions.Distribution` on `[0, 1]` with `log_prob`,
            `cdf`, `sample` and `mean`.
        """
        return _TiltedUniform(self.log_gamma, dtype=dtype)

    def get_config(self):
        """The arguments of the constructor."""
        return {"log_gamma": self.log_gamma}

    @classmethod
    def from_config(cls, config):
        """An object from the config of another one."""
        return cls(**checked_config(config))


class _TiltedUniform(tfd.TransformedDistribution):
    """Uniform through `expm1(log_gamma * u) / expm1(log_gamma)`, with a mean."""

    def __init__(self, log_gamma, dtype, name="FlatteningHyperPrior"):
        parameters = {"log_gamma": log_gamma, "dtype": dtype, "name": name}
        self._log_gamma = tf.constant(log_gamma, dtype)
        zero, one = tf.zeros([], dtype), tf.ones([], dtype)
        super().__init__(
            tfd.Uniform(zero, one),
            _exponential_of(self._log_gamma) if log_gamma != 0.0 else tfb.Identity(),
            name=name,
        )
        self._parameters = parameters

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _mean(self):
        """`1 / log(gamma) - 1 / (gamma - 1)`; 1/2 in the limit of gamma 1."""
        log_gamma = self._log_gamma
        # Near 0 both terms are huge and cancel; the series is exact to 1e-12 there.
        is_small = tf.abs(log_gamma) < 1e-2
        safe = tf.where(is_small, tf.ones_like(log_gamma), log_gamma)
        exact = 1.0 / safe - 1.0 / tf.math.expm1(safe)
        series = 0.5 - log_gamma / 12.0 + log_gamma**3 / 720.0
        return tf.where(is_small, series, exact)


def _exponential_of(log_gamma):
    """Bijector `u -> expm1(log_gamma * u) / expm1(log_gamma)` of `[0, 1]`.

    `gamma` itself overflows at prices that are usual (600 nats and more). For a
    positive price the quotient is taken between logarithms instead, where
    `log(expm1(y))` is the inverse of softplus.
    """
    if log_gamma > 0.0:
        log_of_range = tfb.Softplus().inverse(log_gamma)
        return tfb.Chain(
            [
                tfb.Exp(),
                tfb.Shift(-log_of_range),
                tfb.Invert(tfb.Softplus()),
                tfb.Scale(log_gamma),
            ]
        )
    range_of_pi = tf.math.expm1(log_gamma)
    return tfb.Chain([tfb.Scale(1.0 / range_of_pi), tfb.Expm1(), tfb.Scale(log_gamma)])
