"""Pictures as text: what a report in HTML can carry inside."""

import html

_COLOURS = (
    "#2563eb #dc2626 #059669 #d97706 #7c3aed #0891b2 #be185d #4d7c0f #b45309 #475569"
).split()
_WIDTH, _HEIGHT, _MARGIN = 720, 220, 44


def line_chart(series, label) -> str:
    """Lines over the epochs.

    Args:
        series: Dictionary from a name to a list of pairs (epoch, value).
        label: String, what the values are.

    Returns:
        String, an SVG element; a name appears when the pointer rests on its line.
    """
    points = [point for line in series.values() for point in line]
    across = _Scale([x for x, _ in points], _MARGIN, _WIDTH - 10)
    # Upwards, as plots are read, though SVG counts downwards.
    upward = _Scale([y for _, y in points], _HEIGHT - _MARGIN, 12)
    lines = [
        f'<polyline fill="none" stroke="{_COLOURS[i % len(_COLOURS)]}" '
        f'stroke-width="1.6" points="{_places(line, across, upward)}">'
        f"<title>{html.escape(name)}</title></polyline>"
        for i, (name, line) in enumerate(series.items())
    ]
    return _picture(_axes(across, upward, label) + "".join(lines), _HEIGHT)


def bars(parts) -> str:
    """A network as a row of bars as wide as their cost, what has left faded.

    Args:
        parts: List of tuples (name, cost, whether it stays), from input to output.

    Returns:
        String, an SVG element; name and cost appear when the pointer rests on a bar.
    """
    whole = sum(cost for _, cost, _ in parts) or 1
    gap, left, drawn = 3, 0.0, []
    room = _WIDTH - gap * len(parts)
    for name, cost, stays in parts:
        # What costs next to nothing is still to be seen.
        width = max(2.0, room * cost / whole)
        drawn.append(
            f'<rect x="{left:.1f}" y="4" width="{width:.1f}" height="40" rx="3" '
            f'fill="{_COLOURS[0]}" opacity="{1.0 if stays else 0.15}">'
            f"<title>{html.escape(name)}: {cost:,} MACs, "
            f"{'stays' if stays else 'removed'}</title></rect>"
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
    return " ".join(f"{across(x):.1f},{upward(y):.1f}" for x, y in line)


def _axes(across, upward, label) -> str:
    bottom, left = _HEIGHT - _MARGIN, _MARGIN
    rule = f"M{left} 12V{bottom}H{_WIDTH - 10}"
    return (
        f'<path d="{rule}" fill="none" stroke="#94a3b8"/>'
        + _text(left - 6, 18, f"{upward.high:.3g}", "end")
        + _text(left - 6, bottom, f"{upward.low:.3g}", "end")
        + _text(left, bottom + 16, f"{across.low:.3g}", "start")
        + _text(_WIDTH - 10, bottom + 16, f"epoch {across.high:.3g}", "end")
        + _text(left + 6, 22, label, "start")
    )


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
