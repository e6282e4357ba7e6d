"""Which sections leave beside those that do not earn their price: `MacsBudget`."""

from keras_layer_prune.graph.costs.anatomy import count_macs, layers_at_work
from keras_layer_prune.graph.gates import free_gates, gated_sections
from keras_layer_prune.training.step.gate_update import scales


class MacsBudget:
    """Closes the gates whose sections earn least for their multiply-accumulates.

    Args:
        model: `GatedModel`.
        share: Float in `[0, 1]`, what may be left of the multiply-accumulates that
            the network had before any section left.

    Raises:
        ValueError: If more is left without all sections that may go.
    """

    def __init__(self, model, share):
        self._model = model
        self._share = share
        removed = [e for e in model.pruning_log if e["action"] == "removed"]
        self._whole = self._macs([]) + sum(entry.get("macs", 0) for entry in removed)
        self._check_reach()

    def charge(self, tightness, closed=()) -> list:
        """Have gates close, by a surcharge on their price, for the network to fit.

        Args:
            tightness: Float in `[0, 1]`, how much of what has to leave is due.
            closed: Gates that close without it.

        Returns:
            List of gates beside `closed`.
        """
        due = self._whole * (1.0 - (1.0 - self._share) * tightness)
        over = self._over(due, list(closed))
        for gate in free_gates(self._model.network):
            gate.surcharge.assign(self._surcharge(gate) if gate in over else 0.0)
        return over

    def _over(self, due, closed) -> list:
        """Gates to close, beside those in `closed`, for `due` MACs to be left."""
        network = self._model.network
        macs = {section.gate: section.macs for section in gated_sections(network)}
        rest = [g for g in free_gates(network) if g not in closed and macs[g]]
        rest.sort(key=lambda gate: float(gate.benefit.numpy()) / macs[gate])
        over: list = []
        while rest and self._macs([*closed, *over]) > due:
            over.append(rest.pop(0))
        # Where large ones had to go, too, small ones that went before may stay.
        for gate in reversed(over):
            others = [other for other in over if other is not gate]
            if self._macs([*closed, *others]) <= due:
                over = others
        return over

    def _surcharge(self, gate) -> float:
        """What makes a gate close at least as fast as one that earns nothing."""
        speed = float(scales([gate], [self._model.price(gate)])[0])
        return max(0.0, float(gate.benefit.numpy())) + speed

    def _macs(self, closed) -> int:
        return count_macs(layers_at_work(self._model.network, set(closed)))

    def _check_reach(self):
        every_one = free_gates(self._model.network)
        least = self._macs(every_one) / max(self._whole, 1)
        if least > self._share:
            raise ValueError(
                f"Without all sections that may leave, {least:.4f} of the network's "
                "MACs are left, and `max_macs` asks for no more than "
                f"{self._share}. Give `PruneSections` a larger `max_macs`, or put "
                "gates on more of the network: `find_sections` says what each section "
                "costs."
            )
