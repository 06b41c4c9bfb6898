"""What a router does in a cycle, on lists: the model that its bench is compared with.

In a round for every virtual channel, those of earlier classes first, every output that is still
free takes one flit of an input that is still free. A flit asks if it is at the front of its
buffer, its output has a credit, and no other packet holds the output's channel.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from neardecode.config import RouterCause
from neardecode_testbench.scenarios.blocks.turns import Turns

__all__ = ["ModelFlit", "RouterModel"]


@dataclass
class ModelFlit:
    """A flit inside.

    Attributes:
        bits: As it came.
        sent: As it leaves, its route in its header.
        output: Where it goes.
        tail: It is its packet's last.
        since: The first cycle in which it is at the front, if none is before it.
    """

    bits: int
    sent: int
    output: int
    tail: bool
    since: int = 0


@dataclass
class RouterModel:
    """A router with its state.

    Attributes:
        ports, credits: The router's.
        classes: Virtual channels of each class.
    """

    ports: int
    credits: int
    classes: Sequence[int]
    buffers: dict[tuple[int, int], deque[ModelFlit]] = field(init=False)
    free: dict[tuple[int, int], int] = field(init=False)

    def __post_init__(self) -> None:
        channels = range(sum(self.classes))
        ways = [(port, channel) for port in range(self.ports) for channel in channels]
        self.buffers = {way: deque() for way in ways}
        self.free = dict.fromkeys(ways, self.credits)
        self._owners: dict[tuple[int, int], int | None] = dict.fromkeys(ways)
        self._turns = {way: Turns(self.ports) for way in ways}

    def step(self, cycle: int) -> tuple[list[tuple[int, int, int, ModelFlit]], RouterCause]:
        """The (input, channel, output, flit) that cross in a cycle, and where the cycle goes."""
        waiting = {
            way: buffer[0]
            for way, buffer in self.buffers.items()
            if buffer and buffer[0].since <= cycle
        }
        asking = {
            (port, channel): flit.output
            for (port, channel), flit in waiting.items()
            if self.free[flit.output, channel]
            and self._owners[flit.output, channel] in (None, port)
        }
        crossing = []
        busy_inputs: set[int] = set()
        busy_outputs: set[int] = set()
        base = 0
        for size in self.classes:
            for step in range(size):
                # The first channel of a class changes with every cycle.
                channel = base + (cycle + step) % size
                self._round(
                    channel, step == 0, asking, waiting, busy_inputs, busy_outputs, crossing
                )
            base += size
        for port, channel, output, flit in crossing:
            self.buffers[port, channel].popleft()
            self.free[output, channel] -= 1
            self._owners[output, channel] = None if flit.tail else port
        if crossing:
            return crossing, RouterCause.BUSY
        return crossing, RouterCause.CREDIT if waiting else RouterCause.IDLE

    def _round(self, channel, first, asking, waiting, busy_inputs, busy_outputs, crossing) -> None:
        taken = []
        for output in set(range(self.ports)) - busy_outputs:
            asks = [
                port not in busy_inputs and asking.get((port, channel)) == output
                for port in range(self.ports)
            ]
            if any(asks):
                turns = self._turns[output, channel]
                port = turns.choose(asks, used=True) if first else asks.index(True)
                taken.append((port, channel, output, waiting[port, channel]))
        crossing += taken
        busy_inputs |= {port for port, *_ in taken}
        busy_outputs |= {output for _, _, output, _ in taken}
