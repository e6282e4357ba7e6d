"""What layers with a gate hold."""

from keras_layer_prune.layers.gated_layer import GatedLayer
from keras_layer_prune.layers.gated_residual import GatedResidual


def parts_of(layer) -> list:
    """What a layer with a gate calls, in running order; nothing for other layers."""
    if isinstance(layer, GatedLayer):
        return [layer.layer, layer.gate]
    if isinstance(layer, GatedResidual):
        parts = (layer.shortcut, layer.section, layer.gate)
        return [part for part in parts if part is not None]
    return []
