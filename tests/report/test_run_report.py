"""The report of a run, read back."""

import keras
import numpy as np
import pytest

import keras_layer_prune as klp


@pytest.fixture(scope="module")
def run():
    """A model whose first section leaves and whose second stays, and its training."""
    x = inputs = keras.Input((4,))
    for index, log_gamma in enumerate((1e6, -1e6)):
        gate = klp.BernoulliGate(klp.FlatteningPrior(log_gamma), name=f"gate>{index}")
        x = keras.layers.Add()([x, gate(keras.layers.Dense(4)(x))])
    model = klp.GatedModel(keras.Model(inputs, keras.layers.Dense(1)(x)))
    model.compile("sgd", "mse", metrics=["mae"])
    data = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    target = data[:, :1]
    prune = klp.PruneSections(verbose=0)
    history = model.fit(
        data, target, epochs=8, validation_split=0.25, callbacks=[prune], verbose=0
    )
    return model, history, prune


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
        ">data_loss: nats per example, of the data alone<",
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


def test_the_report_needs_nothing_but_itself(run, tmp_path):
    text = written(run, tmp_path / "report.html", run[1], run[2].trajectories)
    assert "src=" not in text
    assert "href=" not in text


def test_a_report_does_not_overwrite_a_file(run, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="Choose another path"):
        klp.write_report(run[0], path)
    assert path.read_text() == "mine"


def test_a_report_of_a_plain_model_is_an_error(tmp_path):
    with pytest.raises(TypeError, match="`model` must be a `GatedModel`"):
        klp.write_report(keras.Sequential([keras.Input((1,))]), tmp_path / "r.html")
