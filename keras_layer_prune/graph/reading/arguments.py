"""What a layer is called on, given by position or by name."""

import inspect


def first_argument(call):
    """The first argument of a call."""
    return call.args[0] if call.args else call.kwargs.get(_first_name(call.operation))


def by_position(layer, args, kwargs):
    """Arguments of a call, of which the first one is not given by its name."""
    if args:
        return args, kwargs
    first = _first_name(layer)
    rest = {name: value for name, value in kwargs.items() if name != first}
    return (kwargs[first],), rest


def _first_name(layer) -> str:
    return next(iter(inspect.signature(layer.call).parameters))
