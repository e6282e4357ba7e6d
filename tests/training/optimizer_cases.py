"""Every optimizer of Keras with every option that adds state or reads the weights.

    python tests/training/optimizer_cases.py --write

trains a small network with each of them, removes a section and prints what became of
the optimizer's variables; with `--write` into `docs/optimizers.md`.
"""

import argparse
import collections
import pathlib
import sys
from typing import NamedTuple

import keras
import numpy as np
import pytest
from small_models import (
    chain,
    compiled,
    data,
    freeze_gates,
    gates_by_name,
    weights,
)

from keras_layer_prune import GaussianScaleMixturePrior

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "optimizers.md"
X, Y = data()
# So weak that a closed section does not count in a norm of all gradients.
NO_PULL = GaussianScaleMixturePrior(1e-12)
# In the middle of an accumulation, of an overwriting and of a growth of the scale.
STEPS_BEFORE, STEPS_AFTER = 3, 3

# They wrap other optimizers and are options of the table, or are no optimizers.
WRAPPERS = {"LossScaleOptimizer", "MultiOptimizer", "Optimizer"}


def optimizer_classes() -> dict:
    """Every optimizer class that this Keras has, by name."""
    found = {
        name: value
        for name, value in vars(keras.optimizers).items()
        if isinstance(value, type) and issubclass(value, keras.optimizers.Optimizer)
    }
    return {name: found[name] for name in sorted(found.keys() - WRAPPERS)}


# Keras delegates to several optimizers since 3.15.
without_several = pytest.mark.skipif(
    not hasattr(keras.optimizers, "MultiOptimizer"),
    reason="This Keras has no MultiOptimizer.",
)


def rate_of_the_user():
    return 0.01


def several(make):
    """The head with plain steps of its own, all the rest with the optimizer."""
    map_ = keras.optimizers.OptimizerMap(make(), {"head/.*": momentum()})
    return keras.optimizers.MultiOptimizer(map_)


def several_by_function(make):
    """The same two objects whenever they are asked for."""
    of_heads, of_all_others = momentum(), make()
    return keras.optimizers.MultiOptimizer(
        lambda variable: of_heads if "head" in variable.path else of_all_others
    )


def momentum():
    return keras.optimizers.SGD(0.01, momentum=0.9)


OPTIONS = {
    "defaults": lambda make: make(),
    "averages of the weights": lambda make: make(
        use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2
    ),
    "gradient accumulation": lambda make: make(gradient_accumulation_steps=2),
    "weight decay": lambda make: make(weight_decay=0.1),
    "clipnorm": lambda make: make(clipnorm=0.5),
    "global_clipnorm": lambda make: make(global_clipnorm=0.5),
    "clipvalue": lambda make: make(clipvalue=0.1),
    "schedule": lambda make: make(
        learning_rate=keras.optimizers.schedules.ExponentialDecay(0.01, 1, 0.5)
    ),
    "function as learning rate": lambda make: make(learning_rate=rate_of_the_user),
    "loss_scale_factor": lambda make: make(loss_scale_factor=8.0),
    "LossScaleOptimizer": lambda make: keras.optimizers.LossScaleOptimizer(
        make(), dynamic_growth_steps=2
    ),
    "MultiOptimizer of a map": several,
    "MultiOptimizer of a function": several_by_function,
    "MultiOptimizer in a LossScaleOptimizer": lambda make: (
        keras.optimizers.LossScaleOptimizer(several(make))
    ),
}

# What a class takes beyond the options of all.
FURTHER = {
    "SGD": {
        "momentum": {"momentum": 0.9},
        "nesterov": {"momentum": 0.9, "nesterov": True},
    },
    "Adam": {"amsgrad": {"amsgrad": True}},
    "AdamW": {"amsgrad": {"amsgrad": True}},
    "RMSprop": {"momentum, centered": {"momentum": 0.5, "centered": True}},
    "Ftrl": {
        "l1, l2": {
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.01,
        }
    },
    "Adafactor": {"relative_step=False": {"relative_step": False}},
    "Muon": {"exclude_layers": {"exclude_layers": ["head"]}},
    "ScheduleFreeAdamW": {"warmup_steps": {"warmup_steps": 4}},
}


class Case(NamedTuple):
    """An optimizer and one option.

    Attributes:
        name: String, the class.
        option: String.
        make: Function without arguments, returns a new optimizer.
    """

    name: str
    option: str
    make: object

    def __str__(self):
        return f"{self.name}, {self.option}"


def cases() -> list[Case]:
    """Every class with every option."""
    found = []
    for name, kind in optimizer_classes().items():
        for option, wrap in OPTIONS.items():
            found.append(Case(name, option, _maker(wrap, kind)))
        for option, arguments in FURTHER.get(name, {}).items():
            found.append(Case(name, option, _further(kind, arguments)))
    return found


def _maker(wrap, kind):
    return lambda: wrap(
        lambda **arguments: kind(**{"learning_rate": 0.01, **arguments})
    )


def _further(kind, arguments):
    return lambda: kind(learning_rate=0.01, **arguments)


