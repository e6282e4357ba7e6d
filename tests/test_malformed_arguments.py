"""Whatever is handed over: an error that names the argument, and nothing has changed.

Five times `KLP_EXAMPLES` is the number of random calls.
"""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import keras_layer_prune as klp

FEATURES = 3


class Anything:
    """An object of no meaning."""

    def __repr__(self):
        return "Anything()"


def junk():
    """Values of every type that is likely to be handed over by mistake."""
    numbers = st.one_of(
        st.booleans(),
        st.integers(max_value=0),
        st.integers(min_value=2**63),
        st.just(10**400),
        st.floats(max_value=-1e-3),
        st.sampled_from([float("nan"), float("inf"), 1.0 + 1e-9, 2.5, 1j]),
    )
    simple = st.one_of(
        st.none(),
        numbers,
        st.text(max_size=5),
        st.binary(max_size=3),
        st.sampled_from(["[", "*", "(?P<", "rows", "Batch", ""]),
    )
    nested = st.one_of(
        st.lists(simple, max_size=3),
        st.lists(simple, max_size=2).map(tuple),
        st.dictionaries(st.text(max_size=3), simple, max_size=2),
        st.dictionaries(st.sampled_from(["class_name", "config", "name"]), simple),
    )
    objects = st.sampled_from(
        [
            Anything(),
            Anything,
            np.zeros(3),
            np.array("x"),
            np.float32("nan"),
            tf.constant([1.0, 2.0]),
            klp.FlatteningPrior,
            klp.GaussianScaleMixturePrior(1.0),
            keras.optimizers.SGD(),
            keras.initializers.Zeros(),
        ]
    )
    return st.one_of(simple, nested, objects)


def network():
    x = inputs = keras.Input((FEATURES,))
    for index in range(2):
        branch = keras.layers.Dense(FEATURES, "tanh", name=f"dense_{index}")(x)
        branch = klp.BernoulliGate(name=f"gate_{index}")(branch)
        x = keras.layers.Add()([x, branch])
    return keras.Model(inputs, x)


def plain():
    x = inputs = keras.Input((FEATURES,))
    x = keras.layers.Add()([x, keras.layers.Dense(FEATURES, "tanh", name="only")(x)])
    return keras.Model(inputs, x)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """What calls are made of; made once, as no call may change it."""
    model = klp.GatedModel(network())
    model.compile("sgd", "mse", train_size=8, run_eagerly=True)
    return {
        "model": model,
        "network": network(),
        "plain": plain(),
        "folder": tmp_path_factory.mktemp("reports"),
    }


# The callable and its arguments, each a function of the parts; a call takes all of
# them, one of them replaced.
CALLS = {
    "BernoulliGate": (
        lambda p: klp.BernoulliGate,
        {"prior": None, "initial_probability": 0.5, "draws": "row", "seed": 1},
    ),
    "GatedResidual": (
        lambda p: klp.GatedResidual,
        {"section": lambda p: keras.layers.Dense(3), "shortcut": None, "gate": None},
    ),
    "GatedLayer": (
        lambda p: klp.GatedLayer,
        {"layer": lambda p: keras.layers.Dense(3), "gate": None},
    ),
    "FlatteningPrior": (lambda p: klp.FlatteningPrior, {"log_gamma": 1.0}),
    "GaussianScaleMixturePrior": (
        lambda p: klp.GaussianScaleMixturePrior,
        {"precision": 1.0},
    ),
    "GatedModel": (
        lambda p: klp.GatedModel,
        {"network": lambda p: p["network"], "pruning_log": ()},
    ),
    "compile": (
        lambda p: p["model"].compile,
        {
            "train_size": 8,
            "gate_step_size": None,
            "gate_gradient": "first_order",
            "weight_prior": None,
        },
    ),
    "decide": (
        lambda p: p["model"].decide,
        {"closed": (), "opened": (), "epoch": None},
    ),
    "BackupAndRestore": (
        lambda p: klp.BackupAndRestore,
        {"directory": "backup", "save_freq": "epoch", "delete_checkpoint": True},
    ),
    "PruneSections": (
        lambda p: klp.PruneSections,
        {
            "settle_by": 0.5,
            "hold": 0.05,
            "every": None,
            "min_saving": 0.2,
            "max_macs": 0.5,
            "verbose": 1,
        },
    ),
    "TensorBoardGates": (lambda p: klp.TensorBoardGates, {"log_dir": "logs"}),
    "find_sections": (lambda p: klp.find_sections, {"model": lambda p: p["plain"]}),
    "gate_sections": (
        lambda p: klp.gate_sections,
        {
            "model": lambda p: p["plain"],
            "filters": None,
            "prior": None,
            "initial_probability": 0.5,
            "draws": "row",
            "seed": 1,
        },
    ),
    "remove_closed_sections": (
        lambda p: klp.remove_closed_sections,
        {"network": lambda p: p["network"]},
    ),
    "strip_gates": (lambda p: klp.strip_gates, {"network": lambda p: p["plain"]}),
    "max_difference": (
        lambda p: klp.max_difference,
        {
            "model_a": lambda p: p["plain"],
            "model_b": lambda p: p["plain"],
            "inputs": None,
        },
    ),
    "summarize": (
        lambda p: klp.summarize,
        {"network": lambda p: p["network"], "latency": False},
    ),
    "paired_latencies": (
        lambda p: klp.paired_latencies,
        {"models": lambda p: [p["plain"]], "batch_size": 1, "calls": 1},
    ),
    "write_report": (
        lambda p: klp.write_report,
        {
            "model": lambda p: p["model"],
            "path": lambda p: p["folder"] / "report.html",
            "history": None,
            "trajectories": None,
        },
    ),
    "plot_gates": (
        lambda p: klp.plot_gates,
        {
            "trajectories": lambda p: {"gate": [(0.0, 0.5)]},
            "path": lambda p: p["folder"] / "gates.png",
            "settled_at": None,
        },
    ),
}

