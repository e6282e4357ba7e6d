"""Objects out of configs that somebody may have edited."""

import keras

from keras_layer_prune._checks import sentence


def take_part(config, name, custom_objects=None):
    """Take an argument that is an object out of a config, and make it.

    Args:
        config: Dictionary; the argument is removed from it.
        name: String, the argument.
        custom_objects: What Keras takes for classes that are not registered.

    Returns:
        The object, or None where the config has none.

    Raises:
        ValueError: If it cannot be made.
    """
    part = config.pop(name, None)
    try:
        return keras.saving.deserialize_keras_object(
            part, custom_objects=custom_objects
        )
    except Exception as error:
        raise ValueError(
            f"`{name}` cannot be made from its config: {sentence(error)} Take the "
            f"config that `get_config()` returns. Received: {name}={part!r}"
        ) from error
