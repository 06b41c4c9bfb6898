"""What a router's proofs see of its inside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from amaranth.hdl import Cat, Const, Signal, Value

from neardecode.config.topology import Topology
from neardecode.fabric.router import Router, Turn
from neardecode.fabric.tile import network_turns
from neardecode.lib.flit import FlitLayout, HeaderLayout

__all__ = [
    "BufferState",
    "Channel",
    "ObservedRouter",
    "Way",
    "at_most_one",
    "exactly_one",
    "routers_of",
    "total",
]

Way = tuple[int, int]
"""A port and a virtual channel."""


@dataclass(frozen=True)
class BufferState:
    """A buffer's inside.

    Attributes:
        entries: What each holds.
        oldest, following: A bit for each: it is the oldest; the next flit is written there.
        filled: There is a flit.
        held: A bit for each output of this channel: the packet under way holds it.
    """

    entries: Sequence[Value]
    oldest: Signal
    following: Signal
    filled: Signal
    held: Signal

    @property
    def depth(self) -> int:
        """Entries."""
        return len(self.entries)


class ObservedRouter(Router):
    """A router that shows its state."""

    @property
    def flit(self) -> FlitLayout:
        """What it carries."""
        return self._flit

    @property
    def ways(self) -> Mapping[Way, Mapping[int, int]]:
        """By input and channel: its outputs, and the channel on each."""
        return self._ways

    @cached_property
    def buffers(self) -> Mapping[Way, BufferState]:
        """By input and channel."""
        return {
            way: BufferState(
                [Cat(*entry) for entry in buffer._entries],
                *(buffer._oldest, buffer._next, buffer._filled, self._packets[way]._held),
            )
            for way, buffer in self._buffers.items()
        }

    @property
    def credits(self) -> Mapping[Way, Signal]:
        """By output and channel, what may still be sent."""
        return {way: credits._count for way, credits in self._credits.items()}

    @property
    def output_credits(self) -> int:
        """What may be sent after reset."""
        return next(iter(self._credits.values()))._credits

    @property
    def begins(self) -> Mapping[int, Signal]:
        """By input, for each channel: the next flit to come is a packet's first."""
        return self._begins

    @property
    def classes(self) -> Sequence[int]:
        """Virtual channels of each class."""
        return self._allocator._classes

    @property
    def turns(self) -> Sequence[Signal]:
        """For each class, which of its channels comes first."""
        return self._allocator._turns

    def grants(self, way: Way, output: int) -> Value:
        """The flit at the front of a channel leaves by this output."""
        return self._allocator.grants[way[0]][way[1]][output]

    def at_or_after(self, output: int) -> Signal:
        """Of the inputs that lead to an output, those that come first on its first channel."""
        return self._allocator._at_or_after[output][0]


@dataclass
class Channel:
    """What the statements know of an input's channel.

    Attributes:
        begins: The sender's next flit is a packet's first.
        missing: Flits that the sender has no credit back for: they are in the buffer.
        kept: Which entries hold a flit.
        outputs: Of the router, those that a packet here can leave by.
        route: Where the flit that comes must go, a bit for each of ``outputs``.
        goals: The same of each entry.
    """

    begins: Signal
    missing: Signal
    kept: Signal
    outputs: list[int]
    route: Signal
    goals: list[Signal]

    def leads_to(self, output: int) -> Value:
        """The flit that comes must go there."""
        return self.route[self.outputs.index(output)] if output in self.outputs else Const(0, 1)


def at_most_one(bits: Sequence[Value]) -> Value:
    """No two bits are set."""
    seen: Value = Const(0, 1)
    twice: Value = Const(0, 1)
    for bit in bits:
        twice = twice | (seen & bit)
        seen = seen | bit
    return ~twice


def exactly_one(value: Value) -> Value:
    """Exactly one bit is set."""
    return at_most_one(list(value)) & value.any()


def total(bits: Sequence[Value]) -> Value:
    """How many bits are set."""
    return sum(bits, start=Const(0, 1))


def routers_of(
    topology: Topology, buffer_flits: int, classes: Sequence[int]
) -> list[ObservedRouter]:
    """The routers of a network, each kind once, for any routes; their words only hold a header.

    Raises:
        ValueError: if a class has no whole number of virtual channels a lane.
    """
    kinds: set[frozenset[Turn]] = {
        frozenset(network_turns(topology, node, classes)) for node in range(topology.nodes)
    }
    header = HeaderLayout(topology.addresses, topology.ports)
    return [
        ObservedRouter(
            FlitLayout(header.size, topology.addresses, topology.ports),
            routes=None,
            buffer_flits=buffer_flits,
            output_credits=buffer_flits,
            classes=classes,
            turns=kind,
        )
        for kind in sorted(kinds, key=sorted)
    ]
