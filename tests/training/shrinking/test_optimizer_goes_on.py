"""An optimizer's state survives the removal of a section, whatever the optimizer.

The oracle is a network that keeps the section behind a frozen gate at 0: no gradient
reaches it, and the other weights learn as if it were gone.
"""

import re

import keras
import numpy as np
import pytest
from optimizer_cases import without_several
from small_models import (
    FEATURES,
    KeepsADictionary,
    chain,
    compiled,
    data,
    freeze_gates,
    gate,
    gates_by_name,
    weights,
)

from keras_layer_prune import GatedModel

X, Y = data()
THETAS = (1.0, 0.0, 1.0)


class Halving(keras.optimizers.schedules.LearningRateSchedule):
    """A user's schedule, not registered with Keras."""

    def __init__(self, start):
        self.start = start

    def __call__(self, step):
        return self.start * 0.5 ** keras.ops.cast(step, "float32")

    def get_config(self):
        return {"start": self.start}


def without_decay_of_offsets():
    optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05),
    "momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.1),
    "amsgrad": lambda: keras.optimizers.Adam(0.1, amsgrad=True),
    "adamw": lambda: keras.optimizers.AdamW(0.1, weight_decay=0.5),
    "adamw_without_decay_of_offsets": without_decay_of_offsets,
    "adamax": lambda: keras.optimizers.Adamax(0.1),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.1, momentum=0.5, centered=True),
    "adagrad": lambda: keras.optimizers.Adagrad(0.1),
    "adadelta": lambda: keras.optimizers.Adadelta(1.0),
    "nadam": lambda: keras.optimizers.Nadam(0.1),
    "ftrl": lambda: keras.optimizers.Ftrl(0.1),
    "lion": lambda: keras.optimizers.Lion(0.01),
    "lamb": lambda: keras.optimizers.Lamb(0.1),
    "adafactor": lambda: keras.optimizers.Adafactor(0.1),
    "muon": lambda: keras.optimizers.Muon(0.1),
    "ema": lambda: keras.optimizers.SGD(
        0.05, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2
    ),
    "accumulation": lambda: keras.optimizers.Adam(0.1, gradient_accumulation_steps=2),
    "schedule": lambda: keras.optimizers.SGD(
        keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    ),
    "schedule_of_the_user": lambda: keras.optimizers.SGD(Halving(0.1), momentum=0.9),
    "loss_scale": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.1), dynamic_growth_steps=2
    ),
}


def model_with_closed_section(optimizer):
    keras.utils.set_random_seed(0)
    network = freeze_gates(chain(THETAS))
    return compiled(network, optimizer, train_size=len(X))


def train(model, steps):
    for _ in range(steps):
        model.train_on_batch(X, Y)


def remove_closed_section(model):
    model.decide(closed=[gates_by_name(model)["gate_1"]])


def slots(model):
    """Values of the optimizer's variables by name, each name with all its values."""
    values: dict = {}
    for variable in model.optimizer.variables:
        # Those that nobody named are numbered over the whole process.
        name = re.sub(r"^variable_\d+$", "variable", variable.name)
        values.setdefault(name, []).append(variable.numpy())
    return values


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_learn_as_if_the_section_were_still_there(name):
    cut, whole = (model_with_closed_section(OPTIMIZERS[name]()) for _ in range(2))
    # Three steps: in the middle of an accumulation, an overwriting and a growth.
    for model in (cut, whole):
        train(model, 3)
    remove_closed_section(cut)
    for model in (cut, whole):
        train(model, 3)
    expected = weights(whole)
    for path, value in weights(cut).items():
        np.testing.assert_allclose(value, expected[path], rtol=1e-5, atol=1e-6)
    assert len(weights(cut)) == 6


@pytest.mark.parametrize("name", sorted(OPTIMIZERS.keys() - {"adafactor"}))
def test_every_slot_of_what_survives_is_the_same_bit_by_bit(name):
    model = model_with_closed_section(OPTIMIZERS[name]())
    train(model, 3)
    before = slots(model)
    remove_closed_section(model)
    after = slots(model)
    assert before.keys() - after.keys() == {p for p in before if "section_1" in p}
    for path, values in after.items():
        np.testing.assert_array_equal(values, before[path], err_msg=path)


@pytest.mark.parametrize(
    "name",
    ["adam", "accumulation", "schedule", "schedule_of_the_user", "loss_scale"],
)
def test_iterations_and_learning_rate_go_on(name):
    model = model_with_closed_section(OPTIMIZERS[name]())
    train(model, 4)
    old = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    remove_closed_section(model)
    new = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    assert new is not old
    assert int(new.iterations) == int(old.iterations) > 0
    assert float(new.learning_rate) == float(old.learning_rate)


