"""A model's network made as small as it was, from the record of its decisions.

A network is a function of the one that the script builds and of what was decided since.
So a backup needs no config of it: nothing is made from a file, no class has to be
registered, and a `Lambda` layer is the one of the script.
"""

import itertools

from keras_layer_prune.training.shrinking.shrink import shrink


def replay(model, entries):
    """Decide a model's gates as a pruning log says, event by event.

    Args:
        model: `GatedModel` whose network has all gates that the entries name.
        entries: List of entries of a `pruning_log`.
    """
    for _, event in itertools.groupby(entries, lambda entry: entry["event"]):
        gates = {gate.name: gate for gate in model.gates}
        chosen: dict[str, list] = {"removed": [], "kept": []}
        for entry in event:
            chosen[entry["action"]].append(gates[entry["section"]])
        shrink(model, chosen["removed"], chosen["kept"])


def decisions(entries) -> list[tuple]:
    """What the entries of a pruning log did to the network, without figures."""
    return [(e["section"], e["action"], e.get("event")) for e in entries]


def renamed(value, names):
    """A copy of JSON data with some strings, keys included, exchanged for others.

    Args:
        value: What JSON can hold.
        names: Dictionary from string to string.
    """
    if isinstance(value, dict):
        return {names.get(k, k): renamed(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return [renamed(part, names) for part in value]
    return names.get(value, value) if isinstance(value, str) else value
