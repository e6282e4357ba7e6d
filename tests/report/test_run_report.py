"""The report of a run, read back."""

import re

import keras
import numpy as np
import pytest

import keras_layer_prune as klp

DATA = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")


def made(metrics=("mae",)):
    """A model whose first section leaves and whose second stays."""
    x = inputs = keras.Input((4,))
    for index, log_gamma in enumerate((1e6, -1e6)):
        gate = klp.BernoulliGate(klp.FlatteningPrior(log_gamma), name=f"gate>{index}")
        x = keras.layers.Add()([x, gate(keras.layers.Dense(4)(x))])
    model = klp.GatedModel(keras.Model(inputs, keras.layers.Dense(1)(x)))
    model.compile("sgd", "mse", metrics=list(metrics))
    return model


def fitted(model, **arguments):
    """The model, its history and its `PruneSections`."""
    prune = klp.PruneSections(verbose=0)
    others = arguments.pop("callbacks", [])
    arguments = {"epochs": 8, "validation_split": 0.25, "verbose": 0, **arguments}
    callbacks = [prune, *others]
    return model, model.fit(DATA, DATA[:, :1], callbacks=callbacks, **arguments), prune


@pytest.fixture(scope="module")
def run():
    return fitted(made())


def written(run, path, *arguments):
    klp.write_report(run[0], path, *arguments)
    return path.read_text()


def test_the_report_tells_every_decision_and_what_it_saved(run, tmp_path):
    text = written(run, tmp_path / "report.html")
    for entry, name in zip(run[0].pruning_log, ("0", "1"), strict=True):
        assert f"<td>gate&gt;{name}</td><td>{entry['epoch'] + 1}</td>" in text
        assert f"<td>{entry['action']}</td>" in text
    # 25 parameters and 20 MACs before, a section of 20 and 16 removed of two.
    assert "<td>parameters</td><td>45</td><td>25</td><td>56%</td>" in text
    assert "<td>MACs per example</td><td>36</td><td>20</td><td>56%</td>" in text
    assert "<td>sections</td><td>2</td><td>1</td><td>50%</td>" in text


def test_without_curves_the_report_has_none(run, tmp_path):
    text = written(run, tmp_path / "report.html")
    assert "<polyline" not in text
    assert "<rect" in text


def test_curves_and_trajectories_are_drawn_where_they_are_given(run, tmp_path):
    _, history, prune = run
    text = written(run, tmp_path / "report.html", history, prune.trajectories)
    for name in ("gate&gt;0", "mae", "val_mae", "expected_sections"):
        assert f"<title>{name}</title>" in text


def test_pictures_have_titles_with_units_where_they_are_known(run, tmp_path):
    _, history, prune = run
    text = written(run, tmp_path / "report.html", history, prune.trajectories)
    for title in (
        "Sections, as wide as their MACs",
        ">probability that a gate is open<",
        ">data_loss: in units of the loss, of the data alone<",
        ">removed: sections that left in an epoch<",
        ">mae<",
    ):
        assert title in text


def test_a_removal_is_shown_with_the_metric_before_and_after_it(run, tmp_path):
    model, history, _ = run
    text = written(run, tmp_path / "report.html", history.history)
    epoch = model.pruning_log[0]["epoch"]
    before, after = history.history["val_mae"][epoch - 1 : epoch + 1]
    assert f"<td>{before:.4f} / {after:.4f}</td>" in text


def across(text, name):
    """Where the points of a curve stand in the picture, from left to right."""
    points = re.search(rf'points="([^"]*)"><title>{name}</title>', text)[1]
    return [point.split(",")[0] for point in points.split()]


@pytest.mark.parametrize("as_dictionary", [False, True])
def test_epochs_are_those_of_fit_where_it_began_late(as_dictionary, tmp_path):
    run = fitted(made(), initial_epoch=2)
    model, history, _ = run
    assert history.epoch[0] == 2
    path = tmp_path / "report.html"
    text = written(run, path, history.history if as_dictionary else history)
    epoch = model.pruning_log[0]["epoch"]
    values = dict(zip(history.epoch, history.history["val_mae"], strict=True))
    assert f"<td>{values[epoch - 1]:.4f} / {values[epoch]:.4f}</td>" in text
    # The numbers below the first and the last epoch.
    assert ">3</text>" in text
    assert ">8</text>" in text


