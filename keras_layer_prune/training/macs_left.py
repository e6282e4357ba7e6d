"""How much work a network is without some sections, once it is served: `MacsLeft`."""

from keras_layer_prune.graph.costs.anatomy import count_macs, layers_at_work
from keras_layer_prune.graph.gates import find_gates, free_gates, theta_of
from keras_layer_prune.graph.rebuild import served_macs


class MacsLeft:
    """Multiply-accumulates of a network in training without some of its gates.

    Where sections leave, `strip_gates` folds the linear layers beside them. What that
    saves, only a rebuilt network tells, which takes tenths of a second. So counts are
    kept, and networks in which nothing is ever folded are counted as they stand.
    """

    def __init__(self):
        # By names of gates: a network that has been replaced must not be held here.
        self._served: dict[tuple, int] = {}
        self._folds: dict[frozenset, bool] = {}

    def fits(self, network, closed, due) -> bool:
        """Whether no more than `due` multiply-accumulates are left.

        Args:
            network: Functional or built sequential model.
            closed: List of gates, beside those that are decided.
            due: Number.
        """
        # Folding is never more work.
        return _unfolded(network, closed) <= due or self.count(network, closed) <= due

    def count(self, network, closed) -> int:
        """Multiply-accumulates per example that are left; see `fits`."""
        if not self._may_fold(network):
            return _unfolded(network, closed)
        return self._count_served(network, closed)

    def _may_fold(self, network) -> bool:
        gates = _names(find_gates(network))
        if gates not in self._folds:
            self._folds[gates] = any(
                self._count_served(network, closed) < _unfolded(network, closed)
                for closed in ([], free_gates(network))
            )
        return self._folds[gates]

    def _count_served(self, network, closed) -> int:
        closed = [*closed, *_decided(network)]
        key = _names(find_gates(network)), _names(closed)
        if key not in self._served:
            self._served[key] = served_macs(network, closed)
        return self._served[key]


def _unfolded(network, closed) -> int:
    return count_macs(layers_at_work(network, {*closed, *_decided(network)}))


def _decided(network) -> list:
    """Gates that nothing moves and that are closed."""
    return [g for g in find_gates(network) if not g.trainable and not theta_of(g)]


def _names(gates) -> frozenset:
    return frozenset(gate.name for gate in gates)
