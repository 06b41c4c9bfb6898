"""A router between senders and receivers: whole packets, in order, in the cycle that is due.

The model beside it works on packets: an output takes a packet from its first flit to its last,
inputs that want the same output take turns by packet, a flit moves in a cycle in which its output
has a credit, and stands at the receiver behind the output in the next.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from neardecode.config import RouterCause
from neardecode.lib.flit import FlitKind, FlitLayout, TrafficClass
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
from neardecode_testbench.scenarios.blocks.turns import Turns
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["Packet", "RouterPackets", "RouterRun", "random_packets"]


@dataclass(frozen=True)
class Packet:
    """A packet at the edge.

    Attributes:
        port: The input that it comes in at.
        destination: Where it goes.
        flits: Its length.
    """

    port: int
    destination: int
    flits: int = 1


def random_packets(
    seed: int, ports: int, destinations: int, count: int, longest: int = 5
) -> tuple[Packet, ...]:
    """Packets from all inputs to all destinations."""
    random = np.random.default_rng(seed)
    return tuple(
        Packet(
            int(random.integers(ports)),
            int(random.integers(destinations)),
            int(random.integers(1, longest + 1)),
        )
        for _ in range(count)
    )


@dataclass
class RouterRun:
    """What a router did.

    Attributes:
        sent: For each input, when each flit was taken.
        arrived: For each output, when each flit was taken.
        origins: For each output, the source of each flit.
        counts: The counters.
    """

    sent: list[list[int]]
    arrived: list[list[int]]
    origins: list[list[int]]
    counts: dict[str, int]


@dataclass
class _Predicted:
    sent: list[list[int]]
    offered: list[list[int]]
    arrived: list[list[int]]
    flits: list[list[int]]
    causes: dict[str, int]


@dataclass
class _Flit:
    bits: int
    output: int
    tail: bool
    visible_from: int = 0


@dataclass
class RouterPackets:
    """Packets through a router.

    Attributes:
        flit: Their layout.
        routes, ports, buffer_flits, output_credits: The router's.
        packets: What to send.
        seed: Of payloads.
        pacing: Of the streams.
        recorder: Sees every stream, where the simulator is driven from Python.
    """

    flit: FlitLayout
    routes: tuple[int, ...]
    ports: int
    buffer_flits: int
    output_credits: int
    packets: tuple[Packet, ...]
    seed: int = 1
    pacing: Pacing = FULL_RATE
    recorder: Recorder = field(init=False)

    def __post_init__(self) -> None:
        self.recorder = Recorder((*self._inputs, *self._outputs))

    @property
    def _inputs(self) -> list[str]:
        return [f"inputs__{port}" for port in range(self.ports)]

    @property
    def _outputs(self) -> list[str]:
        return [f"outputs__{port}" for port in range(self.ports)]

    def __call__(self, step: Step) -> RouterRun:
        """Plays the packets and checks every value and every cycle."""
        sources = self._flits()
        trailing = 8
        predicted = self._predict(sources, trailing)
        count = sum(map(len, sources))
        outcome = step(
            Play(
                sources=[
                    Source(stream, [flit.bits for flit in flits], self.pacing.stalls(stream))
                    for stream, flits in zip(self._inputs, sources, strict=True)
                ],
                sinks=[
                    Sink(stream, len(flits), flits, self.pacing.stalls(stream))
                    for stream, flits in zip(self._outputs, predicted.flits, strict=True)
                ],
                levels={"counting": 1},
                limit=300 * count + 1000,
                trailing=trailing,
            )
        )
        self._check_order(outcome, sources)
        for port, stream in enumerate(self._outputs):
            check_sink(stream, outcome.sinks[stream])
            check_cycles(stream, outcome.sinks[stream].cycles, predicted.arrived[port])
            check_recorded(self.recorder, stream, outcome, predicted.offered[port])
        for port, stream in enumerate(self._inputs):
            check_cycles(stream, outcome.sources[stream], predicted.sent[port])
        counts = read_counts(step, "cycles", RouterCause)
        check_counts("router", counts, predicted.causes)
        packer = Packer(self.flit)
        logs = [outcome.sinks[stream] for stream in self._outputs]
        return RouterRun(
            [outcome.sources[stream] for stream in self._inputs],
            [log.cycles for log in logs],
            [[packer.field(bits, "source") for bits in log.payloads] for log in logs],
            counts,
        )

    def _flits(self) -> list[list[_Flit]]:
        """The flits of each input."""
        random = np.random.default_rng(self.seed)
        packer = Packer(self.flit)
        flits: list[list[_Flit]] = [[] for _ in range(self.ports)]
        for packet in self.packets:
            for number in range(packet.flits):
                size = self.flit.payload_bits
                payload = int.from_bytes(random.bytes(-(-size // 8)), "little") >> (-size % 8)
                tail = number == packet.flits - 1
                bits = packer.pack(
                    {
                        "traffic_class": TrafficClass.TOKEN.value,
                        "source": packet.port,
                        "destination": packet.destination,
                        "kind": FlitKind.REDUCTION.value,
                        "head": number == 0,
                        "tail": tail,
                        "payload": payload,
                    }
                )
                flits[packet.port].append(_Flit(bits, self.routes[packet.destination], tail))
        return flits

    def _predict(self, sources: Sequence[Sequence[_Flit]], trailing: int) -> _Predicted:
        ports = range(self.ports)
        waiting = [deque(flits) for flits in sources]
        buffers: list[deque[_Flit]] = [deque() for _ in ports]
        receivers: list[deque[_Flit]] = [deque() for _ in ports]
        input_credits = [self.buffer_flits] * self.ports
        output_credits = [self.output_credits] * self.ports
        owners: list[int | None] = [None] * self.ports
        turns = [Turns(self.ports) for _ in ports]
        offering = [False] * self.ports
        standing = [False] * self.ports
        totals = [sum(flit.output == port for flits in sources for flit in flits) for port in ports]
        predicted = _Predicted(
            [[] for _ in ports],
            [[] for _ in ports],
            [[] for _ in ports],
            [[] for _ in ports],
            {cause.name: 0 for cause in RouterCause},
        )
        stalls_in = [self.pacing.stalls(stream) for stream in self._inputs]
        stalls_out = [self.pacing.stalls(stream) for stream in self._outputs]
        cycle = 0
        while True:
            done = not any(waiting) and all(
                len(predicted.arrived[port]) == totals[port] for port in ports
            )
            if done:
                if trailing == 0:
                    return predicted
                trailing -= 1
            returned_in, returned_out = [0] * self.ports, [0] * self.ports

            heads = [
                buffer[0] if buffer and buffer[0].visible_from <= cycle else None
                for buffer in buffers
            ]
            forwarded = False
            arriving: list[tuple[int, _Flit]] = []
            for output in ports:
                asks = [
                    head is not None and head.output == output and owners[output] in (None, port)
                    for port, head in enumerate(heads)
                ]
                if not any(asks):
                    continue
                has_credit = output_credits[output] > 0
                # The turn is used up by the packet's last flit.
                pointed = turns[output].peek(asks)
                flit = buffers[pointed][0]
                turns[output].choose(asks, used=has_credit and flit.tail)
                if has_credit:
                    forwarded = True
                    buffers[pointed].popleft()
                    returned_in[pointed] += 1
                    output_credits[output] -= 1
                    owners[output] = None if flit.tail else pointed
                    arriving.append((output, flit))
            if forwarded:
                cause = RouterCause.BUSY
            else:
                cause = RouterCause.CREDIT if any(heads) else RouterCause.IDLE
            predicted.causes[cause.name] += 1

            for output in ports:
                queue = receivers[output]
                if not queue or queue[0].visible_from > cycle:
                    continue
                if not standing[output]:
                    predicted.offered[output].append(cycle)
                    standing[output] = True
                stalls = stalls_out[output]
                if stalls is None or not stalls[cycle % len(stalls)]:
                    predicted.arrived[output].append(cycle)
                    predicted.flits[output].append(queue.popleft().bits)
                    returned_out[output] += 1
                    standing[output] = False
            for output, flit in arriving:
                flit.visible_from = cycle + 1
                receivers[output].append(flit)

            for port in ports:
                stalls = stalls_in[port]
                if waiting[port] and not offering[port]:
                    offering[port] = stalls is None or not stalls[cycle % len(stalls)]
                if offering[port] and input_credits[port]:
                    input_credits[port] -= 1
                    flit = waiting[port].popleft()
                    flit.visible_from = cycle + 1
                    buffers[port].append(flit)
                    predicted.sent[port].append(cycle)
                    offering[port] = False
            for port in ports:
                input_credits[port] += returned_in[port]
                output_credits[port] += returned_out[port]
            cycle += 1

    def _check_order(self, outcome: Outcome, sources: Sequence[Sequence[_Flit]]) -> None:
        """Packets come whole, and those of a source and destination in order; no model needed."""
        packer = Packer(self.flit)

        def by_pair(flits: Sequence[int]) -> dict[tuple[int, int], list[int]]:
            pairs: dict[tuple[int, int], list[int]] = {}
            for bits in flits:
                key = (packer.field(bits, "source"), packer.field(bits, "destination"))
                pairs.setdefault(key, []).append(bits)
            return pairs

        arrived: dict[tuple[int, int], list[int]] = {}
        for port, stream in enumerate(self._outputs):
            open_packet: tuple[int, int] | None = None
            payloads = outcome.sinks[stream].payloads
            for number, bits in enumerate(payloads):
                key = (packer.field(bits, "source"), packer.field(bits, "destination"))
                if self.routes[key[1]] != port:
                    raise CheckError(f"{stream} {number}: a flit for destination {key[1]}")
                if bool(packer.field(bits, "head")) != (open_packet is None):
                    raise CheckError(
                        f"{stream} {number}: a head inside a packet, or none at its start"
                    )
                if open_packet not in (None, key):
                    raise CheckError(f"{stream} {number}: packets of {open_packet} and {key} mixed")
                open_packet = None if packer.field(bits, "tail") else key
            arrived |= by_pair(payloads)
        sent = by_pair([flit.bits for flits in sources for flit in flits])
        if arrived != sent:
            pairs = [pair for pair in sent if arrived.get(pair) != sent[pair]]
            raise CheckError(f"flits of (source, destination) {pairs} were lost or out of order")