@pytest.mark.parametrize(
    ("often", "epochs"), [(2, [1, 3, 5, 7]), (3, [2, 5]), ([1, 4, 5], [0, 3, 4])]
)
def test_validation_that_is_not_in_every_epoch_stands_at_its_own(
    often, epochs, tmp_path
):
    run = fitted(made(), validation_freq=often)
    model, history, _ = run
    assert len(history.history["val_mae"]) == len(epochs)
    text = written(run, tmp_path / "report.html", history)
    places = across(text, "mae")
    assert across(text, "val_mae") == [places[epoch] for epoch in epochs]
    # Nobody knows what a metric was in the epoch before.
    assert " / " not in text.split("Decisions")[1].split("</th></tr>")[1]


def test_a_curve_of_unknown_epochs_is_left_out(run, tmp_path):
    curves = {**run[1].history, "odd": [1.0, 2.0]}
    text = written(run, tmp_path / "report.html", curves)
    assert "<title>mae</title>" in text
    assert "<title>odd</title>" not in text


def test_decisions_of_an_earlier_fit_do_not_meet_the_curves_of_a_later_one(tmp_path):
    first = fitted(made())
    second = fitted(first[0])
    texts = [
        written(run, tmp_path / f"{name}.html", run[1])
        for name, run in (("first", first), ("second", second))
    ]
    pair = re.compile(r"<td>\d\.\d{4} / \d\.\d{4}</td>")
    assert [len(pair.findall(text)) for text in texts] == [2, 0]


class Each(keras.metrics.MeanAbsoluteError):
    """An array for each epoch, as `F1Score` returns by default."""

    def result(self):
        return keras.ops.stack([super().result()] * 2)


def test_metrics_that_are_no_numbers_are_passed_over(tmp_path):
    run = fitted(made([Each(name="each"), "mae"]), epochs=2)
    assert np.shape(run[1].history["val_each"]) == (2, 2)
    text = written(run, tmp_path / "report.html", run[1])
    assert "val_mae, epoch before / of it" in text
    assert "<title>mae</title>" in text
    assert "each<" not in text


def test_the_report_needs_nothing_but_itself(run, tmp_path):
    text = written(run, tmp_path / "report.html", run[1], run[2].trajectories)
    assert "src=" not in text
    assert "href=" not in text


def test_a_network_without_macs_has_a_report(tmp_path):
    inputs = keras.Input((4,))
    branch = klp.BernoulliGate()(keras.layers.BatchNormalization()(inputs))
    network = keras.Model(inputs, keras.layers.Add()([inputs, branch]))
    text = written([klp.GatedModel(network)], tmp_path / "report.html")
    assert "<td>MACs per example</td><td>0</td><td>0</td><td></td>" in text


def test_a_report_does_not_overwrite_a_file(run, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="Choose another path"):
        klp.write_report(run[0], path)
    assert path.read_text() == "mine"


def test_a_report_of_a_plain_model_is_an_error(tmp_path):
    with pytest.raises(TypeError, match="`model` must be a `GatedModel`"):
        klp.write_report(keras.Sequential([keras.Input((1,))]), tmp_path / "r.html")


