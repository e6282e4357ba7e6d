"""Plots of the gates, drawn without a screen and without the user's pyplot."""

import sys

import keras
import numpy as np
import pytest

from keras_layer_prune import BernoulliGate, GatedModel, PruneSections, plot_gates

PNG = b"\x89PNG\r\n\x1a\n"
PATHS = {
    "gate_0": [(0.0, 0.9), (1.0, 0.5), (2.0, 0.0)],
    "gate_1": [(0.0, 0.9), (2.0, 1.0)],
    "gate_2": [(0.0, 0.9), (2.0, 0.4)],
}


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved, kept for a look at them."""
    from matplotlib.figure import Figure

    saved = []
    original = Figure.savefig

    def keep(figure, *args, **kwargs):
        saved.append(figure)
        return original(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved


def test_a_png_is_written(tmp_path):
    path = tmp_path / "gates.png"
    plot_gates(PATHS, path)
    assert path.read_bytes().startswith(PNG)


def test_nothing_is_overwritten(tmp_path):
    path = tmp_path / "gates.png"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="gates.png"):
        plot_gates(PATHS, path)
    assert path.read_text() == "mine"


def test_a_name_to_which_a_suffix_would_be_added_is_refused(tmp_path):
    (tmp_path / "gates.png").write_text("mine")
    with pytest.raises(ValueError, match="must end in a suffix"):
        plot_gates(PATHS, tmp_path / "gates")
    assert (tmp_path / "gates.png").read_text() == "mine"


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder.*none"):
        plot_gates(PATHS, tmp_path / "none" / "gates.png")


def test_every_gate_is_a_line_through_its_points(tmp_path, figures):
    plot_gates(PATHS, tmp_path / "gates.png")
    (axes,) = figures[0].axes
    drawn = [np.transpose(line.get_data()).tolist() for line in axes.lines]
    assert drawn == [[list(point) for point in points] for points in PATHS.values()]


def test_the_legend_says_what_became_of_each_gate(tmp_path, figures):
    plot_gates(PATHS, tmp_path / "gates.png")
    texts = [text.get_text() for text in figures[0].axes[0].get_legend().get_texts()]
    assert texts == ["removed: gate_0", "stays: gate_1", "undecided: gate_2"]


def test_without_gates_there_is_no_legend(tmp_path, figures):
    plot_gates({}, tmp_path / "gates.png")
    assert figures[0].axes[0].get_legend() is None


def test_the_end_of_the_decisions_is_marked_if_given(tmp_path, figures):
    plot_gates(PATHS, tmp_path / "without.png")
    plot_gates(PATHS, tmp_path / "with.png", settled_at=1.5)
    without, marked = (figure.axes[0] for figure in figures)
    assert len(marked.lines) == len(without.lines) + 1
    assert list(marked.lines[-1].get_xdata()) == [1.5, 1.5]
    assert [text.get_text() for text in marked.texts] == ["all gates decided "]


def test_lines_of_many_gates_can_be_told_apart(tmp_path, figures):
    many = {f"gate_{index}": [(0.0, 0.5), (1.0, 1.0)] for index in range(40)}
    plot_gates(many, tmp_path / "gates.png")
    lines = figures[0].axes[0].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 40


def test_names_that_begin_with_an_underscore_are_in_the_legend(tmp_path, figures):
    plot_gates({"_own": [(0.0, 1.0)]}, tmp_path / "gates.png")
    (text,) = figures[0].axes[0].get_legend().get_texts()
    assert text.get_text() == "stays: _own"


@pytest.mark.parametrize("name", ["gate_{}", "block_of_a_model_" * 11 + "{}"])
@pytest.mark.parametrize("count", [1, 12, 24, 54])
def test_no_name_in_the_legend_is_cut_off(count, name, tmp_path, figures):
    many = {name.format(index): [(0.0, 0.5), (1.0, 1.0)] for index in range(count)}
    plot_gates(many, tmp_path / "gates.png", settled_at=1.0)
    (figure,) = figures
    (axes,) = figure.axes
    for part in (axes.get_legend(), *axes.texts):
        box = part.get_window_extent()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1


def test_trajectories_of_a_training_are_drawn(tmp_path, figures):
    x = inputs = keras.Input((3,))
    for index in range(2):
        branch = BernoulliGate(name=f"gate_{index}")(keras.layers.Dense(3)(x))
        x = keras.layers.Add()([x, branch])
    model = GatedModel(keras.Model(inputs, x))
    model.compile("sgd", "mse", run_eagerly=True)
    prune = PruneSections(verbose=0)
    x = np.ones((8, 3), "float32")
    model.fit(x, x, batch_size=4, epochs=4, verbose=0, callbacks=[prune])

    plot_gates(prune.trajectories, tmp_path / "gates.png")

    lines = figures[0].axes[0].lines
    assert [line.get_ydata()[-1] for line in lines] == [
        float(entry["action"] == "kept")
        for entry in sorted(model.pruning_log, key=lambda entry: entry["section"])
    ]


def test_the_users_own_figures_are_left_alone(tmp_path):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    plot_gates(PATHS, tmp_path / "gates.png")
    assert pyplot.get_fignums() == before


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install keras_layer_prune\[examples\]"):
        plot_gates(PATHS, tmp_path / "gates.png")
    assert not (tmp_path / "gates.png").exists()
