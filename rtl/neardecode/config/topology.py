"""How routers are joined, the way between any two of them, and whether it can lock up.

A topology is a grid of one or two dimensions, open (a line, a mesh) or closed (a ring, a torus).
Packets go along the first dimension first, then along the second, the shorter way round where
there are two. Port 0 of a router is its own end; ports 1 and 2 lead up and down the first
dimension, 3 and 4 the second.

A closed dimension is a circle of buffers that could wait for each other. It has two lanes, each
with virtual channels of its own: a packet starts in the lower one and goes on in the upper one
once it has crossed the dateline, the link between the last router and the first. It is the
topology itself that is checked, whatever it says about routes and lanes (`find_cycle`).

Source: W. J. Dally, C. L. Seitz, "Deadlock-free message routing in multiprocessor interconnection
networks", IEEE Transactions on Computers C-36, 1987.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

__all__ = ["LOCAL", "Hop", "Topology", "find_cycle", "refuse_cycle"]

LOCAL = 0
"""The port of a router's own end."""

Channel = tuple[int, int, int]
"""A buffer that waits for others: the node it lies in, its input port, its virtual channel."""


@dataclass(frozen=True)
class Hop:
    """A packet in a router.

    Attributes:
        node: The router.
        arrives: The port that it came in at.
        lane: The lane that it came in.
        leaves: The port that it leaves by.
        next_lane: The lane that it leaves in.
    """

    node: int
    arrives: int
    lane: int
    leaves: int
    next_lane: int


@dataclass(frozen=True)
class Topology:
    """A grid of routers.

    Attributes:
        sizes: Routers along each dimension.
        closed: The last router of a row is joined to the first.

    Raises:
        ValueError: if there are not one or two dimensions of at least two routers.
    """

    sizes: tuple[int, ...]
    closed: bool = False

    def __post_init__(self) -> None:
        if len(self.sizes) not in (1, 2) or any(size < 2 for size in self.sizes):
            raise ValueError(f"sizes must be one or two numbers of at least 2, not {self.sizes!r}")

    @property
    def nodes(self) -> int:
        """Routers."""
        count = 1
        for size in self.sizes:
            count *= size
        return count

    @property
    def ports(self) -> int:
        """Ports of a router, its own end included."""
        return 1 + 2 * len(self.sizes)

    @property
    def lanes(self) -> int:
        """Virtual channels that a class of traffic needs."""
        return 2 if self.closed else 1

    @property
    def addresses(self) -> int:
        """Addresses and gaps between them, where a size is no power of two."""
        return 1 << sum(self._address_bits)

    @property
    def _address_bits(self) -> list[int]:
        return [(size - 1).bit_length() for size in self.sizes]

    def address(self, node: int) -> int:
        """A node's address: its coordinates side by side, the first lowest."""
        address, shift = 0, 0
        for coordinate, bits in zip(self.coordinates(node), self._address_bits, strict=True):
            address |= coordinate << shift
            shift += bits
        return address

    def coordinates(self, node: int) -> tuple[int, ...]:
        """Where a node is."""
        place = []
        for size in self.sizes:
            place.append(node % size)
            node //= size
        return tuple(place)

    def node(self, coordinates: Sequence[int]) -> int:
        """Which node is there."""
        node = 0
        for coordinate, size in zip(reversed(coordinates), reversed(self.sizes), strict=True):
            node = node * size + coordinate
        return node

    def neighbour(self, node: int, port: int) -> tuple[int, int] | None:
        """The node and its port at the other end of a link, or None where there is no link."""
        if port == LOCAL:
            return None
        dimension, down = divmod(port - 1, 2)
        place = list(self.coordinates(node))
        place[dimension] += -1 if down else 1
        if place[dimension] not in range(self.sizes[dimension]):
            if not self.closed:
                return None
            place[dimension] %= self.sizes[dimension]
        return self.node(place), port - 1 if down else port + 1

    def route(self, node: int, destination: int) -> int:
        """The port by which a packet leaves a node on its way to another."""
        pairs = zip(self.coordinates(node), self.coordinates(destination), self.sizes, strict=True)
        for dimension, (here, there, size) in enumerate(pairs):
            if here == there:
                continue
            up = (there - here) % size <= size // 2 if self.closed else there > here
            return 1 + 2 * dimension + (not up)
        return LOCAL

    def next_lane(self, node: int, arrives: int, lane: int, leaves: int) -> int:
        """The lane of a packet behind a router."""
        if leaves == LOCAL:
            return lane
        dimension, down = divmod(leaves - 1, 2)
        here, last = self.coordinates(node)[dimension], self.sizes[dimension] - 1
        if self.closed and here == (0 if down else last):
            return 1
        turns = arrives == LOCAL or (arrives - 1) // 2 != dimension
        return 0 if turns else lane

    def path(self, source: int, destination: int) -> Iterator[Hop]:
        """The routers of a packet, from its source's to its destination's."""
        node, arrives, lane = source, LOCAL, 0
        while True:
            leaves = self.route(node, destination)
            hop = Hop(node, arrives, lane, leaves, self.next_lane(node, arrives, lane, leaves))
            yield hop
            if leaves == LOCAL:
                return
            following = self.neighbour(node, leaves)
            if following is None:
                raise ValueError(f"a route from {source} to {destination} leaves the network")
            (node, arrives), lane = following, hop.next_lane

    def hops(self, source: int, destination: int) -> int:
        """Links between two nodes."""
        return sum(1 for _ in self.path(source, destination)) - 1

    @cached_property
    def turns(self) -> tuple[frozenset[tuple[int, int, int, int]], ...]:
        """For each node the (arrives, lane, leaves, next lane) that packets use."""
        turns: list[set[tuple[int, int, int, int]]] = [set() for _ in range(self.nodes)]
        for source in range(self.nodes):
            for destination in range(self.nodes):
                for hop in self.path(source, destination):
                    turns[hop.node].add((hop.arrives, hop.lane, hop.leaves, hop.next_lane))
        return tuple(frozenset(of_node) for of_node in turns)


def find_cycle(topology: Topology) -> list[Channel]:
    """A circle of buffers that may all wait for one another, or nothing.

    The buffers are the vertices of a graph; an edge leads from each to the next that a packet in
    it may wait for. Without a circle some packet can always move, so nothing locks up.
    """
    waits: dict[Channel, set[Channel]] = {}
    for node, turns in enumerate(topology.turns):
        for arrives, lane, leaves, next_lane in turns:
            following = topology.neighbour(node, leaves)
            edges = waits.setdefault((node, arrives, lane), set())
            if following is not None:
                edges.add((*following, next_lane))

    done: set[Channel] = set()
    for start in sorted(waits):
        # Depth first, without recursion: a large network is deeper than Python's stack.
        path: list[Channel] = []
        stack = [(start, iter(sorted(waits[start])))] if start not in done else []
        if stack:
            path.append(start)
        while stack:
            _, edges = stack[-1]
            following = next(edges, None)
            if following is None:
                stack.pop()
                done.add(path.pop())
            elif following in path:
                return path[path.index(following) :]
            elif following not in done:
                path.append(following)
                stack.append((following, iter(sorted(waits.get(following, ())))))
    return []


def refuse_cycle(topology: Topology) -> None:
    """Refuses a topology that can lock up.

    Raises:
        ValueError: naming the circle of buffers.
    """
    if circle := find_cycle(topology):
        names = [
            f"node {node} port {port} lane {lane}" for node, port, lane in (*circle, circle[0])
        ]
        raise ValueError(f"packets could wait for each other in a circle: {' -> '.join(names)}")
