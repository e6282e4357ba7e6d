"""Plots of a training; they need matplotlib, which is an extra."""

import os

from keras_layer_prune._checks import checked_new_file, finite_number
from keras_layer_prune.report.names import shortened
from keras_layer_prune.report.outcome import STAYS, outcome

# A line is told apart by its colour and, where colours come round again, its dashes.
_COLOURS = 10
_DASHES = ("-", "--", ":", "-.")
# What a legend has room for in the height of the picture, and inches for each other.
_ROWS = 20
_ROW = 0.19

MATPLOTLIB_ADVICE = "Plots need matplotlib: `pip install keras_layer_prune[examples]`."


def plot_gates(trajectories, path, settled_at=None):
    """Draw the probability of every gate over the training.

    Args:
        trajectories: Dictionary from gate name to a list of pairs (epoch, theta), as
            in `PruneSections.trajectories`.
        path: Path of a file that does not exist yet; its suffix says which kind of
            picture, as `.png` or `.pdf`.
        settled_at: Float, the epoch at which all gates were decided, marked if given.

    Raises:
        FileExistsError: If `path` exists.
        FileNotFoundError: If its folder does not.
        ImportError: If matplotlib is not installed.
        TypeError: If an argument is not of its type.
        ValueError: If a gate has no points, a number is not finite, or `path` has no
            suffix.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(MATPLOTLIB_ADVICE) from error

    path = _checked(trajectories, path, settled_at)
    # A figure of its own, so that the user's pyplot state is left alone.
    height = 4.5 + _ROW * max(0, len(trajectories) - _ROWS)
    figure = Figure(figsize=(9, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for index, (name, points) in enumerate(trajectories.items()):
        epochs, thetas = zip(*points, strict=True)
        became = outcome(thetas[-1])
        axes.plot(
            epochs,
            thetas,
            color=f"C{index % _COLOURS}",
            linestyle=_DASHES[index // _COLOURS % len(_DASHES)],
            linewidth=1.8 if became == STAYS else 1.2,
            label=f"{became}: {shortened(name)}",
        )
    if settled_at is not None:
        axes.axvline(settled_at, color="black", linewidth=0.8, linestyle=":")
        # At the left of its line, which often stands at the right border.
        axes.annotate("all gates decided ", (settled_at, 1.06), ha="right", fontsize=8)
    axes.set_xlabel("epoch")
    axes.set_ylabel("probability that the gate is open")
    axes.set_ylim(-0.05, 1.15)
    if trajectories:
        axes.legend(
            loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False
        )
    figure.savefig(path, dpi=150)


def _checked(trajectories, path, settled_at) -> str:
    """Raise unless a plot can be drawn; return the path as a string."""
    if settled_at is not None:
        finite_number("settled_at", settled_at)
    check_trajectories(trajectories)
    path = checked_new_file(path)
    if not os.path.splitext(path)[1]:
        # Matplotlib would add one, and overwrite what has that name.
        raise ValueError(
            "`path` must end in a suffix that says which kind of picture, as `.png` or "
            f"`.pdf`. Received: path={path!r}"
        )
    return path


def check_trajectories(trajectories):
    """Raise unless gates' trajectories can be drawn."""
    if not isinstance(trajectories, dict):
        raise TypeError(
            "`trajectories` must be a dictionary, as `PruneSections.trajectories` is. "
            f"Received: trajectories={trajectories!r}"
        )
    for name, points in trajectories.items():
        if not isinstance(name, str):
            raise TypeError(
                "`trajectories` must have the names of gates as keys. Received: "
                f"{name!r}"
            )
        _check_points(name, points)


def _check_points(name, points):
    is_list = isinstance(points, list | tuple) and len(points) > 0
    if not is_list or not all(
        isinstance(point, list | tuple) and len(point) == 2 for point in points
    ):
        raise ValueError(
            f"`trajectories` must hold a list of pairs (epoch, theta) for each gate, "
            f"with one at least. Received: trajectories[{name!r}]={points!r}"
        )
    for number in (number for point in points for number in point):
        finite_number(f"trajectories[{name!r}]", number)