class Outcome(NamedTuple):
    """What a pruning event did to an optimizer.

    Attributes:
        variables: Int, variables of the optimizer after the event.
        differing: List of those whose bits are not the ones from before.
        iterations: Pair of ints, before and after the event.
        deviation: Float, how far the weights are after `STEPS_AFTER` steps from those
            of a network that has kept the section behind a closed gate.
    """

    variables: int
    differing: list
    iterations: tuple[int, int]
    deviation: float

    @property
    def is_carried_over(self) -> bool:
        before, after = self.iterations
        went_on = before == after > 0
        return not self.differing and went_on and self.deviation < 1e-5


def outcome(case) -> Outcome:
    """Train, prune, compare, train on, compare."""
    cut, whole = (_model(case.make()) for _ in range(2))
    for model in (cut, whole):
        _train(model, STEPS_BEFORE)
    before, iterations = variables(cut.optimizer), int(cut.optimizer.iterations)
    cut.decide(closed=[gates_by_name(cut)["gate_1"]])
    after = variables(cut.optimizer)
    differing = [name for name, values in after.items() if values != before.get(name)]
    gone = before.keys() - after.keys()
    iterations = (iterations, int(cut.optimizer.iterations))
    for model in (cut, whole):
        _train(model, STEPS_AFTER)
    expected = weights(whole)
    deviation = max(
        np.abs(v - expected[path]).max() for path, v in weights(cut).items()
    )
    return Outcome(
        sum(len(values) for values in after.values()),
        differing + [name for name in gone if "section_1" not in name],
        iterations,
        float(deviation),
    )


def _model(optimizer):
    keras.utils.set_random_seed(0)
    network = freeze_gates(chain((1.0, 0.0, 1.0)))
    return compiled(network, optimizer, train_size=len(X), weight_prior=NO_PULL)


def _train(model, steps):
    for _ in range(steps):
        model.train_on_batch(X, Y)


def variables(optimizer) -> dict:
    """The bytes of an optimizer's variables, by a name that outlives a pruning event.

    Slots are named after the weight that they belong to; what is found at any depth
    of the attributes is told apart by the attribute too.
    """
    found = collections.defaultdict(list)
    for path, optimizer_ in _parts(optimizer):
        names = _names_of_weights(optimizer_)
        for attribute, value in vars(optimizer_).items():
            for name, variable in _variables_in(value, names):
                key = f"{path}{attribute} {name}"
                if attribute not in ("_variables", "_trainable_variables"):
                    found[key].append(variable.numpy().tobytes())
    return dict(found)


def _parts(optimizer, path=""):
    yield path, optimizer
    for index, part in enumerate(getattr(optimizer, "optimizers", [])):
        yield from _parts(part, f"{path}{index}.")
    if hasattr(optimizer, "inner_optimizer"):
        yield from _parts(optimizer.inner_optimizer, f"{path}inner.")


def _names_of_weights(optimizer):
    return [
        variable.path for variable in getattr(optimizer, "_trainable_variables", [])
    ]


def _variables_in(value, names):
    if isinstance(value, keras.Variable):
        yield "", value
    elif isinstance(value, list) and len(value) == len(names):
        for name, variable in zip(names, value, strict=True):
            if isinstance(variable, keras.Variable):
                yield name, variable


def page(outcomes) -> str:
    """The table of all cases, as Markdown.

    Args:
        outcomes: Dictionary from `Case` to `Outcome`, or to None where it was only
            listed.
    """
    options = [*OPTIONS]
    by_class = collections.defaultdict(dict)
    for case, result in outcomes.items():
        by_class[case.name][case.option] = result
    lines = [HEAD, "| optimizer | " + " | ".join(options) + " | of its own |"]
    lines.append("| --- " * (len(options) + 2) + "|")
    for name, results in by_class.items():
        row = [mark(results[option]) for option in options]
        own = [f"{o}: {mark(r)}" for o, r in results.items() if o not in OPTIONS]
        lines.append("| " + " | ".join([f"`{name}`", *row, "; ".join(own)]) + " |")
    return "\n".join([*lines, ""])


def mark(result) -> str:
    return "equal" if result is None or result.is_carried_over else "**differs**"


HEAD = f"""\
# Optimizers and a pruning event

Made by `python tests/training/optimizer_cases.py --write`; the tests run every cell,
most of them with `-m slow`, and fail when this page is not what they would write.

A network of three sections trains for {STEPS_BEFORE} steps, its middle section leaves,
and it trains for {STEPS_AFTER} more. "equal" says that every variable of the optimizer
that belongs to a surviving weight, to the optimizer itself or to one inside it has the
same bits before and after, that the number of iterations is the same, and that the
weights are those of a network that kept the section behind a closed gate (to 1e-5).
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}")
    arguments = parser.parse_args()
    outcomes = {case: outcome(case) for case in cases()}
    text = page(outcomes)
    if arguments.write:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text)
    sys.stdout.write(text)
    variables_ = sum(result.variables for result in outcomes.values())
    failed = [str(c) for c, result in outcomes.items() if not result.is_carried_over]
    sys.stdout.write(
        f"{len(outcomes)} cases, {variables_} variables compared, differing: {failed}\n"
    )
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