# What is not looked at here: a file that is not there, a function of the user's.
MEANT = {
    ("plot_gates", "path"): lambda value: isinstance(value, str),
    ("write_report", "path"): lambda value: isinstance(value, str),
    ("gate_sections", "filters"): callable,
}

CONFIGURED = {
    "BernoulliGate": lambda: klp.BernoulliGate(klp.FlatteningPrior(1.0)),
    "GatedResidual": lambda: klp.GatedResidual(keras.layers.Dense(3)),
    "GatedLayer": lambda: klp.GatedLayer(keras.layers.Dense(3)),
    "FlatteningPrior": lambda: klp.FlatteningPrior(1.0),
    "GaussianScaleMixturePrior": lambda: klp.GaussianScaleMixturePrior(1.0),
    "GatedModel": lambda: klp.GatedModel(network()),
    "PruneSections": lambda: klp.PruneSections(),
    "BackupAndRestore": lambda: klp.BackupAndRestore("backup"),
    "TensorBoardGates": lambda: klp.TensorBoardGates("logs"),
}
# Keras looks at these itself.
OF_KERAS = {"name", "trainable", "dtype"}

random_calls = settings(
    max_examples=5 * int(os.environ.get("KLP_EXAMPLES", "25")) // 2,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def state(model):
    """What a refused call must leave as it was."""
    return (
        id(model.network),
        id(model.optimizer),
        list(model.pruning_log),
        repr(model.get_compile_config()),
        [v.numpy().tobytes() for v in model.variables],
    )


def assert_says_so(call, name, value, model):
    """Call, and look at the error if there is one."""
    before = state(model)
    try:
        call()
    except (ValueError, TypeError) as error:
        assert name in str(error), f"{value!r} for `{name}`: {error}"
        assert state(model) == before
        return True
    return False


@given(data=st.data())
@random_calls
def test_a_random_argument_works_or_is_named_in_the_error(data, parts):
    called = data.draw(st.sampled_from(sorted(CALLS)))
    find, arguments = CALLS[called]
    name = data.draw(st.sampled_from(sorted(arguments)))
    value = data.draw(junk())
    if MEANT.get((called, name), lambda value: False)(value):
        return
    given_ = {
        key: argument(parts) if callable(argument) else argument
        for key, argument in arguments.items()
    }
    given_[name] = value
    model = parts["model"]
    assert_says_so(lambda: find(parts)(**given_), name, value, model)
    if called == "compile":
        model.compile("sgd", "mse", train_size=8, run_eagerly=True)
    for written in parts["folder"].iterdir():
        written.unlink()


@given(data=st.data())
@random_calls
def test_a_random_config_works_or_the_error_names_what_is_wrong(data, parts):
    kind = data.draw(st.sampled_from(sorted(CONFIGURED)))
    thing = CONFIGURED[kind]()
    config = thing.get_config()
    names = sorted(config.keys() - OF_KERAS)
    change = data.draw(st.sampled_from(["value", "missing", "unknown", "whole"]))
    name = data.draw(st.sampled_from(names))
    value = data.draw(junk())
    if change == "value":
        config[name] = value
    elif change == "missing":
        del config[name]
    elif change == "unknown":
        name = "no_such_argument"
        config[name] = value
    else:
        name, config = "config", value
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            # A dictionary of arguments: any of them, or one that is missing.
            name = ""
    assert_says_so(lambda: type(thing).from_config(config), name, value, parts["model"])


@pytest.mark.parametrize("called", sorted(CALLS))
def test_the_calls_as_they_are_written_here_work(called, parts):
    find, arguments = CALLS[called]
    given_ = {
        key: argument(parts) if callable(argument) else argument
        for key, argument in arguments.items()
    }
    find(parts)(**given_)


def test_every_public_name_is_called():
    methods = {"compile", "decide"}
    public = {
        name
        for name in vars(klp)
        if name != "variational" and callable(vars(klp)[name])
    }
    assert public == CALLS.keys() - methods
