"""Trace a network again without what its closed gates make zero.

Every call of the graph is repeated on new tensors with fresh copies of its layers.
A tensor that is zero is not computed: an addition leaves it out, and whatever led
only to it is never called again. A rectifier that comes to stand right behind another
one goes too: it changes nothing. Linear layers that come to stand side by side get a
`Seam` between them, for `fold_seams`. Layers are copied rather than shared, so that
the old network, and the weights of what was removed, can be freed.
"""

import keras
from keras import tree

from keras_layer_prune import _keras_private as private
from keras_layer_prune.graph.reading.masks import masks_of
from keras_layer_prune.graph.reading.status import Status, tensor_statuses
from keras_layer_prune.graph.rebuilding import identities
from keras_layer_prune.graph.rebuilding.calls_again import CallsAgain
from keras_layer_prune.graph.rebuilding.carried_state import copy_flags, copy_state
from keras_layer_prune.graph.rebuilding.changes import Changes
from keras_layer_prune.graph.rebuilding.copies import Copies
from keras_layer_prune.graph.rebuilding.seams import Seams
from keras_layer_prune.graph.rebuilding.values import Values


class Retrace:
    """One rewriting of one network.

    Args:
        network: Functional or built sequential model.
        closed: `BernoulliGate` layers that become zero.
        opened: `BernoulliGate` layers that become the identity.
        inserted: Dictionary of what is put into the graph; see `Changes`.
        instead: Dictionary of what is called in the place of layers; see `Changes`.

    Attributes:
        pairs: List of pairs (old layer, new layer), each variable of the one
            standing at the same place in the other.
    """

    def __init__(self, network, closed=(), opened=(), inserted=None, instead=None):
        self._network = network
        self._changes = Changes(set(closed), set(opened), inserted or {}, instead or {})
        self._masks = masks_of(network)
        self._seams = Seams()
        self._copies = Copies(network, self._changes, self._rebuild_graph)
        self.pairs = self._copies.pairs

    def rebuild(self) -> keras.Model:
        """The rewritten network, with the weights and output names of the old one."""
        return self._rebuilt(copy_state)

    def rebuild_without_weights(self) -> keras.Model:
        """The same but for the values of its weights, which take time to copy."""
        return self._rebuilt(copy_flags)

    def _rebuilt(self, carry_over):
        new_network = self._rebuild_graph(self._network)
        for old, new in self.pairs:
            carry_over(old, new)
        return new_network

    def _rebuild_graph(self, model, inputs=None, name=None):
        """Rebuild a model.

        Args:
            model: Functional or sequential model.
            inputs: List of statuses of its inputs; all live if None.
            name: String, of the new model. None: that of the old one.
        """
        functional = private.graph_of(model)
        self._copies.enter(functional)
        statuses = tensor_statuses(functional, self._changes.closed, inputs)
        new_inputs = tree.map_structure(
            private.new_input, private.input_structure(functional)
        )
        values = Values(
            functional.inputs, tree.flatten(new_inputs), statuses, self._masks
        )
        CallsAgain(
            functional, values, self._changes, self._copies, self._seams
        ).make_all()
        if inputs is None:
            self._keep_names(functional.outputs, values)
        else:
            self._hand_on(tree.flatten(new_inputs), functional.outputs, values)
        new_outputs = tree.map_structure(
            values.tensor, _kept_outputs(functional, statuses, inputs)
        )
        new_model = keras.Model(new_inputs, new_outputs, name=name or model.name)
        # By it Keras decides whether the loss has to be scaled.
        new_model.dtype_policy = model.dtype_policy
        if not model.trainable:
            # Only then: the setter acts on every layer inside. What trains all the
            # same is set apart when the copies get their state.
            new_model.trainable = False
        return new_model

    def _keep_names(self, outputs, values):
        """Put outputs under their old names, by which losses may have been given."""
        gone = [
            old
            for old in values.live(outputs)
            if not self._copies.have(private.producer(old))
        ]
        layers: dict = {}
        for old in gone:
            name, new = private.producer(old).name, values.tensor(old)
            if private.producer(new).name != name:
                # One for all outputs of an operation that was called several times.
                same = keras.layers.Identity(name=name, dtype=new.dtype)
                same = layers.setdefault(name, same)
                values.update([old], [same(new)])

    def _hand_on(self, new_inputs, outputs, values):
        """Put an identity behind inputs of a nested model that have become its outputs.

        Called on another static shape, such a model is an error in Keras.
        """
        given = {id(x): x for x in new_inputs if None in x.shape[1:]}
        for old in values.live(outputs):
            same = given.get(id(values.tensor(old)))
            if same is not None:
                name = f"{private.producer(same).name}_again"
                handed = identities.named(same, self._copies.free_name(name))
                values.update([old], [handed])


def _kept_outputs(functional, statuses, inputs):
    structure = private.output_structure(functional)
    outputs = tree.flatten(structure)
    left = [x for x in outputs if statuses[id(x)] != Status.ZERO]
    is_nested = inputs is not None
    # The caller drops what is zero by itself; it never asks for these outputs.
    return left if is_nested and len(left) < len(outputs) else structure