@pytest.mark.parametrize(
    ("make_optimizer", "survivors"),
    [
        # As many variables as the optimizer has of its own.
        (lambda: keras.optimizers.SGD(0.05), 2),
        (lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05)), 4),
    ],
    ids=["two", "four"],
)
def test_an_optimizers_own_variables_are_no_slots(make_optimizer, survivors):
    keras.utils.set_random_seed(0)
    thetas = (0.0,) + (1.0,) * (survivors // 2 - 1)
    model = compiled(freeze_gates(chain(thetas)), make_optimizer(), train_size=len(X))
    train(model, 3)
    before = slots(model)
    model.decide(closed=[model.gates[0]])
    assert len(weights(model)) == survivors
    for path, values in slots(model).items():
        np.testing.assert_array_equal(values, before[path], err_msg=path)


class LearnsItsTemperature(GatedModel):
    def __init__(self, network, **kwargs):
        super().__init__(network, **kwargs)
        self.temperature = self.add_weight(name="temperature", initializer="ones")

    def compute_loss(self, *args, **kwargs):
        return super().compute_loss(*args, **kwargs) * self.temperature


def test_what_a_subclass_trains_by_itself_is_trained_on():
    network = freeze_gates(chain(THETAS))
    cut, whole = (LearnsItsTemperature(keras.models.clone_model(network)) for _ in "ab")
    whole.set_weights(cut.get_weights())
    for model in (cut, whole):
        model.compile(keras.optimizers.Adam(0.1), "mse", run_eagerly=True)
        train(model, 2)
    remove_closed_section(cut)
    for model in (cut, whole):
        train(model, 2)
    np.testing.assert_allclose(cut.temperature, whole.temperature, rtol=1e-5)
    # As a file is read: slots are those of the trainable weights, one by one.
    slots = [v.path for v in cut.optimizer.variables if "momentum" in v.path]
    names = [v.path.replace("/", "_") for v in cut.trainable_variables]
    assert len(slots) == len(names) == 7
    assert all(name in slot for name, slot in zip(names, slots, strict=True))


class CallsALayerOfItsOwn(GatedModel):
    """One that has no weights before its first call."""

    def __init__(self, network, **kwargs):
        super().__init__(network, **kwargs)
        self.head = keras.layers.Dense(Y.shape[-1], use_bias=False)

    def call(self, inputs, training=None):
        return self.head(super().call(inputs, training=training))


def test_a_layer_that_a_subclass_calls_is_trained_from_the_first_step_on():
    model = CallsALayerOfItsOwn(freeze_gates(chain(THETAS)))
    model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"])
    model.fit(X, Y, verbose=0)
    before = model.head.kernel.numpy()
    remove_closed_section(model)
    logs = model.fit(X, Y, verbose=0).history
    assert np.all(model.head.kernel.numpy() != before)
    assert np.isfinite(logs["mae"]).all()


def test_averages_are_there_at_the_end_of_fit():
    optimizer = keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.5)
    model = model_with_closed_section(optimizer)
    model.fit(X, Y, verbose=0)
    remove_closed_section(model)
    model.fit(X, Y, batch_size=4, verbose=0)
    averages = slots(model)
    for path, value in weights(model).items():
        name = f"{path.replace('/', '_')}_average"
        np.testing.assert_array_equal([value], averages[name])


def test_an_optimizer_that_is_not_built_yet_is_built_for_the_smaller_network():
    model = model_with_closed_section("adam")
    remove_closed_section(model)
    train(model, 1)
    # Two for itself, two for each of six weights.
    assert len(model.optimizer.variables) == 14


class WithoutConfig(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.1


def one_of_several_keeps_a_dictionary():
    several = keras.optimizers.OptimizerMap(
        keras.optimizers.SGD(0.1), {"head/.*": KeepsADictionary(0.1)}
    )
    return keras.optimizers.MultiOptimizer(several)


def one_of_a_function_keeps_a_dictionary():
    first, second = keras.optimizers.SGD(0.1), KeepsADictionary(0.1)
    return keras.optimizers.LossScaleOptimizer(
        keras.optimizers.MultiOptimizer(lambda v: second if "head" in v.path else first)
    )


@pytest.mark.parametrize(
    ("make_optimizer", "message"),
    [
        (lambda: keras.optimizers.SGD(WithoutConfig()), "SGD cannot be made again"),
        (KeepsADictionary, r"KeepsADictionary keeps state.*momentum"),
    ],
    ids=["schedule", "dictionary"],
)
def test_what_cannot_go_on_is_refused_before_the_training(make_optimizer, message):
    with pytest.raises(ValueError, match=message):
        compiled(chain(), make_optimizer())


@without_several
@pytest.mark.parametrize(
    "make_optimizer",
    [one_of_several_keeps_a_dictionary, one_of_a_function_keeps_a_dictionary],
)
def test_one_of_several_that_cannot_go_on_is_refused(make_optimizer):
    with pytest.raises(ValueError, match=r"KeepsADictionary keeps state.*momentum"):
        compiled(chain(), make_optimizer())


def test_an_optimizer_that_chooses_by_path_chooses_as_before():
    """A nested model's name is in the paths of its weights, and leaves with it."""
    inputs = keras.Input((FEATURES,))
    branch = keras.layers.Dense(FEATURES, "tanh", name="section")(inputs)
    x = keras.layers.Add()([inputs, gate("gate", 0.0)(branch)])
    head = keras.Sequential(
        [keras.Input((FEATURES,)), keras.layers.Dense(1)], name="head"
    )
    model = compiled(
        keras.Model(inputs, head(x)),
        keras.optimizers.Muon(0.1, exclude_layers=["head"]),
        train_size=16,
    )
    model.train_on_batch(X, Y)
    before = slots_of_the_head(model)
    assert any(before)
    model.decide(closed=model.gates)
    assert slots_of_the_head(model) == before
    model.train_on_batch(X, Y)


def slots_of_the_head(model):
    """The squares that it keeps of weights which it steps as AdamW does."""
    return [
        slot.numpy().tobytes()
        for slot in model.optimizer.adam_velocities
        if slot is not None and "head" in slot.path
    ]


def test_an_optimizer_that_has_trained_other_weights_is_refused():
    model = model_with_closed_section(keras.optimizers.Adam(0.1))
    first = model.optimizer
    train(model, 1)
    remove_closed_section(model)
    train(model, 1)
    with pytest.raises(ValueError, match=r"trained other weights.*`model.optimizer`"):
        model.compile(first, "mse")
    assert model.optimizer is not first
    model.compile(model.optimizer, "mse", train_size=len(X))
    train(model, 1)
