"""What is written down when a gate is decided."""

from keras_layer_prune.graph.gates import gated_sections
from keras_layer_prune.graph.rebuild import theta_of


def decision_entries(model, closed, opened, epoch) -> list[dict]:
    """Entries of `GatedModel.pruning_log` for gates that are about to go.

    Args:
        model: `GatedModel`, its network still the old one.
        closed: Gates whose sections will be removed.
        opened: Gates whose sections will stay.
        epoch: Int or None.

    Returns:
        List of dictionaries that can be written as JSON.
    """
    sections = {section.gate: section for section in gated_sections(model.network)}
    step = model.clock.now()
    event = 1 + max((entry.get("event", -1) for entry in model.pruning_log), default=-1)
    return [
        {
            "event": event,
            "step": step,
            "epoch": epoch,
            "section": gate.name,
            "action": action,
            "theta": theta_of(gate),
            "benefit": float(gate.benefit.numpy()),
            "price": model.price(gate),
            "parameters": sections[gate].parameters,
            "macs": sections[gate].macs,
        }
        for action, gates in (("removed", closed), ("kept", opened))
        for gate in gates
    ]


def describe(entry) -> str:
    """One line about one decided section, for people."""
    name, theta = entry["section"], f"theta {entry['theta']:.2f}"
    costs = f"{entry['parameters']:,} parameters, {entry['macs']:,} MACs"
    if entry["action"] == "removed":
        return (
            f"removed `{name}`: it took {entry['benefit']:.4f} of the "
            f"{entry['price']:.4f} nats per example it costs, {theta}; saves {costs}"
        )
    return (
        f"kept `{name}`: it takes {entry['benefit']:.4f} nats per example off the loss "
        f"and costs {entry['price']:.4f}, {theta}; has {costs}"
    )
