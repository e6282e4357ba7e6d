"""The model that trains weights and gates together: `GatedModel`."""

import collections
import contextlib
import functools
import inspect

import keras
import tensorflow as tf

from keras_layer_prune import _keras_private as private
from keras_layer_prune._checks import (
    checked_config,
    checked_new_path,
    one_of,
    whole_number,
)
from keras_layer_prune.graph.building import make_weights
from keras_layer_prune.graph.checks import check_gated_network, check_graph, check_names
from keras_layer_prune.graph.gates import find_gates, free_gates, kept_sections
from keras_layer_prune.graph.rebuild import strip_gates
from keras_layer_prune.layers._configs import take_part
from keras_layer_prune.training.backup.data import backed_up
from keras_layer_prune.training.fit_callbacks import (
    callbacks_of,
    gate_movers,
    noted_epochs,
    put_watchers_last,
)
from keras_layer_prune.training.guards.before_fit import check_before_fit
from keras_layer_prune.training.guards.checks import (
    check_free_names,
    check_reduction,
    checked_decision,
    checked_pruning_log,
    checked_step_size,
    checked_weight_prior,
)
from keras_layer_prune.training.macs_budget import lift_surcharges
from keras_layer_prune.training.shrinking.decisions import decision_entries
from keras_layer_prune.training.shrinking.optimizer_state import (
    check_carry_over,
    check_unused,
)
from keras_layer_prune.training.shrinking.shrink import shrink
from keras_layer_prune.training.step.gate_clock import GateClock
from keras_layer_prune.training.step.gate_gradients import GATE_GRADIENTS, check_draws
from keras_layer_prune.training.step.gate_update import DEFAULT_PRICE
from keras_layer_prune.training.step.replicas import reducible, replicas
from keras_layer_prune.training.step.step_graphs import StepGraphs
from keras_layer_prune.training.step.train_size import (
    checked_train_size,
    infer_train_size,
    known_train_size,
    number_of_rows,
    told_train_size,
)
from keras_layer_prune.training.step.training_step import training_step
from keras_layer_prune.training.step.weights_under_prior import (
    among,
    default_weight_prior,
    places_of,
    trained_weights,
    weights_at,
    weights_behind_gates,
)
from keras_layer_prune.variational.gaussian_scale_mixture_prior import (
    GaussianScaleMixturePrior,
)


