"""How long a token's packet can take, whatever else the network carries.

The derivation is in the README of `neardecode.fabric`.
"""

import itertools
from dataclasses import dataclass
from functools import cache

from neardecode.config.topology import Topology

__all__ = ["Envelope", "cone", "latency_bound"]

Link = tuple[int, int]
"""A node and the output by which the link leaves it; output -1 is the link from its own end."""

INJECTION = -1


@dataclass(frozen=True)
class Envelope:
    """What every end declares of its tokens.

    Attributes:
        burst: Packets that it begins at once, at most.
        packet_flits: Flits of a packet, at most.
        window: Cycles from the beginning of one burst to that of the next, at least.

    Raises:
        ValueError: if one of them is no positive integer.
    """

    burst: int
    packet_flits: int
    window: int

    def __post_init__(self) -> None:
        for name, number in vars(self).items():
            if not isinstance(number, int) or number < 1:
                raise ValueError(f"{name} must be a positive integer, not {number!r}")

    @property
    def flits(self) -> int:
        """Flits of a burst."""
        return self.burst * self.packet_flits


def _links(topology: Topology, source: int, destination: int) -> list[Link]:
    """The links of a packet, its own end's at both ends."""
    return [
        (source, INJECTION),
        *((hop.node, hop.leaves) for hop in topology.path(source, destination)),
    ]


@cache
def cone(topology: Topology, source: int) -> frozenset[Link]:
    """Every link whose traffic can hold up a packet of a source, wherever it goes.

    The links that lie behind the source's own on the ways of packets, in any number of steps.
    """
    following: dict[Link, set[Link]] = {}
    for start in range(topology.nodes):
        for end in range(topology.nodes):
            links = _links(topology, start, end)
            for link, behind in itertools.pairwise(links):
                following.setdefault(link, set()).add(behind)
    reached: set[Link] = set()
    waiting = {(source, INJECTION)}
    while waiting:
        link = waiting.pop()
        reached.add(link)
        waiting |= following.get(link, set()) - reached
    return frozenset(reached)


def latency_bound(
    topology: Topology, envelope: Envelope, *, buffer_flits: int, link_latency: int
) -> int:
    """The most cycles from the beginning of a token's packet to its last flit's arrival.

    Holds for tokens on one virtual channel of the first class of an open topology, under any
    traffic of other classes, if ends send tokens first and take them as they come.

    Raises:
        ValueError: if the topology is closed, buffers are too small to keep a link busy, or bursts
            follow each other too fast for a bound.
    """
    if topology.closed:
        raise ValueError("a bound is known for open topologies only: a line or a mesh")
    if buffer_flits < 2 * link_latency + 2:
        raise ValueError(
            f"buffer_flits must be at least 2 * link_latency + 2 = {2 * link_latency + 2} for a"
            f" bound, not {buffer_flits}"
        )
    nodes = range(topology.nodes)
    paths = {(a, b): _links(topology, a, b) for a in nodes for b in nodes}
    worst = 0
    for source in nodes:
        near = cone(topology, source)
        crossings = [
            max(sum(link in near for link in paths[other, end]) for end in nodes) for other in nodes
        ]
        own = crossings[source]
        others = sum(crossings) - own
        hops = max(len(paths[source, end]) for end in nodes) - 2
        alone = (hops + 1) * (link_latency + 1) + link_latency
        bound = alone
        while True:
            bursts = 2 * bound // envelope.window + 1
            longer = alone + others * envelope.flits * bursts + own * (envelope.flits * bursts - 1)
            if longer == bound:
                break
            bound = longer
            if bound > 100 * envelope.window:
                raise ValueError(
                    f"bursts of {envelope.flits} flits every {envelope.window} cycles are too"
                    f" fast for a bound; try a window above"
                    f" {2 * (alone + (others + own) * envelope.flits)}"
                )
        worst = max(worst, bound)
    return worst
