"""How much work a network is without some sections: `MacsLeft`."""

from keras_layer_prune.graph.costs.anatomy import count_macs, layers_at_work
from keras_layer_prune.graph.gates import find_gates, theta_of
from keras_layer_prune.graph.linear.neighbours import may_meet
from keras_layer_prune.graph.rebuild import served_macs


class MacsLeft:
    """Multiply-accumulates of a network in training without some of its gates.

    Where sections leave, `strip_gates` folds the linear layers beside them. What that
    saves, only a rebuilt network tells, which takes tenths of a second for each choice
    of gates. So it is asked only where linear layers meet, and answers are kept.
    """

    def __init__(self):
        # By names of gates: a network that has been replaced must not be held here.
        self._served: dict[tuple, int] = {}

    def fits(self, network, closed, due) -> bool:
        """Whether no more than `due` multiply-accumulates are left, once it is served.

        Args:
            network: Functional or built sequential model.
            closed: List of gates, beside those that are decided.
            due: Number.
        """
        # Folding is never more work.
        return self.unfolded(network, closed) <= due or (
            self.served(network, closed) <= due
        )

    def unfolded(self, network, closed) -> int:
        """Multiply-accumulates per example that are left in training; see `fits`."""
        return count_macs(layers_at_work(network, {*closed, *_decided(network)}))

    def served(self, network, closed) -> int:
        """Multiply-accumulates per example that `strip_gates` leaves; see `fits`."""
        closed = [*closed, *_decided(network)]
        if not may_meet(network, closed):
            return self.unfolded(network, closed)
        key = _names(find_gates(network)), _names(closed)
        if key not in self._served:
            self._served[key] = served_macs(network, closed)
        return self._served[key]


def _decided(network) -> list:
    """Gates that nothing moves and that are closed."""
    return [g for g in find_gates(network) if not g.trainable and not theta_of(g)]


def _names(gates) -> frozenset:
    return frozenset(gate.name for gate in gates)
