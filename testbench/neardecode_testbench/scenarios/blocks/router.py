"""A router between senders and receivers: whole packets, in order, in the cycle that is due.

Every flit is compared in the cycle in which `RouterModel` says that it comes.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from neardecode.config import RouterCause
from neardecode.lib.flit import FlitKind, FlitLayout
from neardecode_testbench.drive.stimulus import Outcome, Play, Sink, Source, Step
from neardecode_testbench.scenarios.blocks.edge import (
    FULL_RATE,
    CheckError,
    Pacing,
    Recorder,
    check_counts,
    check_cycles,
    check_recorded,
    check_sink,
    read_counts,
)
from neardecode_testbench.scenarios.blocks.router_model import ModelFlit, RouterModel
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["Packet", "RouterPackets", "RouterRun", "random_packets"]


@dataclass(frozen=True)
class Packet:
    """A packet at the edge.

    Attributes:
        port: The input that it comes in at.
        destination: Where it goes.
        flits: Its length.
        channel: Its virtual channel.
    """

    port: int
    destination: int
    flits: int = 1
    channel: int = 0


def random_packets(
    seed: int, ports: int, destinations: int, count: int, longest: int = 5, channels: int = 1
) -> tuple[Packet, ...]:
    """Packets from all inputs to all destinations."""
    random = np.random.default_rng(seed)
    return tuple(
        Packet(
            int(random.integers(ports)),
            int(random.integers(destinations)),
            int(random.integers(1, longest + 1)),
            int(random.integers(channels)),
        )
        for _ in range(count)
    )


@dataclass
class RouterRun:
    """What a router did.

    Attributes:
        sent: By input and channel, when each flit was taken.
        arrived: By output and channel, when each flit was taken.
        origins: By output and channel, the source of each packet.
        counts: The counters.
    """

    sent: dict[tuple[int, int], list[int]]
    arrived: dict[tuple[int, int], list[int]]
    origins: dict[tuple[int, int], list[int]]
    counts: dict[str, int]


Way = tuple[int, int]
"""A port and a virtual channel."""


@dataclass
class _Predicted:
    sent: dict[Way, list[int]]
    offered: dict[Way, list[int]]
    arrived: dict[Way, list[int]]
    flits: dict[Way, list[int]]
    causes: dict[str, int]


@dataclass
class RouterPackets:
    """Packets through a router.

    Attributes:
        flit: Their layout.
        routes, buffer_flits, output_credits, classes: The router's.
        packets: What to send.
        seed: Of payloads.
        pacing: Of the streams.
        recorder: Sees every stream, where the simulator is driven from Python.
    """

    flit: FlitLayout
    routes: tuple[int, ...]
    buffer_flits: int
    output_credits: int
    classes: tuple[int, ...]
    packets: tuple[Packet, ...]
    seed: int = 1
    pacing: Pacing = FULL_RATE
    recorder: Recorder = field(init=False)

    def __post_init__(self) -> None:
        self.recorder = Recorder(
            tuple(_name(side, way) for side in ("inputs", "outputs") for way in self.ways)
        )

    @property
    def ways(self) -> list[Way]:
        """Every port with every channel."""
        channels = range(sum(self.classes))
        return [(port, channel) for port in range(self.flit.ports) for channel in channels]

    def __call__(self, step: Step) -> RouterRun:
        """Plays the packets and checks every value and every cycle."""
        sources = self._flits()
        trailing = 8
        predicted = self._predict(sources, trailing)
        count = sum(map(len, sources.values()))
        stalls = self.pacing.stalls
        outcome = step(
            Play(
                sources=[
                    Source(name, [flit.bits for flit in sources[way]], stalls(name))
                    for way in self.ways
                    for name in [_name("inputs", way)]
                ],
                sinks=[
                    Sink(name, len(predicted.flits[way]), predicted.flits[way], stalls(name))
                    for way in self.ways
                    for name in [_name("outputs", way)]
                ],
                levels={"counting": 1},
                limit=300 * count + 1000,
                trailing=trailing,
            )
        )
        origins = self._check_order(outcome, sources)
        for way in self.ways:
            name = _name("outputs", way)
            check_sink(name, outcome.sinks[name])
            check_cycles(name, outcome.sinks[name].cycles, predicted.arrived[way])
            check_recorded(self.recorder, name, outcome, predicted.offered[way])
            name = _name("inputs", way)
            check_cycles(name, outcome.sources[name], predicted.sent[way])
        counts = read_counts(step, "cycles", RouterCause)
        check_counts("router", counts, predicted.causes)
        return RouterRun(
            {way: outcome.sources[_name("inputs", way)] for way in self.ways},
            {way: outcome.sinks[_name("outputs", way)].cycles for way in self.ways},
            origins,
            counts,
        )

    def _flits(self) -> dict[Way, list[ModelFlit]]:
        """The flits of each input."""
        random = np.random.default_rng(self.seed)
        packer = Packer(self.flit.first)
        word = self.flit.word_bits
        flits: dict[Way, list[ModelFlit]] = {way: [] for way in self.ways}
        for packet in self.packets:
            output = self.routes[packet.destination]
            for number in range(packet.flits):
                bits = int.from_bytes(random.bytes(-(-word // 8)), "little") >> (-word % 8)
                sent = bits
                if number == 0:
                    header = {
                        "header.destination": packet.destination,
                        "header.source": packet.port,
                        "header.kind": FlitKind.REDUCTION.value,
                    }
                    # A sender's port means nothing.
                    bits = bits >> self.flit.header.size << self.flit.header.size
                    bits |= packer.pack({**header, "header.port": (1 << self.flit.ports) - 1})
                    sent = bits & ~packer.mask("header.port") | 1 << output
                tail = number == packet.flits - 1
                flits[packet.port, packet.channel].append(
                    ModelFlit(bits | tail << word, sent | tail << word, output, tail)
                )
        return flits

    def _predict(self, sources: Mapping[Way, Sequence[ModelFlit]], trailing: int) -> _Predicted:
        model = RouterModel(self.flit.ports, self.output_credits, self.classes)
        waiting = {way: deque(flits) for way, flits in sources.items()}
        receivers: dict[Way, deque[tuple[int, ModelFlit]]] = {way: deque() for way in self.ways}
        credits = dict.fromkeys(self.ways, self.buffer_flits)
        offering = dict.fromkeys(self.ways, False)
        standing = dict.fromkeys(self.ways, False)
        sent, offered, arrived, flits = ({way: [] for way in self.ways} for _ in range(4))
        predicted = _Predicted(
            sent, offered, arrived, flits, {cause.name: 0 for cause in RouterCause}
        )
        open_in = {way: self.pacing.stalls(_name("inputs", way)) for way in self.ways}
        open_out = {way: self.pacing.stalls(_name("outputs", way)) for way in self.ways}
        left = sum(map(len, sources.values()))
        cycle = 0
        while left or trailing:
            trailing -= not left
            returned: list[Way] = []
            crossing, cause = model.step(cycle)
            predicted.causes[cause.name] += 1

            for way, queue in receivers.items():
                if not queue or queue[0][0] > cycle:
                    continue
                if not standing[way]:
                    predicted.offered[way].append(cycle)
                    standing[way] = True
                if _flows(open_out[way], cycle):
                    predicted.arrived[way].append(cycle)
                    predicted.flits[way].append(queue.popleft()[1].sent)
                    returned.append(way)
                    standing[way] = False
                    left -= 1
            for _, channel, output, flit in crossing:
                receivers[output, channel].append((cycle + 1, flit))

            for port in range(self.flit.ports):
                sent = False
                for channel in range(sum(self.classes)):
                    way = port, channel
                    if waiting[way] and not offering[way]:
                        offering[way] = _flows(open_in[way], cycle)
                    if offering[way] and credits[way] and not sent:
                        sent = True
                        credits[way] -= 1
                        flit = waiting[way].popleft()
                        flit.since = cycle + 1
                        model.buffers[way].append(flit)
                        predicted.sent[way].append(cycle)
                        offering[way] = False
            for port, channel, _, _ in crossing:
                credits[port, channel] += 1
            for way in returned:
                model.free[way] += 1
            cycle += 1
        return predicted

    def _check_order(
        self, outcome: Outcome, sources: Mapping[Way, Sequence[ModelFlit]]
    ) -> dict[Way, list[int]]:
        """Packets come whole, and those of a source and destination in order; no model needed.

        Returns:
            The sources of the packets of each output.
        """
        packer = Packer(self.flit.first)

        def by_flow(flits: Sequence[int], channel: int) -> dict[tuple[int, int, int], list[int]]:
            flows: dict[tuple[int, int, int], list[int]] = {}
            flow = None
            for bits in flits:
                if flow is None:
                    source = packer.field(bits, "header.source")
                    flow = (source, packer.field(bits, "header.destination"), channel)
                flows.setdefault(flow, []).append(bits)
                if packer.field(bits, "tail"):
                    flow = None
            if flow is not None:
                raise CheckError(f"a packet of {flow} does not end")
            return flows

        arrived: dict[tuple[int, int, int], list[int]] = {}
        origins: dict[Way, list[int]] = {}
        for port, channel in self.ways:
            payloads = outcome.sinks[_name("outputs", (port, channel))].payloads
            flows = by_flow(payloads, channel)
            if lost := [flow for flow in flows if self.routes[flow[1]] != port]:
                raise CheckError(f"output {port}: packets of {lost}")
            arrived |= flows
            begins = [True, *(bool(packer.field(bits, "tail")) for bits in payloads)]
            origins[port, channel] = [
                packer.field(bits, "header.source")
                for bits, first in zip(payloads, begins, strict=False)
                if first
            ]
        sent: dict[tuple[int, int, int], list[int]] = {}
        for (_, channel), flits in sources.items():
            sent |= by_flow([flit.sent for flit in flits], channel)
        if arrived != sent:
            flows = [flow for flow in sent if arrived.get(flow) != sent[flow]]
            raise CheckError(
                f"flits of (source, destination, channel) {flows} were lost or out of order"
            )
        return origins


def _name(side: str, way: Way) -> str:
    return f"{side}__{way[0]}__{way[1]}"


def _flows(stalls: np.ndarray | None, cycle: int) -> bool:
    return stalls is None or not stalls[cycle % len(stalls)]
