"""What a network costs: `summarize`."""

from typing import NamedTuple

from keras_layer_prune.graph.checks import check_graph
from keras_layer_prune.graph.costs.anatomy import (
    count_macs,
    count_parameters,
    layers_at_work,
)
from keras_layer_prune.graph.gates import find_gates, gated_sections, theta_of
from keras_layer_prune.graph.rebuild import served
from keras_layer_prune.report.latency import saved_latencies


class Summary(NamedTuple):
    """Costs of a network.

    Attributes:
        name: String, the network's name.
        parameters: Int.
        macs: Int, multiply-accumulates per example; sizes that are not known count
            as 1.
        latency: Float, median seconds of a call with one example, or with the batch
            that the inputs fix, or None.
        sections: List of dictionaries, one for each gate: `name`, `theta`,
            `parameters`, `macs`, and `latency`, the seconds of a call that leave with
            the section, or None.
    """

    name: str
    parameters: int
    macs: int
    latency: float | None
    sections: list

    def to_dict(self) -> dict:
        """A dictionary that can be written as JSON; latencies in seconds."""
        return self._asdict()

    def to_markdown(self) -> str:
        """A Markdown table: one row for each section, and one for the whole.

        Latencies, if measured, are in milliseconds.
        """
        rows = [
            (
                s["name"],
                f"{s['theta']:.2f}",
                *_cells(s["parameters"], s["macs"], s["latency"]),
            )
            for s in self.sections
        ]
        whole = _cells(self.parameters, self.macs, self.latency)
        table = [
            ("section", "theta", "parameters", "MACs", "latency, ms"),
            ("---", *["---:"] * 4),
            *rows,
            ("**whole network**", "", *whole),
        ]
        columns = 4 if self.latency is None else 5
        return "\n".join(f"| {' | '.join(row[:columns])} |" for row in table)

    def __str__(self):
        latency = "" if self.latency is None else f"{_ms(self.latency)} ms, "
        lines = [
            f"{self.name}: {self.parameters:,} parameters, {self.macs:,} MACs per "
            f"example, {latency}{len(self.sections)} gated sections"
        ]
        lines += [
            f"  {s['name']}: {s['parameters']:,} parameters, {s['macs']:,} MACs, "
            f"{_ms(s['latency'])} ms"
            for s in self.sections
            if s["latency"] is not None
        ]
        return "\n".join(lines)


def summarize(network, latency: bool | str = True) -> Summary:
    """Parameters, multiply-accumulates and measured latency of a network.

    Latencies are those of the network as it is served: without gates, all sections in
    it. That of a section is how much less a call takes without it, the two networks
    called in turn. It can come out below 0 where a section takes less time than the
    machine's noise, and sections need not add up to the whole. Where the inputs fix the
    size of a batch, it is such a batch that is timed, and not one example.

    Args:
        network: Functional or built sequential model, with or without gates.
        latency: Whether to measure the time of a call with one example: True for that
            of the whole network, `"sections"` for that of each section too, which
            makes and times a network for each; False for none.

    Returns:
        `Summary`; print it, or take `to_dict()` or `to_markdown()`.

    Raises:
        TypeError: If `network` is no Keras model.
        ValueError: If the calls of `network` cannot be read, or `latency` is not one
            of the three.

    Example:

    >>> print(keras_layer_prune.summarize(network, latency="sections").to_markdown())
    """
    check_graph(network)
    _check_latency(latency)
    uses = layers_at_work(network)
    sections = gated_sections(network)
    whole, saved = None, [None] * len(sections)
    if latency == "sections":
        whole, saved = _latencies(network, sections)
    elif latency:
        whole, _ = _latencies(network, [])
    return Summary(
        network.name,
        count_parameters(uses),
        count_macs(uses),
        whole,
        [_section_costs(*pair) for pair in zip(sections, saved, strict=True)],
    )


def _check_latency(latency):
    is_word = isinstance(latency, str) and latency == "sections"
    if not is_word and not isinstance(latency, bool):
        raise ValueError(
            '`latency` must be True for that of the whole network, "sections" for that '
            f"of each section too, or False. Received: latency={latency!r}"
        )


def _latencies(network, sections) -> tuple[float, list]:
    """Seconds of a call of the whole network, and what leaves with each section."""
    without = (served(network, [section.gate]) for section in sections)
    return saved_latencies(served(network) if find_gates(network) else network, without)


def _section_costs(section, latency) -> dict:
    return {
        "name": section.name,
        "theta": theta_of(section.gate),
        "parameters": section.parameters,
        "macs": section.macs,
        "latency": latency,
    }


def _cells(parameters, macs, latency) -> tuple[str, ...]:
    """Costs in the columns of a table."""
    return f"{parameters:,}", f"{macs:,}", "" if latency is None else _ms(latency)


def _ms(seconds) -> str:
    return f"{seconds * 1e3:.2f}"
