"""What a network costs: `summarize`."""

from typing import NamedTuple

from keras_layer_prune.graph.anatomy import (
    count_macs,
    count_parameters,
    layers_at_work,
)
from keras_layer_prune.graph.gates import check_graph, gated_sections
from keras_layer_prune.graph.rebuild import theta_of
from keras_layer_prune.report.latency import measure_latency
from keras_layer_prune.variational._checks import flag


class Summary(NamedTuple):
    """Costs of a network.

    Attributes:
        name: String, the network's name.
        parameters: Int.
        macs: Int, multiply-accumulates per example.
        latency: Float, median seconds of a call with one example, or None.
        sections: List of dictionaries, one for each gate: `name`, `theta`,
            `parameters`, `macs`.
    """

    name: str
    parameters: int
    macs: int
    latency: float | None
    sections: list

    def to_dict(self) -> dict:
        """A dictionary that can be written as JSON."""
        return self._asdict()

    def to_markdown(self) -> str:
        """A Markdown table: one row for each section, and one for the whole."""
        rows = [
            f"| {s['name']} | {s['theta']:.2f} | {s['parameters']:,} | {s['macs']:,} |"
            for s in self.sections
        ]
        return "\n".join(
            [
                "| section | theta | parameters | MACs |",
                "| --- | ---: | ---: | ---: |",
                *rows,
                f"| **whole network** | | {self.parameters:,} | {self.macs:,} |",
            ]
        )

    def __str__(self):
        latency = "" if self.latency is None else f"{self.latency * 1e3:.2f} ms, "
        return (
            f"{self.name}: {self.parameters:,} parameters, {self.macs:,} MACs per "
            f"example, {latency}{len(self.sections)} gated sections"
        )


def summarize(network, latency: bool = True) -> Summary:
    """Parameters, multiply-accumulates and measured latency of a network.

    Args:
        network: Functional or built sequential model, with or without gates.
        latency: Whether to measure the time of a call with one example.

    Returns:
        `Summary`; print it, or take `to_dict()` or `to_markdown()`.

    Raises:
        TypeError: If `network` is no Keras model, or `latency` no bool.
        ValueError: If the calls of `network` cannot be read.

    Example:

    >>> print(keras_layer_prune.summarize(network).to_markdown())
    """
    check_graph(network)
    flag("latency", latency)
    uses = layers_at_work(network)
    return Summary(
        network.name,
        count_parameters(uses),
        count_macs(uses),
        measure_latency(network) if latency else None,
        [_section_costs(section) for section in gated_sections(network)],
    )


def _section_costs(section) -> dict:
    return {
        "name": section.name,
        "theta": theta_of(section.gate),
        "parameters": section.parameters,
        "macs": section.macs,
    }
