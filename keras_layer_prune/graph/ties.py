"""Weights that are used in two places, which a rebuilt network could not keep tied."""

import dis
import types

import keras
from keras import tree

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.costs.anatomy import layers_at_work
from keras_layer_prune.graph.rebuilding.cloning import users_functions

_WHY = (
    "Whenever sections leave, layers are made again with weights of their own, and the "
    "two would train apart."
)


def check_no_ties(network):
    """Raise if a weight of a network is used elsewhere than in its layer.

    One layer that is called several times is no such case.

    Args:
        network: Functional or built sequential model.

    Raises:
        ValueError: If two layers hold one weight, or a raw operation or a function
            has one of a layer.
    """
    owners = _owners(network)
    for layer in private.all_layers(network):
        _check_operands(layer, owners)
    for layer, _, function in users_functions(network):
        _check_function(layer, function, owners)


def _owners(network) -> dict[int, keras.layers.Layer]:
    """The layer of each weight, by the weight's `id`."""
    owners: dict[int, keras.layers.Layer] = {}
    for layer in {use.layer: None for use in layers_at_work(network)}:
        for weight in layer.weights:
            other = owners.setdefault(id(weight), layer)
            if other is not layer:
                raise ValueError(
                    f"Layers `{other.name}` and `{layer.name}` hold the same weight, "
                    f"`{weight.path}`. {_WHY} Call one layer in both places, as "
                    "`keras.layers.ReversibleEmbedding` is, or give each of the two "
                    "its own weights."
                )
    return owners


def _check_operands(model, owners):
    """Raise if a call in a model takes a weight of a layer."""
    graph = private.graph_of(model)
    for call in private.calls(graph) if graph else ():
        for value in tree.flatten((call.args, call.kwargs)):
            if id(value) in owners:
                _refuse(call.operation, value, owners)


def _check_function(layer, function, owners):
    """Raise if what a function sees around it holds a weight of another layer."""
    for value in _seen_by(function):
        for weight in _weights(value):
            owner = owners.get(id(weight))
            # What is made of a layer's own parts is made again with it.
            if owner is not None and layer not in private.all_layers(owner):
                _refuse(layer, weight, owners)


def _seen_by(function) -> list:
    """What a function finds around it, in closures and as globals."""
    cells = function.__closure__ or ()
    names = _names_of_globals(function.__code__)
    return [_in_cell(cell) for cell in cells] + [
        function.__globals__[name] for name in names if name in function.__globals__
    ]


def _in_cell(cell):
    try:
        return cell.cell_contents
    except ValueError:
        # Nothing has been assigned yet, and maybe never will be.
        return None


def _names_of_globals(code) -> set[str]:
    """Names that code, and the functions inside it, look up as globals."""
    # `co_names`, which `inspect.getclosurevars` reads, has attributes among them.
    names = {
        instruction.argval
        for instruction in dis.get_instructions(code)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    inside = (x for x in code.co_consts if isinstance(x, types.CodeType))
    return names.union(*map(_names_of_globals, inside))


def _weights(value) -> list:
    if isinstance(value, keras.Variable):
        return [value]
    return value.weights if isinstance(value, keras.layers.Layer) else []


def _refuse(operation, weight, owners):
    raise ValueError(
        f"`{operation.name}` takes the weight `{weight.path}` of the layer "
        f"`{owners[id(weight)].name}`. {_WHY} Let one layer do both, and call it in "
        "both places, as `keras.layers.ReversibleEmbedding` is."
    )
