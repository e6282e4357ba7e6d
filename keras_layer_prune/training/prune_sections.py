"""The callback that takes closed sections out of the network: `PruneSections`."""

import sys
import warnings
from numbers import Integral

import keras

from keras_layer_prune._checks import checked_config, fraction, optional_fraction
from keras_layer_prune.graph.gates import (
    free_gates,
    left_for_budget,
    saved_share,
    theta_of,
)
from keras_layer_prune.training import diagnostics
from keras_layer_prune.training.gated_model import GatedModel
from keras_layer_prune.training.macs_budget import MacsBudget, lift_surcharges
from keras_layer_prune.training.progress import Progress
from keras_layer_prune.training.schedule import LATEST_SETTLING, default_min_saving
from keras_layer_prune.training.shrinking.decisions import describe
from keras_layer_prune.training.step.gate_update import AVERAGED_STEPS, heading
from keras_layer_prune.training.step.replicas import is_chief
from keras_layer_prune.training.timetable import Timetable
from keras_layer_prune.variational.attraction import closed_state_attracts

# How often in an epoch the gates' probabilities are noted for plots, and closed
# sections looked for.
_LOOKS_PER_EPOCH = 8

# What changes while training, beside the trajectories, the progress and the timetable.
_STATE = ("_removed", "_skipped", "_charged")


