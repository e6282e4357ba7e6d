"""The Gaussian scale mixture that a gate and a normal prior make together."""

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from keras_layer_prune._checks import (
    checked_config,
    fraction,
    positive_number,
)

# The spike at exactly 0 has no density; a normal this narrow stands in for it, so
# that the mixture is an ordinary continuous distribution.
_SPIKE_SCALE = 1e-3


def normal_cost(weights, precision):
    """Negative log density of weights under a normal prior, less its constant.

    `-log Normal(weights; 0, 1 / precision)`, up to a constant. It is not multiplied
    by the gate's probability: the prior on the weights does not depend on the gate,
    and so the weights of a closed section decay to 0.

    Args:
        weights: Tensor of any shape.
        precision: Float above 0, one over the variance of the prior.

    Returns:
        Scalar tensor, in nats for the whole training set.
    """
    # One operation for half the sum of squares: this runs for every weight in a step.
    return precision * tf.nn.l2_loss(weights)


@keras.saving.register_keras_serializable("keras_layer_prune")
class GaussianScaleMixturePrior:
    """Prior on the weights of gated sections: a spike at 0 and a normal slab.

    An effective weight is `xi * w` with `w ~ Normal(0, 1 / precision)` and
    `xi ~ Bernoulli(pi)`. Over `xi`, that is a Gaussian scale mixture.

    Source: arXiv 2406.04549.

    Args:
        precision: Float above 0. One over the variance of the slab. Divided by the
            number of training examples, it is the strength of an L2 penalty per
            example.

    Raises:
        ValueError: If `precision` is not finite and above 0.
        TypeError: If `precision` is not a number.

    Example:

    >>> prior = keras_layer_prune.GaussianScaleMixturePrior(precision=1.0)
    >>> mixture = prior.distribution(0.5)      # a tfp.distributions.Distribution
    """

    def __init__(self, precision: float):
        self.precision = positive_number("precision", precision)

    def cost(self, weights):
        """Cost of weights, in nats for the whole training set.

        Args:
            weights: Tensor of any shape.

        Returns:
            Scalar tensor.
        """
        return normal_cost(weights, self.precision)

    def distribution(self, pi: float, dtype="float64") -> tfd.Distribution:
        """The distribution of an effective weight `xi * w`.

        Args:
            pi: Float in `[0, 1]`. Probability that the gate is open.
            dtype: Floating dtype of the distribution.

        Returns:
            A scalar `tfp.distributions.Distribution`. The spike at 0 is a normal
            one thousandth as wide as the slab, so that it has a density.
        """
        pi = tf.constant(fraction("pi", pi), dtype)
        slab = tf.constant(self.precision**-0.5, dtype)
        return tfd.MixtureSameFamily(
            tfd.Categorical(probs=tf.stack([1.0 - pi, pi])),
            tfd.Normal(tf.zeros([2], dtype), tf.stack([_SPIKE_SCALE * slab, slab])),
        )

    def get_config(self):
        """The arguments of the constructor."""
        return {"precision": self.precision}

    @classmethod
    def from_config(cls, config):
        """An object from the config of another one."""
        return cls(**checked_config(config))
