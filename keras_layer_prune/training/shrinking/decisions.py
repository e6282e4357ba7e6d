"""What is written down when a gate is decided."""

from keras_layer_prune.graph.costs.anatomy import layers_at_work, saved
from keras_layer_prune.graph.gates import (
    gated_sections,
    layers_behind,
    left_for_budget,
    theta_of,
)


def decision_entries(model, closed, opened, epoch) -> list[dict]:
    """Entries of `GatedModel.pruning_log` for gates that are about to go.

    A section inside of one that is removed leaves with it, whatever was said of its
    own gate.

    Args:
        model: `GatedModel`, its network still the old one.
        closed: Gates whose sections will be removed.
        opened: Gates whose sections will stay, if those around them do.
        epoch: Int or None.

    Returns:
        List of dictionaries that can be written as JSON.
    """
    sections = gated_sections(model.network)
    lost = layers_behind(closed, model.network)
    removed = [*closed, *(gate for gate in model.gates if gate in lost)]
    kept = [gate for gate in opened if gate not in removed]
    costs = _costs(model.network, _innermost_first(removed, sections), kept)
    step = model.clock.now()
    event = 1 + max((entry.get("event", -1) for entry in model.pruning_log), default=-1)
    return [
        {
            "event": event,
            "step": step,
            "epoch": epoch,
            "section": gate.name,
            "within": [around.name for around in sections if gate in around.layers],
            "action": action,
            "theta": theta_of(gate),
            "benefit": float(gate.benefit.numpy()),
            "price": model.price(gate),
            "surcharge": float(gate.surcharge.numpy()),
            **costs[gate],
        }
        for action, gates in (("removed", removed), ("kept", kept))
        for gate in gates
    ]


def _innermost_first(gates, sections) -> list:
    """Gates in an order in which each comes before those around it."""
    size = {section.gate: len(section.layers) for section in sections}
    return sorted(gates, key=size.__getitem__)


def _costs(network, removed, kept) -> dict:
    """What the network loses with each section, and what those that stay have then.

    What several removed sections share is booked once, with the last of them.
    """
    costs = {}
    closed: set = set()
    left = layers_at_work(network)
    for gate in removed:
        closed.add(gate)
        rest = layers_at_work(network, closed)
        costs[gate] = saved(left, rest)
        left = rest
    for gate in kept:
        costs[gate] = saved(left, layers_at_work(network, closed | {gate}))
    return costs


def describe(entry) -> str:
    """One line about one decided section, for people."""
    name, theta = entry["section"], f"theta {entry['theta']:.2f}"
    costs = f"{entry['parameters']:,} parameters, {entry['macs']:,} MACs"
    around = ", ".join(f"`{name}`" for name in entry.get("within", ()))
    inside = f", inside of {around}" if around else ""
    if entry["action"] == "removed":
        why = ", but did not fit `max_macs`" if left_for_budget(entry) else ""
        return (
            f"removed `{name}`{inside}: it took {entry['benefit']:.4f} nats per "
            f"example off the loss and cost {entry['price']:.4f}{why}, {theta}; "
            f"saves {costs}"
        )
    return (
        f"kept `{name}`{inside}: it takes {entry['benefit']:.4f} nats per example off "
        f"the loss and costs {entry['price']:.4f}, {theta}; has {costs}"
    )
