"""The states of the generators of random numbers that a process shares."""

import random

import numpy as np

from keras_layer_prune import _keras_private as private


def random_states() -> dict:
    """States of Python's, NumPy's and Keras's global generators, as JSON keeps them.

    Those of gates and layers such as `Dropout` are variables of the model.
    """
    version, internal, gauss = random.getstate()
    kind, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": [version, list(internal), gauss],
        "numpy": [kind, np.asarray(keys).tolist(), *rest],
        "keras": private.global_seed(),
    }


def set_random_states(states):
    """Set what `random_states` returned."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, np.array(keys, "uint32"), *rest))
    private.set_global_seed(states["keras"])
