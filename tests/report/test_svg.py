"""Pictures are read back as XML, and their places compared."""

import itertools
from xml.etree import ElementTree

import pytest

from keras_layer_prune.report.outcome import REMOVED, STAYS, UNDECIDED
from keras_layer_prune.report.svg import bars, line_chart, told_apart

SVG = "{http://www.w3.org/2000/svg}"


def lines(picture):
    root = ElementTree.fromstring(picture)
    return {
        line.find(f"{SVG}title").text: [
            tuple(map(float, place.split(","))) for place in line.get("points").split()
        ]
        for line in root.iter(f"{SVG}polyline")
    }


def rectangles(picture):
    return list(ElementTree.fromstring(picture).iter(f"{SVG}rect"))


def test_a_line_goes_right_with_the_epoch_and_up_with_the_value():
    series = {"gate": [(0, 0.2), (1, 0.9), (4, 0.5)]}
    (points,) = lines(line_chart(series, "theta")).values()
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x0 < x1 < x2
    assert (x2 - x0) == pytest.approx(4 * (x1 - x0), abs=0.5)
    assert y1 < y2 < y0


def test_lines_share_their_scales():
    drawn = lines(line_chart({"a": [(0, 0.0), (2, 1.0)], "b": [(1, 0.5)]}, "theta"))
    (x, y), (left, right) = drawn["b"][0], drawn["a"]
    assert x == pytest.approx((left[0] + right[0]) / 2, abs=0.1)
    assert y == pytest.approx((left[1] + right[1]) / 2, abs=0.1)


def test_a_single_value_and_names_that_html_knows_can_be_drawn():
    drawn = lines(line_chart({"<gate & co>": [(0, 1.0)]}, "a < b"))
    assert list(drawn) == ["<gate & co>"]
    # A line through one place alone is none; from there to there, with round ends, it
    # is a dot.
    first, last = drawn["<gate & co>"]
    assert first == last


def many(count, name="bernoulli_gate_{}"):
    return {name.format(i): [(0, 0.01 * i), (1, 1.0)] for i in range(count)}


@pytest.mark.parametrize("count", [2, 12, 24, 40])
def test_every_line_looks_different_and_as_in_the_legend(count):
    root = ElementTree.fromstring(line_chart(many(count), "theta"))

    def looks(tag):
        return [
            (x.get("stroke"), x.get("stroke-dasharray"))
            for x in root.iter(f"{SVG}{tag}")
        ]

    drawn, (_, *samples) = looks("polyline"), looks("path")  # the axes come first
    assert len(set(drawn)) == count
    assert samples == drawn
    names = [text.text for text in root.iter(f"{SVG}text")][-count:]
    assert names == list(many(count))


@pytest.mark.parametrize(
    ("count", "name"), [(1, "{}"), (24, "bernoulli_gate_{}"), (3, "x" * 60 + "{}")]
)
def test_texts_are_inside_of_the_picture_and_apart_from_each_other(count, name):
    series = many(count, name)
    root = ElementTree.fromstring(line_chart(series, "from 0.000123 to 1"))
    *_, width, height = map(float, root.get("viewBox").split())
    before = {"start": 0.0, "middle": 0.5, "end": 1.0}
    places = []
    for text in root.iter(f"{SVG}text"):
        # A letter is 6.5 wide in the mean, in most fonts of this size.
        x, y, length = float(text.get("x")), float(text.get("y")), 6.5 * len(text.text)
        start = x - before[text.get("text-anchor")] * length
        assert 0.0 <= start
        assert start + length <= width
        assert 12.0 <= y <= height
        places.append((y, start, start + length))
    for (y, _, end), (other_y, start, _) in itertools.pairwise(sorted(places)):
        assert y != other_y or end <= start


def test_bars_are_as_wide_as_the_costs_and_faded_where_removed():
    small, large = rectangles(bars([("a", 100, STAYS), ("b", 300, REMOVED)]))
    widths = [float(bar.get("width")) for bar in (small, large)]
    assert widths[1] == pytest.approx(3 * widths[0], rel=0.01)
    assert float(small.get("opacity")) == 1.0
    assert float(large.get("opacity")) < 0.5
    assert float(large.get("x")) > float(small.get("x")) + widths[0]
    assert "b: 300 MACs, removed" in large.find(f"{SVG}title").text


def test_what_is_undecided_is_neither():
    bar, *others = rectangles(bars([(w, 1, w) for w in (UNDECIDED, STAYS, REMOVED)]))
    assert "undecided" in bar.find(f"{SVG}title").text
    opacities = [float(other.get("opacity")) for other in others]
    assert max(opacities) > float(bar.get("opacity")) > min(opacities)


def test_a_bar_that_costs_nothing_is_still_to_be_seen():
    nothing, _ = rectangles(bars([("a", 0, STAYS), ("b", 10, STAYS)]))
    assert float(nothing.get("width")) > 0


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (0.0, 1.0, ("0", "1")),
        (0.99912, 0.99941, ("0.9991", "0.9994")),
        (0.9999, 0.999907, ("0.9999", "0.99991")),
        (-123456.0, 3.0, ("-1.23e+05", "3")),
        (0.5, 0.5, ("0.5", "0.5")),
    ],
)
def test_numbers_at_the_axes_can_be_told_apart(low, high, shown):
    assert told_apart(low, high) == shown
    numbers = texts(line_chart({"a": [(0, low), (1, high)]}, "accuracy"))
    assert set(shown) <= set(numbers)


def texts(picture):
    root = ElementTree.fromstring(picture)
    return [element.text for element in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("length", [40, 41, 200])
def test_a_long_name_in_a_legend_keeps_its_beginning_and_its_end(length):
    name = ("first" + "x" * length)[: length - 4] + "last"
    (shown,) = (
        text
        for text in texts(line_chart({name: [(0, 1.0)]}, "theta"))
        if "first" in text
    )
    assert shown.endswith("last")
    assert len(shown) == 40