@keras.saving.register_keras_serializable("keras_layer_prune")
class GatedModel(private.BuiltBeforeItsStep):
    """Trains a network with gates: its weights, and which sections it keeps.

    The optimizer steps the weights; each gate's probability takes a projected
    gradient step of its own and ends at exactly 0 or 1. With `PruneSections` among
    the callbacks, closed sections leave the network during `fit`.

    Source: arXiv 2406.04549.

    Args:
        network: Functional or built sequential model with a `BernoulliGate` on the
            branch of each section that may go.
        pruning_log: What was decided of `network` before, as the attribute is. With
            it, a network may have no gates left.
        **kwargs: Arguments of `keras.Model`, as `name`.

    Attributes:
        network: The current network; smaller after each pruning.
        pruning_log: List of dictionaries, one for each section that was decided:
            `event`, `step`, `epoch`, `section`, `within` (names of sections around
            it), `action` (`"removed"` or `"kept"`), `theta`, `benefit`, `price` and
            `surcharge` (nats per example; the last is above 0 while
            `PruneSections(max_macs=...)` closes a gate), `parameters`, `macs`. Of an
            event the costs of what was removed add up to what the network lost.

    Raises:
        TypeError: If `network` is not a Keras model.
        ValueError: If it has no gates, is not functional, calls a gate twice, has two
            gates of the same name or two layers with the same weights, or a gate could
            cut an output off from the inputs.

    Example:

    >>> model = keras_layer_prune.GatedModel(network)
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> model.fit(x, y, epochs=20, callbacks=[keras_layer_prune.PruneSections()])
    >>> model.export("served")
    """

    only_in_dictionaries = ("data_loss", "expected_sections", "sections")

    def __init__(self, network, pruning_log=(), **kwargs):
        # A network whose gates are all decided has none left, and can still train.
        pruning_log = checked_pruning_log(pruning_log)
        if pruning_log:
            check_graph(network)
            check_names(find_gates(network))
        else:
            check_gated_network(network)
        # By its policy Keras decides whether the loss has to be scaled.
        kwargs.setdefault("dtype", network.dtype_policy)
        super().__init__(**kwargs)
        private.leave_inputs_alone(self)
        make_weights(network)
        self.network = network
        self.clock = GateClock(name="gate_clock")
        # Not a plain list, which Keras would track as state of the model.
        self._pruning_log = collections.UserList(pruning_log)
        self.hold_under_prior(weights_behind_gates(network))
        # As `compile` leaves them where nothing is given.
        self.given_train_size = self.train_size = None
        self.gate_step_size = self.weight_prior = None
        self.gate_gradient = "first_order"
        self._data_loss = keras.metrics.Mean(name="data_loss")
        self.estimator_seed = keras.random.SeedGenerator(0)
        self._gates_of_step: frozenset = frozenset()
        self.step_graphs = StepGraphs()
        self.built = True

    def hold_under_prior(self, weights):
        """Have the prior on weights act on some of the network's, and no others.

        Args:
            weights: List of variables of `network`.
        """
        # Not a plain list, which Keras would track as weights of the model's own.
        self.weights_under_prior = collections.UserList(weights)

    @property
    def pruning_log(self) -> list[dict]:
        """What was decided so far, an entry for each section; see above."""
        return self._pruning_log.data

    @property
    def gates(self) -> list:
        """Gates of the current network, those that are still to be decided."""
        return find_gates(self.network)

    @property
    def metrics_names(self):
        """Names of what `evaluate` returns as a list, as Keras has them."""
        return [n for n in super().metrics_names if n not in self.only_in_dictionaries]

    @property
    def output_names(self):
        """Names of the network's outputs, by which losses can be given."""
        # A copy: Keras keeps it with the loss, and the network's own list knows all its
        # layers.
        return list(private.graph_of(self.network).output_names)

    def build(self, input_shape=None):
        """Do nothing: the network is built already."""
        self.built = True

    @property
    def has_own_call(self) -> bool:
        """Whether a subclass has a `call` of its own."""
        return type(self).call is not GatedModel.call

    def call(self, inputs, training=None):
        """Call the network; while training, its gates draw."""
        return self.network(inputs, training=training)

    def summary(self, *args, **kwargs):
        """Print the summary of the current network."""
        return self.network.summary(*args, **kwargs)

    def compile(
        self,
        *args,
        train_size: int | None = None,
        gate_step_size=None,
        gate_gradient: str = "first_order",
        weight_prior: GaussianScaleMixturePrior | None = None,
        **kwargs,
    ):
        """Configure the training.

        Args:
            *args: Arguments of `keras.Model.compile`.
            train_size: Int, number of training examples, on which priors depend that
                are not the defaults. None: inferred by `fit`, which reads the first
                batch of data that does not tell its size.
            gate_step_size: Step size of the gates, probability per nat per example: a
                float, or a `keras.optimizers.schedules.LearningRateSchedule` of the
                training step. None: `PruneSections` chooses it from the length of the
                training, and for each gate from its price and from how large what
                minibatches say of it is.
            gate_gradient: `"first_order"` averages the slopes of the loss at closed
                and at open gates, in the same backward pass; `"straight_through"` is
                that without the balance, and biased; `"flip"` and `"antithetic"` are
                unbiased and cost one more forward pass.
            weight_prior: `GaussianScaleMixturePrior` on the weights of gated
                sections, also of those that have been decided and stay. None: one of
                precision `0.001 * train_size`, an L2 penalty of 0.0005 on the loss.
            **kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            TypeError: If an argument is not of its type.
            ValueError: If `train_size` or `gate_step_size` is not above 0,
                `gate_gradient` is not known or needs gates that draw per minibatch,
                the optimizer has trained other weights or cannot be carried over to a
                smaller network, a loss is not reduced to one number, or an output or a
                metric has a name of which the logs have one already.
        """
        one_of("gate_gradient", gate_gradient, GATE_GRADIENTS)
        check_draws(gate_gradient, free_gates(self.network))
        train_size = checked_train_size(train_size)
        gate_step_size = checked_step_size(gate_step_size)
        weight_prior = checked_weight_prior(weight_prior)
        given = inspect.signature(keras.Model.compile).bind(self, *args, **kwargs)
        self._check_given(given.arguments)
        # Nothing is set before all is checked.
        self.gate_gradient = gate_gradient
        self.given_train_size = self.train_size = train_size
        self.gate_step_size = gate_step_size
        self.weight_prior = weight_prior
        self._hold_new_weights()
        super().compile(*args, **kwargs)

    def _check_given(self, given):
        """Raise if what `keras.Model.compile` would take cannot be trained with."""
        optimizer = given.get("optimizer")
        check_unused(optimizer, self.trainable_variables)
        if optimizer is not None:
            optimizer = keras.optimizers.get(optimizer)
            check_carry_over(optimizer, self.trainable_variables)
        check_reduction(given.get("loss"))
        metrics = [given.get("metrics"), given.get("weighted_metrics")]
        # The last one is what `PruneSections` adds.
        own = (*self.only_in_dictionaries, "removed")
        check_free_names(self.network, metrics, own)

    def _hold_new_weights(self):
        """Hold what sections got since the model was made, as by `enable_lora`."""
        held = [*self.weights_under_prior, *weights_behind_gates(self.network)]
        self.hold_under_prior(among({id(weight) for weight in held}, self.network))

    def get_compile_config(self):
        """Arguments of `compile`, with which a loaded model is compiled again."""
        serialize = keras.saving.serialize_keras_object
        if not self.compiled:
            return {}
        own = {
            "train_size": self.given_train_size,
            "gate_step_size": serialize(self.gate_step_size),
            "gate_gradient": self.gate_gradient,
            "weight_prior": serialize(self.weight_prior),
        }
        return {**super().get_compile_config(), **own}

    def compile_from_config(self, config):
        """Compile with what `get_compile_config` returned."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    @functools.wraps(keras.Model.fit)
    def fit(self, *args, **kwargs):
        """Train weights and gates; the arguments are those of `keras.Model.fit`."""
        bound = inspect.signature(keras.Model.fit).bind(self, *args, **kwargs)
        given = bound.arguments
        if self.compiled:
            self._set_train_size(given)
            check_before_fit(self, given)
            self._renew_step()
            self._rest_without_callback(given)
        put_watchers_last(given)
        before, decided = noted_epochs(self), len(self.pruning_log)
        try:
            with backed_up(self, given):
                return super().fit(*bound.args[1:], **bound.kwargs)
        finally:
            # An interrupted training has one, too; one that did not begin has none.
            if noted_epochs(self) is not before:
                self._tell_history(decided, given)

    def _tell_history(self, decided, given):
        """For `write_report`: what an epoch of the history means.

        Epochs are counted anew in each `fit`, and validation need not be in each. One
        that goes on from a backup began with the backup.
        """
        # Not for good: a `History` may serve another training.
        first = self.history.__dict__.pop("decided_before", decided)
        self.history.decisions = range(first, len(self.pruning_log))
        self.history.validation_freq = given.get("validation_freq", 1)

    def _renew_step(self):
        """Have the step traced again if a gate is not what it was in the last `fit`.

        Whether it moves, and its price, are constants of the compiled step.
        """
        gates = {(gate.name, gate.trainable, self.price(gate)) for gate in self.gates}
        if not gates <= self._gates_of_step:
            self.train_function = None
        # Keras would track a set that can change.
        self._gates_of_step = frozenset(gates)

    def _rest_without_callback(self, given):
        """Forget what an earlier `fit` wanted, which may not have come to its end.

        It may have been stopped or interrupted, or come with a file.
        """
        if not gate_movers(callbacks_of(given)):
            self.clock.rest()
            lift_surcharges(self.network)

    def _set_train_size(self, given):
        """Find out how many training examples there are, if anything depends on it."""
        data, split = given.get("x"), given.get("validation_split") or 0.0
        if given.get("validation_data") is not None:
            split = 0.0
        size = self.given_train_size or told_train_size(data, split)
        if self._depends_on_size() and not size:
            size = infer_train_size(data, split)
        if size != self.train_size:
            # It is a constant of the compiled step.
            self.train_function = None
        self.train_size = size

    def _depends_on_size(self) -> bool:
        """Whether a prior is the user's own; what the defaults cost does not."""
        priors = [self.weight_prior, *(gate.prior for gate in self.gates)]
        return any(prior is not None for prior in priors)

    def price(self, gate) -> float:
        """What a section has to take off the training loss, in nats per example."""
        if gate.prior is None:
            return DEFAULT_PRICE
        return gate.prior.log_gamma / known_train_size(self.train_size)

    def gate_cost(self):
        """Cost of the gates that may be open, in nats per example; scalar tensor."""
        costs = [self.price(gate) * gate.probability.value for gate in self.gates]
        return tf.add_n([tf.zeros([]), *costs])

    def weight_cost(self):
        """Cost of the sections' weights, in nats per example; scalar tensor."""
        weights = trained_weights(self.weights_under_prior, self.network)
        if self.weight_prior is None:
            # What it costs each example is the same for any number of them.
            train_size = self.train_size or 1
            prior = default_weight_prior(train_size)
        else:
            train_size = known_train_size(self.train_size)
            prior = self.weight_prior
        # Weights may be of several precisions; half of one cannot hold a sum of many.
        costs = [prior.cost(tf.cast(weight.value, tf.float32)) for weight in weights]
        return tf.add_n([tf.zeros([]), *costs]) / train_size

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The loss of the data plus what layers add; the former is tracked alone."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        # What layers add belongs to sections in part, and jumps when one leaves.
        added = sum(tf.reduce_sum(tf.cast(term, loss.dtype)) for term in self.losses)
        self._data_loss.update_state(
            loss * replicas() - added,
            sample_weight=number_of_rows((x, y_pred)),
        )
        return loss

    @contextlib.contextmanager
    def unmeasured(self):
        """Scope in which the same examples pass again, and no metric counts them."""
        before = [tf.identity(variable.value) for variable in self.metrics_variables]
        yield
        for variable, value in zip(self.metrics_variables, before, strict=True):
            variable.assign(value)

    def train_step(self, data):
        """One step of the weights by the optimizer, one projected step of the gates.

        Args:
            data: What the data set yields: `x`, `(x, y)` or `(x, y, sample_weight)`.

        Returns:
            Dictionary of the metrics, with `expected_sections`, the sum of the gates'
            probabilities, and `sections`, how many the network still has.
        """
        self.step_graphs.note()
        return reducible(training_step(self, data))

    def test_step(self, data):
        """One step of an evaluation; see `keras.Model.test_step`."""
        self.step_graphs.note()
        return reducible(super().test_step(data))

    def predict_step(self, data):
        """One step of a prediction; see `keras.Model.predict_step`."""
        self.step_graphs.note()
        return super().predict_step(data)

    @property
    def sections(self) -> int:
        """How many sections the network still has, decided or not."""
        return len(kept_sections(self.pruning_log)) + len(self.gates)

    def decide(self, closed=(), opened=(), epoch: int | None = None) -> list[dict]:
        """Make the network smaller, now: sections of closed gates leave it.

        `PruneSections` calls this; inside or outside of `fit`, training goes on where
        it was. Every slot of the optimizer is carried over.

        Args:
            closed: Gates whose sections are removed.
            opened: Gates that are removed and leave their sections. A section inside
                of one that is removed leaves with it all the same, decided or not.
            epoch: Int, noted in `pruning_log`.

        Returns:
            List of the new entries of `pruning_log`.

        Raises:
            TypeError: If `closed` or `opened` is no list, or `epoch` no int.
            ValueError: If `closed` or `opened` holds what is no gate of the network,
                a gate with a prior has no known price, as there is neither
                `compile(train_size=...)` nor an earlier `fit`, or the network or the
                optimizer cannot be carried over; then nothing has changed.
        """
        closed, opened = checked_decision(self.gates, closed, opened)
        epoch = None if epoch is None else whole_number("epoch", epoch, 0)
        entries = decision_entries(self, closed, opened, epoch)
        shrink(self, closed, opened)
        self.pruning_log.extend(entries)
        return entries

    def export(self, filepath, *args, **kwargs):
        """Export the network without its gates; see `keras.Model.export`.

        Args:
            filepath: Path that does not exist yet.
            *args: Further arguments of `keras.Model.export`.
            **kwargs: Further arguments of `keras.Model.export`, such as
                `format="onnx"`, which needs `pip install keras_layer_prune[onnx]`.

        Raises:
            FileExistsError: If `filepath` exists.
            ImportError: If a format needs a package that is not installed.
            ValueError: If gates are between 0 and 1.
        """
        path = checked_new_path(filepath)
        slim = strip_gates(self.network)
        # As ONNX, Keras exports models only that have been called.
        slim(slim.input)
        try:
            slim.export(path, *args, **kwargs)
        except ModuleNotFoundError as error:
            raise ImportError(
                f"`export` needs the package `{error.name}`, which is not installed. "
                "For ONNX: `pip install 'keras_layer_prune[onnx]'`."
            ) from error

    def get_config(self):
        """Config with the current network and the pruning log."""
        given = super().get_config()
        # Constructors of subclasses may take a name and no more.
        if self.trainable:
            given.pop("trainable", None)
        if self.dtype_policy == self.network.dtype_policy:
            given.pop("dtype", None)
        own = {
            "network": keras.saving.serialize_keras_object(self.network),
            "pruning_log": [dict(entry) for entry in self.pruning_log],
            "places_under_prior": places_of(self.weights_under_prior, self.network),
        }
        return {**given, **own}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """A model from its config."""
        config = checked_config(config)
        places = config.pop("places_under_prior", None)
        model = cls(take_part(config, "network", custom_objects), **config)
        if places is not None:
            model.hold_under_prior(weights_at(places, model.network))
        return model
