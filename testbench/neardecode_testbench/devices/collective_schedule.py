"""Which words an end sends where, step by step, in all-reduces that endpoints do themselves.

Source: R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of collective communication operations
in MPICH", International Journal of High Performance Computing Applications 19(1), 2005, for both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from neardecode.config.topology import Topology

__all__ = ["SCHEDULES", "Algorithm", "Step", "doubling_steps", "ring_order", "ring_steps"]

Algorithm = Literal["ring", "doubling"]


@dataclass(frozen=True)
class Step:
    """One step of one node; every step has as many words.

    Attributes:
        partner: The node that it sends to.
        sent: The first word sent.
        received: The first word received, from whoever sends in this step.
        adds: Words received are added; otherwise they replace.
    """

    partner: int
    sent: int
    received: int
    adds: bool


def ring_order(topology: Topology) -> list[int]:
    """The nodes in a circle, along links as far as there is such a circle.

    Over a grid with an even number of rows: back and forth through all columns but the first,
    which leads back.
    """
    if len(topology.sizes) == 1:
        return list(range(topology.nodes))
    columns, rows = topology.sizes
    if columns == 1 or rows % 2:
        return list(range(topology.nodes))
    order = [topology.node((0, 0))]
    for row in range(rows):
        along = range(1, columns) if row % 2 == 0 else range(columns - 1, 0, -1)
        order += [topology.node((column, row)) for column in along]
    return order + [topology.node((0, row)) for row in range(rows - 1, 0, -1)]


def ring_steps(topology: Topology, words: int) -> list[list[Step]]:
    """For each node: shares go round the circle and gather sums, then go round once more."""
    order = ring_order(topology)
    nodes = len(order)
    share = words // nodes
    steps: list[list[Step]] = [[] for _ in order]
    for place, node in enumerate(order):
        following = order[(place + 1) % nodes]
        for number in range(2 * (nodes - 1)):
            sent = (place - number) % nodes
            received = (place - number - 1) % nodes
            steps[node].append(Step(following, sent * share, received * share, number < nodes - 1))
    return steps


def doubling_steps(topology: Topology, words: int) -> list[list[Step]]:
    """For each node: everything to a partner, at twice the distance in each step."""
    nodes = topology.nodes
    return [
        [Step(node ^ 1 << number, 0, 0, True) for number in range(nodes.bit_length() - 1)]
        for node in range(nodes)
    ]


SCHEDULES: dict[Algorithm, Callable[[Topology, int], list[list[Step]]]] = {
    "ring": ring_steps,
    "doubling": doubling_steps,
}
