"""What `find_sections` returns: records of sections that print as a table."""

from typing import NamedTuple


class Section(NamedTuple):
    """An addition's branch or a block, as `find_sections` found it.

    Attributes:
        name: String, by which `gate_sections` knows it: that of the addition, or of
            the branch's last layer if the addition is a raw operation; that of the
            block. Names of nested models come first, each with a dot.
        kind: `"identity"` or `"projection"`, what the shortcut does; `"block"` for a
            layer that can be left out as a whole; empty if no operand is a shortcut.
        layers: List of names of the layers that would leave.
        parameters: Int, weights in these layers.
        macs: Int, multiply-accumulates per example of these layers.
        prunable: Bool, whether `gate_sections` can put a gate here.
        reason: String, why not; empty if prunable.
        advice: String, what else to know, or what to do about it; often empty.
    """

    name: str
    kind: str
    layers: list
    parameters: int
    macs: int
    prunable: bool
    reason: str
    advice: str


class Sections(list):
    """List of `Section` that prints as a table.

    Args:
        sections: Iterable of `Section`.
        note: String, printed below the table, or alone if there are no sections.
    """

    def __init__(self, sections=(), note=""):
        super().__init__(sections)
        self.note = note

    def __str__(self):
        if not self:
            return self.note
        return "\n".join([*_table([_HEADER, *map(_row, self)]), "", self.note])

    __repr__ = __str__


def with_advice(text, section) -> str:
    """A text about a section, and what to do about it if that is known."""
    return f"{text}; {section.advice}" if section.advice else text


_HEADER = ("section", "kind", "layers", "parameters", "MACs", "prunable")


def _row(section) -> tuple:
    verdict = with_advice(
        "yes" if section.prunable else f"no: {section.reason}", section
    )
    numbers = (len(section.layers), section.parameters, section.macs)
    return section.name, section.kind or "-", *(f"{n:,}" for n in numbers), verdict


def _table(rows) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    is_left = (True, True, False, False, False, True)
    lines = []
    for row in rows:
        cells = zip(row, widths, is_left, strict=True)
        padded = [x.ljust(w) if left else x.rjust(w) for x, w, left in cells]
        lines.append("  ".join(padded).rstrip())
    return lines