class InterruptInEpoch(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


def test_an_interrupted_training_has_its_own_curves_and_decisions(tmp_path):
    model, *_ = fitted(made())
    with pytest.raises(KeyboardInterrupt):
        fitted(model, validation_freq=2, callbacks=[InterruptInEpoch(4)])
    assert model.history.epoch == [0, 1, 2, 3]
    path = tmp_path / "report.html"
    text = written((model,), path, model.history)
    assert across(text, "val_mae") == across(text, "mae")[1::2]
    # Decided in the `fit` before.
    assert not re.search(r"<td>\d\.\d{4} / \d\.\d{4}</td>", text)


def test_a_training_that_ended_before_its_first_epoch_has_a_report(tmp_path):
    model, prune = made(), klp.PruneSections(verbose=0)
    callbacks = [InterruptInEpoch(0), prune]
    with pytest.raises(KeyboardInterrupt):
        model.fit(DATA, DATA[:, :1], verbose=0, callbacks=callbacks)
    assert prune.trajectories == {}
    path = tmp_path / "report.html"
    text = written((model,), path, model.history, prune.trajectories)
    assert text.count(" MACs, undecided</title>") == 2


def test_a_training_that_goes_on_tells_what_was_decided_before_it_stopped(tmp_path):
    """In one process, as in a notebook."""
    model, backup = made(), klp.BackupAndRestore(tmp_path / "backup")
    interrupt = InterruptInEpoch(6)
    with pytest.raises(KeyboardInterrupt):
        fitted(model, callbacks=[interrupt, backup])
    assert len(model.pruning_log) == 2
    _, history, _ = fitted(model, callbacks=[backup])
    assert history.epoch == list(range(8))
    text = written((model,), tmp_path / "report.html", history)
    assert len(re.findall(r"<td>\d\.\d{4} / \d\.\d{4}</td>", text)) == 2


def test_a_metric_of_one_of_several_outputs_goes_before_their_losses(tmp_path):
    x = keras.Input((4,))
    y = keras.layers.Add()([x, klp.BernoulliGate()(keras.layers.Dense(4)(x))])
    heads = {name: keras.layers.Dense(1, name=name)(y) for name in ("left", "right")}
    model = klp.GatedModel(keras.Model(x, heads))
    model.compile("sgd", "mse", metrics={"left": ["mse"], "right": ["mae"]})
    targets = dict.fromkeys(heads, DATA[:, :1])
    prune = klp.PruneSections(verbose=0)
    history = model.fit(
        DATA, targets, epochs=8, validation_split=0.5, verbose=0, callbacks=[prune]
    )
    assert "val_left_loss" in history.history
    text = written((model,), tmp_path / "report.html", history)
    assert "<th>val_left_mse, epoch before / of it</th>" in text


def test_a_fit_that_does_not_begin_leaves_the_history_of_the_last_one():
    model, history, _ = fitted(made())
    known = history.decisions, history.validation_freq
    with pytest.raises(ValueError, match="cardinality"):
        model.fit(DATA, DATA[:3], validation_freq=3, verbose=0)
    assert model.history is history
    assert (history.decisions, history.validation_freq) == known


def told(history):
    """What the report knows of an epoch of a history."""
    return history.decisions, history.validation_freq


def test_the_history_of_a_ready_list_of_callbacks_knows_what_was_decided():
    model = made()
    ready = keras.callbacks.CallbackList(
        [klp.PruneSections(verbose=0)], add_history=True, model=model, epochs=8, steps=2
    )
    data = {"x": DATA, "y": DATA[:, :1], "validation_split": 0.25}
    history = model.fit(**data, epochs=8, validation_freq=2, verbose=0, callbacks=ready)
    assert told(history) == (range(2), 2)


def test_a_history_that_serves_two_trainings_knows_the_decisions_of_the_last():
    history = keras.callbacks.History()
    model, *_ = fitted(made(), callbacks=[history])
    assert told(history) == (range(2), 1)
    fitted(model, callbacks=[history], validation_freq=2)
    assert told(history) == (range(2, 2), 2)


def test_a_history_that_went_on_from_a_backup_may_serve_another_training(tmp_path):
    model, backup = made(), klp.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        fitted(model, callbacks=[InterruptInEpoch(6), backup])
    history = keras.callbacks.History()
    fitted(model, callbacks=[backup, history])
    assert told(history) == (range(2), 1)
    fitted(model, callbacks=[history])
    assert told(history) == (range(2, 2), 1)


def test_gates_that_are_undecided_are_called_so(tmp_path):
    model = made()
    text = written((model,), tmp_path / "report.html")
    assert text.count(" MACs, undecided</title>") == 2


def test_a_section_that_is_closed_but_there_is_not_called_removed(tmp_path):
    model = made()
    model.gates[0].probability.assign(0.0)
    text = written((model,), tmp_path / "report.html")
    assert text.count(" MACs, undecided</title>") == 2
    assert "<td>sections</td><td>2</td><td>2</td>" in text


def test_the_report_tells_the_probability_at_the_time_of_each_decision(run, tmp_path):
    text = written(run, tmp_path / "report.html")
    for entry in run[0].pruning_log:
        assert f"<td>{entry['action']}</td><td>{entry['theta']:.3g}</td>" in text
