"""Pictures as text: what a report in HTML can carry inside."""

import html

from keras_layer_prune.report.names import shortened
from keras_layer_prune.report.outcome import REMOVED, STAYS, UNDECIDED

_COLOURS = (
    "#2563eb #dc2626 #059669 #f59e0b #7c3aed #06b6d4 #ec4899 #65a30d #78350f #64748b"
).split()
# A line is told apart by its colour and, where colours come round again, its dashes.
_DASHES = ("none", "6 3", "2 3", "10 3 2 3")
_WIDTH, _HEIGHT = 720, 220
_OPACITY = {STAYS: 1.0, UNDECIDED: 0.5, REMOVED: 0.15}
# Room for the title, for numbers at the left, and for epochs below.
_TOP, _LEFT, _RIGHT, _BOTTOM = 30, 80, 10, 36
_LEGEND_ROW = 18
# The mean width of a letter, rather too wide than too narrow.
_LETTER = 7.5


def line_chart(series, label) -> str:
    """Lines over the epochs, with a legend below.

    Args:
        series: Dictionary from a name to a list of pairs (epoch, value).
        label: String, what the values are, with their unit.

    Returns:
        String, an SVG element; a name appears when the pointer rests on its line.
    """
    points = [point for line in series.values() for point in line]
    across = _Scale([x for x, _ in points], _LEFT, _WIDTH - _RIGHT)
    # Upwards, as plots are read, though SVG counts downwards.
    upward = _Scale([y for _, y in points], _HEIGHT - _BOTTOM, _TOP)
    lines = [
        f'<polyline fill="none" stroke-linecap="round" {_look(index)} '
        f'points="{_places(line, across, upward)}">'
        f"<title>{html.escape(name)}</title></polyline>"
        for index, (name, line) in enumerate(series.items())
    ]
    legend, height = _legend(list(series))
    content = _axes(across, upward, label) + "".join(lines) + legend
    return _picture(content, _HEIGHT + height)


def _look(index) -> str:
    """How the line of a number is drawn."""
    colour = _COLOURS[index % len(_COLOURS)]
    dashes = _DASHES[index // len(_COLOURS) % len(_DASHES)]
    return f'stroke="{colour}" stroke-width="1.6" stroke-dasharray="{dashes}"'


def _legend(names) -> tuple[str, int]:
    """A sample of each line beside its name, in columns, and the height of it all."""
    names = [shortened(name) for name in names]
    longest = _LETTER * max(map(len, names))
    columns = max(1, int((_WIDTH - _LEFT) // (longest + 40)))
    entries = []
    for index, name in enumerate(names):
        x = _LEFT + (index % columns) * (_WIDTH - _LEFT) / columns
        y = _HEIGHT + _LEGEND_ROW * (index // columns) + 6
        entries.append(
            f'<path d="M{x:.1f} {y}h24" {_look(index)}/>'
            + _text(f"{x + 30:.1f}", y + 4, name, "start")
        )
    return "".join(entries), _LEGEND_ROW * (-(-len(names) // columns))


def bars(parts) -> str:
    """A network as a row of bars as wide as their cost, what has left faded.

    Args:
        parts: List of tuples (name, cost, outcome), from input to output.

    Returns:
        String, an SVG element; name and cost appear when the pointer rests on a bar.
    """
    whole = sum(cost for _, cost, _ in parts) or 1
    gap, left, drawn = 3, 0.0, []
    room = _WIDTH - gap * len(parts)
    for name, cost, became in parts:
        # What costs next to nothing is still to be seen.
        width = max(2.0, room * cost / whole)
        drawn.append(
            f'<rect x="{left:.1f}" y="4" width="{width:.1f}" height="40" rx="3" '
            f'fill="{_COLOURS[0]}" opacity="{_OPACITY[became]}">'
            f"<title>{html.escape(name)}: {cost:,} MACs, {became}</title></rect>"
        )
        left += width + gap
    return _picture("".join(drawn), 48, max(_WIDTH, left))


class _Scale:
    """A linear map from values to places in the picture."""

    def __init__(self, values, start, end):
        self.low, self.high = min(values), max(values)
        self._start, self._end = start, end

    def __call__(self, value) -> float:
        # One value alone stands in the middle.
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return self._start + share * (self._end - self._start)


def _places(line, across, upward) -> str:
    # A line needs two ends to be drawn; one place twice is a dot.
    line = line * 2 if len(line) == 1 else line
    return " ".join(f"{across(x):.1f},{upward(y):.1f}" for x, y in line)


def _axes(across, upward, label) -> str:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    low, high = told_apart(upward.low, upward.high)
    first, last = told_apart(across.low, across.high)
    rule = f"M{_LEFT} {_TOP}V{bottom}H{right}"
    return (
        f'<path d="{rule}" fill="none" stroke="#94a3b8"/>'
        + _text(_LEFT - 6, _TOP + 4, high, "end")
        + _text(_LEFT - 6, bottom + 4, low, "end")
        + _text(_LEFT, bottom + 16, first, "start")
        + _text((_LEFT + right) / 2, bottom + 16, "epoch", "middle")
        + _text(right, bottom + 16, last, "end")
        + _text(_LEFT, 14, label, "start")
    )


def told_apart(low, high) -> tuple[str, str]:
    """Two numbers, with as many digits as it takes to see which is which."""
    for digits in range(3, 17):
        texts = f"{low:.{digits}g}", f"{high:.{digits}g}"
        if low == high or texts[0] != texts[1]:
            break
    return texts


def _text(x, y, text, anchor) -> str:
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="12" '
        f'fill="#475569">{html.escape(text)}</text>'
    )


def _picture(content, height, width=_WIDTH) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height}" xmlns="http://www.w3.org/2000/svg" '
        f'role="img">{content}</svg>'
    )