@keras.saving.register_keras_serializable("keras_layer_prune")
class PruneSections(keras.callbacks.Callback):
    """Removes sections during `fit`, and decides all gates well before its end.

    Gates hold during the first `hold` of the training. Then they move, under a price
    that rises to the full one, so that the least useful section leaves first. At
    `settle_by` all are decided by where they are going: by their probability and, after
    100 steps in which they moved, by whether they earn their price. What is left trains
    on without noise. Closed sections leave as soon as they make up `min_saving` of the
    network.

    Source: arXiv 2406.04549; the schedule is this package's.

    Args:
        settle_by: Float in `(0, 1]`, or None. The fraction of the training after which
            every gate is decided. None: a tenth of the training after `hold`, or 800
            steps after it if that is later; 0.5 at the latest, and 0.5 where the length
            of an epoch is not known from the start.
        hold: Float in `[0, settle_by)`, the fraction during which gates do not move.
        every: Int or None. Look for closed sections every so many steps. None: eight
            times in an epoch, from step 100 on. They are looked for at the end of an
            epoch in any case.
        min_saving: Float in `[0, 1]`, or None. Closed sections wait for each other, at
            most until `settle_by`, until they hold this share of the network's MACs:
            each removal makes Keras trace the step again, which takes seconds. None:
            a fifth, or what saves 100 steps until `settle_by` if that is more.
        max_macs: Float in `[0, 1]`, or None. The share of the network's MACs, as it
            was with its gates and before any section left, that may be left in the
            end, counted as `strip_gates` leaves them. While the price rises, sections
            that earn least for their MACs close one after another until it fits, though
            they earn their price; it goes on closing those that do not. For no section
            to leave for its price, unless it does harm:
            `FlatteningPrior(log_gamma=0.0)`. None: the price alone decides.
        verbose: 0 for silence, 1 for one line per section.

    Attributes:
        trajectories: Dictionary from gate name to a list of pairs (epoch, theta), for
            `plot_gates`.

    Raises:
        TypeError: If the model that is trained is not a `GatedModel`.
        ValueError: If an argument is outside of its range, more MACs than `max_macs`
            are left without all sections that may leave, or all gates would be decided
            before any could move: there is no step between `hold` and `settle_by`, or
            the length of an epoch is known too late.

    Example:

    >>> prune = keras_layer_prune.PruneSections()
    >>> model.fit(x, y, epochs=20, callbacks=[prune])
    """

    # What `gate_movers` looks for.
    moves_gates = True

    def __init__(
        self,
        settle_by: float | None = None,
        hold: float = 0.05,
        every: int | None = None,
        min_saving: float | None = None,
        max_macs: float | None = None,
        verbose: int = 1,
    ):
        super().__init__()
        self.settle_by = optional_fraction("settle_by", settle_by)
        self.hold = fraction("hold", hold)
        self.min_saving = optional_fraction("min_saving", min_saving)
        self.max_macs = optional_fraction("max_macs", max_macs)
        self.verbose = _checked_verbose(verbose)
        self.trajectories: dict[str, list] = {}
        if not self.hold < self.latest_settling:
            raise ValueError(
                "`hold` must be smaller than `settle_by`: gates have to move between "
                f"the two. Received: hold={hold}, settle_by={settle_by}; None is "
                f"{LATEST_SETTLING} or less"
            )
        is_number = isinstance(every, Integral) and not isinstance(every, bool)
        if every is not None and (not is_number or every < 1):
            raise ValueError(
                "`every` must be a number of steps of at least 1, or None for eight "
                f"times in an epoch. Received: every={every!r}"
            )
        self.every = every if every is None else int(every)

    # The methods of Keras's callback interface, in the order in which they are called.

    def on_train_begin(self, logs=None):
        """Check the model and stop the gates' clock."""
        if not isinstance(self.model, GatedModel):
            raise TypeError(
                "`PruneSections` needs a `GatedModel`, whose gates it reads. Received "
                f"a {type(self.model).__name__} named `{self.model.name}`. Write "
                "`model = keras_layer_prune.GatedModel(network)`, compile and fit it."
            )
        self.trajectories = {}
        lift_surcharges(self.model.network)
        self._budget = MacsBudget(self.model, self.max_macs)
        self._budget.check()
        self._charged: list[str] = []
        steps, epochs = self.params.get("steps"), self.params["epochs"]
        self._progress = Progress(self.model.clock, steps)
        self._timetable = Timetable(self.settle_by, self.hold, epochs, steps)
        self._removed = self._skipped = 0
        # Until the length of an epoch is known, the gates hold.
        self.model.clock.hold()

    def on_epoch_begin(self, epoch, logs=None):
        """Start the clock, as soon as the length of an epoch is known."""
        if not self._timetable.is_set:
            self._set_timetable(epoch)
        self._progress.begin_epoch(epoch)
        self._removed = 0
        self._note(epoch)

    def on_train_batch_end(self, batch, logs=None):
        """Decide all gates when their time is up; prune where `every` asks for it."""
        progress, timetable = self._progress, self._timetable
        progress.end_batch(batch)
        if not timetable.is_set:
            return
        if progress.has_passed_every(self._interval()):
            self._note(progress.position)
            self._charge()
        if progress.has_passed(timetable.middle):
            self._look_for_movement()
        if progress.step >= timetable.last_step:
            self._settle()
        elif self._is_time_to_look():
            self._prune()

    def on_epoch_end(self, epoch, logs=None):
        """Prune, or decide all gates; report batches that no gate could learn from."""
        self._progress.end_epoch()
        self._charge()
        if self._timetable.is_over(self._progress.step, epoch):
            self._settle()
        self._prune()
        self._report_skipped()
        if logs is not None:
            # Keras has taken the logs before the sections left.
            logs["sections"] = float(self.model.sections)
            logs["removed"] = self._removed

    def on_train_end(self, logs=None):
        """Note where the gates ended."""
        self._note(self._progress.epoch + 1)

    @property
    def latest_settling(self) -> float:
        """The latest fraction of a training at which all gates can be decided."""
        return LATEST_SETTLING if self.settle_by is None else self.settle_by

    def _set_timetable(self, epoch):
        gates, steps = self._free_gates(), self._progress.steps_per_epoch
        timetable = self._timetable
        if not steps:
            timetable.check_length(epoch, gates)
            return
        timetable.start(self.model.clock, epoch, steps, gates)
        # The clock counts from there, and what it skips from 0 again.
        self._progress.step = self.model.clock.now()
        self._skipped = 0
        if gates:
            settling, moving_steps = timetable.settling, timetable.moving_steps
            self._say(diagnostics.of_the_schedule(settling, moving_steps))

    def _is_time_to_look(self) -> bool:
        """Whether to look for closed sections in the middle of an epoch."""
        progress = self._progress
        if self.every:
            return progress.has_passed_every(self.every)
        # After fewer steps, running means of what sections earn say little.
        is_early = progress.step < AVERAGED_STEPS
        return not is_early and progress.has_passed_every(self._interval())

    def _interval(self) -> int:
        return self._progress.steps_per_epoch // _LOOKS_PER_EPOCH

    def _prune(self):
        """Remove sections whose gates are closed and will stay closed."""
        timetable = self._timetable
        if not timetable.is_set or self._progress.step <= timetable.moves_from:
            # One that starts at 0 has yet to be heard.
            return
        closed = [
            gate
            for gate in self._free_gates()
            if self._stays_closed(gate, float(gate.surcharge.numpy()))
        ]
        if closed and saved_share(self.model.network, closed) >= self._least_saving():
            self._decide(closed, [])
            # Without them, others may stay that had to go.
            self._charge()

    def _charge(self):
        """Have sections close that the budget has no room for."""
        gates = self._free_gates()
        if not gates or not self._timetable.is_set:
            return
        unearned = [gate for gate in gates if self._stays_closed(gate)]
        # What has to leave is due as the price is, which rises, too.
        tightness = float(self.model.clock.pressure(self._progress.step))
        over = self._budget.over(tightness, unearned)
        self._budget.charge(over)
        self._charged = sorted({*self._charged, *(gate.name for gate in over)})

    def _least_saving(self) -> float:
        if self.min_saving is not None:
            return self.min_saving
        return default_min_saving(self._timetable.last_step - self._progress.step)

    def _look_for_movement(self):
        if len(self.model.gates) < len(self.trajectories) or self._newly_skipped():
            # Those that are gone have moved; of skipped steps a warning will tell.
            return
        gates = self._free_gates()
        starts = [self.trajectories[gate.name][0][1] for gate in gates]
        self._say(diagnostics.of_no_movement(starts, [theta_of(g) for g in gates]))

    def _free_gates(self) -> list:
        """Gates that are to be decided: those that the user has not frozen."""
        return free_gates(self.model.network)

    def _stays_closed(self, gate, surcharge=0.0) -> bool:
        price = self.model.price(gate) + surcharge
        return closed_state_attracts(theta_of(gate), float(gate.benefit.numpy()), price)

    def _settle(self):
        """Decide what is still undecided; take all gates out of the network."""
        gates = self._free_gates()
        if not gates:
            return
        known = self._benefits_are_known()
        closed = [gate for gate in gates if self._ends_at(gate, known) < 0.5]
        over = self._budget.over(closed=closed)
        self._budget.charge(over)
        stay = [gate for gate in gates if gate not in [*closed, *over]]
        if self._timetable.moving_steps > 0 and not self._newly_skipped():
            # Else they had no step to move in, which `fit` has said.
            undecided = {g.name: theta_of(g) for g in gates if g not in over}
            self._say(diagnostics.of_hovering(undecided, known))
        self._say(self._budget.complaints([*closed, *over]))
        entries = self._decide([*closed, *over], stay)
        kept = [e["section"] for e in entries if e["action"] == "kept"]
        self._say([f"all gates decided, {len(kept)} sections stay: {kept}"])

    def _ends_at(self, gate, benefit_is_known) -> float:
        """Where a gate is going; where it stands if its benefit is not known yet."""
        price = self.model.price(gate)
        if gate.name in self._charged:
            # Its probability tells where it was sent, not what its section is worth.
            return float(float(gate.benefit.numpy()) >= price)
        return heading(gate, price) if benefit_is_known else theta_of(gate)

    def _benefits_are_known(self) -> bool:
        timetable, skipped = self._timetable, self.model.clock.skipped.numpy()
        done = min(self._progress.step, timetable.last_step)
        return bool(done - timetable.moves_from - skipped >= AVERAGED_STEPS)

    def _decide(self, closed, opened) -> list[dict]:
        sections = self.model.sections
        entries = self.model.decide(closed, opened, epoch=self._progress.epoch)
        removed = [entry for entry in entries if entry["action"] == "removed"]
        self._removed += sections - self.model.sections
        for entry in entries:
            is_kept = float(entry["action"] == "kept")
            point = (self._progress.position, is_kept)
            self.trajectories[entry["section"]].append(point)
        self._say([describe(entry) for entry in removed])
        price = sum(entry["price"] for entry in entries) / len(entries)
        unearned = [entry for entry in removed if not left_for_budget(entry)]
        self._say(diagnostics.of_a_removal(len(unearned), sections, price))
        return entries

    def _note(self, epoch):
        for gate in self.model.gates:
            points = self.trajectories.setdefault(gate.name, [])
            points.append((float(epoch), theta_of(gate)))

    def _say(self, lines):
        is_shown = self.verbose and is_chief(self.model.distribute_strategy)
        if is_shown and lines:
            # Below Keras's progress bar, which goes on in a new line.
            text = "\n".join(f"Step {self._progress.step}: {line}" for line in lines)
            sys.stdout.write(f"\n{text}\n")

    def _report_skipped(self):
        skipped = self._newly_skipped()
        if skipped:
            warnings.warn(
                f"{skipped} batches of epoch "
                f"{self._progress.epoch + 1} had a "
                "loss or gradient that is NaN or infinite; no gate was moved by them. "
                "Lower the learning rate, or look for such values in the data.",
                stacklevel=2,
            )
        self._skipped += skipped

    def _newly_skipped(self) -> int:
        """Steps in which no gate moved that nobody has been told of."""
        return int(self.model.clock.skipped.numpy()) - self._skipped

    def get_state(self) -> dict:
        """What a backup has to save beside the model."""
        return {
            "trajectories": self.trajectories,
            "progress": self._progress.get_state(),
            "timetable": self._timetable.get_state(),
            **{name: getattr(self, name) for name in _STATE},
        }

    def set_state(self, state):
        """Go on where `get_state` was called."""
        self.trajectories = {
            name: [tuple(point) for point in points]
            for name, points in state["trajectories"].items()
        }
        self._progress.set_state(state["progress"])
        self._timetable.set_state(state["timetable"], self.model.clock)
        for name in _STATE:
            setattr(self, name, state[name])

    def get_config(self):
        """The arguments of the constructor."""
        return {
            "settle_by": self.settle_by,
            "hold": self.hold,
            "every": self.every,
            "min_saving": self.min_saving,
            "max_macs": self.max_macs,
            "verbose": self.verbose,
        }

    @classmethod
    def from_config(cls, config):
        """An object from the config of another one."""
        return cls(**checked_config(config))


def _checked_verbose(verbose) -> int:
    if not isinstance(verbose, int) or verbose not in (0, 1):
        raise ValueError(
            "`verbose` must be 0 for silence, or 1 for one line per section. Received: "
            f"verbose={verbose!r}"
        )
    return verbose
