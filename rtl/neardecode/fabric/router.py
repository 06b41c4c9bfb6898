"""A router: flits in on credit links, flits out on credit links."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import RouterCause
from neardecode.fabric.allocator import SwitchAllocator
from neardecode.fabric.buffer import InputBuffer, choose
from neardecode.fabric.credit_count import CreditCount
from neardecode.fabric.packet_route import PacketRoute
from neardecode.lib.credit import CreditSignature
from neardecode.lib.flit import FlitLayout

__all__ = ["Router", "Turn"]


class Turn(NamedTuple):
    """A way through a router."""

    arrives: int
    """Input."""
    channel: int
    """Virtual channel on the input."""
    leaves: int
    """Output."""
    next_channel: int
    """Virtual channel on the output."""


class Router(wiring.Component):
    """Forwards packets from any port to the port that leads to their destination.

    A packet's output is looked up while it is written into its input's buffer, and stands in its
    header when it comes to the front; in the same cycle in which it is there it is granted its
    output and crosses. Wormhole: a packet holds its virtual channel of an output from its first
    flit to its last; the output's wires are shared flit by flit.

    A flit leaves `latency` cycles after it came, later by one cycle for each flit that goes
    before it and for each cycle without credit. Rate one flit a cycle at every output.

    Parameters:
        flit: What it carries.
        routes: For each address, the port that leads to it; None where pins say so.
        buffer_flits: Flits that a virtual channel of an input holds; its sender's credits.
        output_credits: Credits of each virtual channel of an output.
        classes: Virtual channels of each class of traffic. A flit of an earlier class never waits
            for one of a later class.
        turns: The ways that packets take; by default all, each in its own channel.

    Members:
        inputs: In(`CreditSignature`), an array.
        outputs: Out(`CreditSignature`), an array.
        cause: Out(`RouterCause`). Where this cycle goes.
        routes: In(addresses), an array by port, without ``routes`` only. For each address a bit:
            this port leads to it.

    Raises:
        ValueError: if a route or a turn leads to no port, or not every address has a route.
    """

    latency = 1
    """Cycles from an input to an output that is free."""

    inputs: Sequence
    outputs: Sequence
    cause: Signal
    routes: Sequence

    def __init__(
        self,
        flit: FlitLayout,
        *,
        routes: Sequence[int] | None,
        buffer_flits: int,
        output_credits: int,
        classes: Sequence[int] = (1,),
        turns: Iterable[Turn] | None = None,
    ):
        ports, channels = flit.ports, sum(classes)
        if routes is not None and len(routes) != flit.addresses:
            raise ValueError(f"routes must have {flit.addresses} entries, not {len(routes)!r}")
        for port in routes or ():
            if port not in range(ports):
                raise ValueError(f"a route must be one of {ports} ports, not {port!r}")
        if turns is None:
            turns = (
                Turn(arrives, channel, leaves, channel)
                for arrives in range(ports)
                for leaves in (range(ports) if routes is None else sorted(set(routes)))
                for channel in range(channels)
            )
        self._ways: dict[tuple[int, int], dict[int, int]] = {}
        for turn in sorted(turns):
            if not {turn.arrives, turn.leaves} <= set(range(ports)) or not {
                turn.channel,
                turn.next_channel,
            } <= set(range(channels)):
                raise ValueError(
                    f"a turn must join {ports} ports with {channels} channels, not {turn!r}"
                )
            way = self._ways.setdefault((turn.arrives, turn.channel), {})
            way[turn.leaves] = turn.next_channel
        self._flit = flit
        self._routes = routes and tuple(routes)
        self._ports = ports
        self._channels = channels
        self._buffers = {way: InputBuffer(flit, buffer_flits) for way in self._ways}
        self._packets = {way: PacketRoute(len(leaves)) for way, leaves in self._ways.items()}
        self._begins = {
            port: Signal(channels, name=f"begins_{port}", init=-1) for port, _ in self._ways
        }
        leaving = sorted({way for leaves in self._ways.values() for way in leaves.items()})
        self._credits = {way: CreditCount(output_credits) for way in leaving}
        self._allocator = SwitchAllocator(
            ports,
            ports,
            classes,
            sorted(
                {(arrives, leaves) for (arrives, _), way in self._ways.items() for leaves in way}
            ),
        )
        link = CreditSignature(flit, channels)
        super().__init__(
            {
                "inputs": In(link).array(ports),
                "outputs": Out(link).array(ports),
                "cause": Out(RouterCause),
                **({"routes": In(flit.addresses).array(ports)} if routes is None else {}),
            }
        )

    @property
    def buffer_bits(self) -> int:
        """Bits of all its buffers together."""
        return sum(buffer.depth for buffer in self._buffers.values()) * self._flit.size

    def elaborate(self, platform) -> Module:
        """Buffers, the packets at their fronts, credits, the allocator, and the crossbar."""
        m = Module()
        m.submodules.allocator = self._allocator
        for (port, channel), credits in self._credits.items():
            m.submodules[f"credits_{port}_{channel}"] = credits
            m.d.comb += credits.returned.eq(self.outputs[port].credit[channel])
        for (port, channel), buffer in self._buffers.items():
            m.submodules[f"buffer_{port}_{channel}"] = buffer
            m.submodules[f"packet_{port}_{channel}"] = self._packets[port, channel]

        fronts = {}
        for port in sorted({port for port, _ in self._ways}):
            self._arrive(m, port)
            fronts[port] = self._front(m, port)
        self._request(m)
        self._cross(m, fronts)

        moved = Cat(buffer.o.ready for buffer in self._buffers.values()).any()
        waiting = Cat(buffer.o.valid for buffer in self._buffers.values()).any()
        m.d.comb += self.cause.eq(
            Mux(moved, RouterCause.BUSY, Mux(waiting, RouterCause.CREDIT, RouterCause.IDLE))
        )
        return m

    def _arrive(self, m: Module, port: int) -> None:
        """Writes what comes, its route in its header."""
        link = self.inputs[port]
        channels = [channel for own, channel in self._ways if own == port]
        outputs = sorted({leaves for channel in channels for leaves in self._ways[port, channel]})
        begins = self._begins[port]
        for channel in channels:
            with m.If(link.valid[channel]):
                m.d.sync += begins[channel].eq(link.payload.tail)

        first = Signal(self._flit.first, name=f"first_{port}")
        arrived = Signal(self._flit, name=f"arrived_{port}")
        m.d.comb += [
            first.eq(link.payload),
            arrived.eq(link.payload),
            *(buffer.payload.eq(arrived) for _, buffer in self._of(port)),
            *(buffer.write.eq(link.valid[channel]) for channel, buffer in self._of(port)),
        ]
        with m.If((begins & link.valid).any()):
            destination = first.header.destination
            m.d.comb += arrived.word[: self._ports].eq(
                Cat(
                    self._leads(output).bit_select(destination, 1) if output in outputs else C(0, 1)
                    for output in range(self._ports)
                )
            )

    def _leads(self, output: int) -> Value:
        """For each address a bit: this output leads to it."""
        if self._routes is None:
            return self.routes[output]
        mask = sum((port == output) << address for address, port in enumerate(self._routes))
        return C(mask, len(self._routes))

    def _of(self, port: int) -> list[tuple[int, InputBuffer]]:
        """The channels of an input, each with its buffer."""
        return [
            (channel, buffer) for (own, channel), buffer in self._buffers.items() if own == port
        ]

    def _front(self, m: Module, port: int) -> Value:
        """The flit that crosses, if one does."""
        credit = self.inputs[port].credit
        for channel, buffer in self._of(port):
            packet = self._packets[port, channel]
            outputs = self._ways[port, channel]
            granted = Cat(self._allocator.grants[port][channel][output] for output in outputs)
            flit = buffer.o.payload
            m.d.comb += [
                packet.port.eq(Cat(flit.word[output] for output in outputs)),
                packet.tail.eq(flit.tail),
                packet.granted.eq(granted),
                buffer.o.ready.eq(granted.any()),
                credit[channel].eq(buffer.o.ready),
            ]
        own = self._of(port)
        if len(own) == 1:
            return own[0][1].o.payload.as_value()
        front = Signal(self._flit, name=f"front_{port}")
        m.d.comb += front.eq(
            choose(
                [buffer.o.ready for _, buffer in own],
                [buffer.o.payload.as_value() for _, buffer in own],
            )
        )
        return front.as_value()

    def _request(self, m: Module) -> None:
        """Asks for the outputs that have a credit and are in no other packet's hands."""
        held: dict[tuple[int, int], list[Value]] = {way: [] for way in self._credits}
        for way, outputs in self._ways.items():
            for index, leaving in enumerate(outputs.items()):
                held[leaving].append(self._packets[way].held[index])
        open_: dict[tuple[int, int], Signal] = {}
        for (port, channel), holders in held.items():
            name = f"{port}_{channel}"
            available = self._credits[port, channel].available
            open_[port, channel] = Signal(name=f"open_{name}")
            m.d.comb += open_[port, channel].eq(available & ~Cat(holders).any())
        for (port, channel), outputs in self._ways.items():
            packet = self._packets[port, channel]
            valid = self._buffers[port, channel].o.valid
            for index, (output, next_channel) in enumerate(outputs.items()):
                available = self._credits[output, next_channel].available
                goes = Mux(
                    packet.held[index],
                    available,
                    open_[output, next_channel] & packet.wanted[index],
                )
                m.d.comb += self._allocator.requests[port][channel][output].eq(valid & goes)

    def _cross(self, m: Module, fronts: dict[int, Value]) -> None:
        """Sends what was granted."""
        grants = self._allocator.grants
        for output in range(self._ports):
            link = self.outputs[output]
            selects, values = [], []
            for port, front in fronts.items():
                if any(output in ways for (own, _), ways in self._ways.items() if own == port):
                    channels = [channel for channel, _ in self._of(port)]
                    selects.append(Cat(grants[port][channel][output] for channel in channels).any())
                    values.append(front)
            if not values:
                continue
            m.d.comb += Value.cast(link.payload).eq(choose(selects, values))
            for channel in range(self._channels):
                sent = [
                    grants[port][own][output]
                    for (port, own), ways in self._ways.items()
                    if ways.get(output) == channel
                ]
                if sent:
                    m.d.comb += [
                        link.valid[channel].eq(Cat(sent).any()),
                        self._credits[output, channel].spent.eq(link.valid[channel]),
                    ]
