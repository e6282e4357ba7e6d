"""Which sections leave beside those that do not earn their price: `MacsBudget`."""

import bisect
import math

from keras_layer_prune.graph.costs.anatomy import count_macs, layers_at_work
from keras_layer_prune.graph.gates import find_gates, free_gates, gated_sections
from keras_layer_prune.training.macs_left import MacsLeft
from keras_layer_prune.training.schedule import exact
from keras_layer_prune.training.step.gate_update import scales


class MacsBudget:
    """Closes the gates whose sections earn least for their multiply-accumulates.

    Args:
        model: `GatedModel`.
        share: Float in `[0, 1]`, what may be left of the multiply-accumulates that
            the network had before any section left; or None, if all of them may.
    """

    def __init__(self, model, share):
        self._model = model
        self._share = exact(1.0 if share is None else share)
        self._left = MacsLeft()
        removed = [e for e in model.pruning_log if e["action"] == "removed"]
        now = count_macs(layers_at_work(model.network))
        self._whole = now + sum(entry.get("macs", 0) for entry in removed)

    def check(self):
        """Raise if too much is left without all sections that may leave."""
        for complaint in self.complaints(free_gates(self._model.network)):
            raise ValueError(complaint)

    def complaints(self, closed) -> list[str]:
        """A line if too much is left without some gates."""
        if self._fits(closed, self._due(1.0)):
            return []
        left = self._left.served(self._model.network, closed)
        # Rounded up, so that it can be asked for.
        share = math.ceil(1e4 * left / self._whole) / 1e4
        return [
            "`max_macs` cannot be kept: without the sections that may leave, "
            f"{share:.4f} of the network's MACs are left. Received: "
            f"max_macs={float(self._share)}. Give `PruneSections` a larger one, put "
            "gates on more of the network (`find_sections` says what each section "
            "costs), or let gates move, if there are some, that are frozen"
        ]

    def over(self, tightness=1.0, closed=()) -> list:
        """Gates that have to close for the network to fit.

        Args:
            tightness: Float in `[0, 1]`, how much of what has to leave is due.
            closed: Gates that close anyway.

        Returns:
            List of gates, none of them in `closed`.
        """
        due = self._due(tightness)
        if self._fits(closed, due):
            return []
        # Of those that have to go in the end, and of no others.
        return self._until(due, self._fewest(closed), closed, self._fits)

    def charge(self, over):
        """Have some gates close, by a surcharge on their price, and no others."""
        for gate in free_gates(self._model.network):
            gate.surcharge.assign(self._surcharge(gate) if gate in over else 0.0)

    def _fewest(self, closed) -> list:
        """Gates that have to close in the end, those that earn least first."""
        due, macs = self._due(1.0), self._macs_of_sections()
        order = self._by_earnings(closed, macs)
        over = self._until(due, order, closed, self._fits_unfolded)
        # Where large ones had to go, too, small ones that went before may stay.
        over = self._spared(over, over, closed, self._fits_unfolded)
        # Where linear layers are folded there may be room for more.
        room = due - self._left.served(self._model.network, [*closed, *over])
        small = [gate for gate in over if macs[gate] <= room]
        return self._spared(small, over, closed, self._fits)

    def _macs_of_sections(self) -> dict:
        sections = gated_sections(self._model.network)
        return {section.gate: section.macs for section in sections}

    def _by_earnings(self, closed, macs) -> list:
        """Gates by what their sections earn for each multiply-accumulate."""

        def earned(gate):
            # What saves nothing by itself may save something together with others.
            return not macs[gate], float(gate.benefit.numpy()) / (macs[gate] or 1)

        free = free_gates(self._model.network)
        return sorted((g for g in free if g not in closed), key=earned)

    def _until(self, due, order, closed, fits) -> list:
        """The first gates of a list without which no more than `due` MACs are left."""

        def is_enough(count):
            return fits([*closed, *order[:count]], due)

        # More closed gates do not leave more, but for a few that folding may.
        return order[: bisect.bisect_left(range(len(order)), True, key=is_enough)]

    def _spared(self, gates, over, closed, fits) -> list:
        """Gates that have to close, less those of a list that need not."""
        for gate in reversed(gates):
            others = [other for other in over if other is not gate]
            if fits([*closed, *others], self._due(1.0)):
                over = others
        return over

    def _due(self, tightness):
        return self._whole * (1 - (1 - self._share) * exact(tightness))

    def _fits(self, closed, due) -> bool:
        return self._left.fits(self._model.network, closed, due)

    def _fits_unfolded(self, closed, due) -> bool:
        return self._left.unfolded(self._model.network, closed) <= due

    def _surcharge(self, gate) -> float:
        """What makes a gate close at least as fast as one that earns nothing."""
        price = self._model.price(gate)
        speed = float(scales([gate], [price])[0])
        return max(0.0, float(gate.benefit.numpy())) + max(0.0, -price) + speed


def lift_surcharges(network):
    """Charge no gate more than its price, whatever an earlier training did."""
    for gate in find_gates(network):
        gate.surcharge.assign(0.0)
