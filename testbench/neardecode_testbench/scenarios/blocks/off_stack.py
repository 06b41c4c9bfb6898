"""Streams over a stack's edge: order, every transfer on the pins, and the cycle of every payload.

The cycles come from a model that goes through them one by one. A payload wants to cross when it is
offered and has a place at the far end; whoever wants to takes turns, a payload of n transfers at a
time. It is taken with its last one, stands at the far end ``latency + 1`` cycles later, and its
place is free again ``latency + 1`` cycles after it was taken there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from amaranth.hdl import Shape

from neardecode.compute.off_stack import Crossing
from neardecode.config import OffStackCause
from neardecode_testbench.drive.stimulus import Outcome, Play, Probe, Sink, Source, Step
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

__all__ = ["EdgePayloads", "EdgeRun"]


@dataclass
class EdgeRun:
    """When each payload of a stream was taken at each end, and the counters.

    Attributes:
        sent, arrived: Cycles, by stream.
        counts: Cycles by cause.
        bytes_in, bytes_out: Bytes that crossed.
    """

    sent: dict[str, list[int]]
    arrived: dict[str, list[int]]
    counts: dict[str, int]
    bytes_in: int
    bytes_out: int


@dataclass
class _Stream:
    """A stream in the model."""

    payloads: list[int]
    bits: int
    transfers: int
    places: int
    near_stalls: np.ndarray | None
    far_stalls: np.ndarray | None
    offers: bool = False
    moved: int = 0
    sent: list[int] = field(default_factory=list)
    stands: list[int] = field(default_factory=list)
    arrived: list[int] = field(default_factory=list)

    def offered(self, cycle: int) -> bool:
        """Whether a payload is offered; one that is stays."""
        if not self.offers and len(self.sent) < len(self.payloads):
            self.offers = (
                self.near_stalls is None or not self.near_stalls[cycle % len(self.near_stalls)]
            )
        return self.offers

    def has_place(self, cycle: int, latency: int) -> bool:
        """Whether a place at the far end is known to be free."""
        back = sum(taken + latency + 1 <= cycle for taken in self.arrived)
        return len(self.sent) - back < self.places

    def move(self, cycle: int, link_bits: int, latency: int) -> int:
        """A transfer: what is on the pins."""
        payload = self.payloads[len(self.sent)] & (1 << self.bits) - 1
        word = payload >> self.moved * link_bits & (1 << link_bits) - 1
        self.moved += 1
        if self.moved == self.transfers:
            self.moved, self.offers = 0, False
            self.sent.append(cycle)
            self.stands.append(cycle + latency + 1)
        return word

    def take(self, cycle: int) -> None:
        """The far end takes what stands there, unless it is held back."""
        number = len(self.arrived)
        if number == len(self.stands) or self.stands[number] > cycle:
            return
        if number + 1 < len(self.stands):
            self.stands[number + 1] = max(self.stands[number + 1], cycle + 1)
        if self.far_stalls is None or not self.far_stalls[cycle % len(self.far_stalls)]:
            self.arrived.append(cycle)


@dataclass
class EdgePayloads:
    """Random payloads over the edge.

    Attributes:
        crossings, link_bits, latency: The link's.
        payloads: How many of each stream.
        seed: Of the payloads.
        pacing: Of the streams.
        recorder: Sees every stream and the pins, where the simulator is driven from Python.
    """

    crossings: Mapping[str, Crossing]
    link_bits: int
    latency: int
    payloads: Mapping[str, int]
    seed: int = 1
    pacing: Pacing = FULL_RATE
    recorder: Recorder = field(default_factory=lambda: Recorder(()))

    def __post_init__(self) -> None:
        if not self.recorder.streams:
            ends = [end for name in self.crossings for end in (name, f"{name}_far")]
            self.recorder = Recorder(tuple(ends), ("pins",))

    def __call__(self, step: Step) -> EdgeRun:
        """Plays the payloads and checks every value and every cycle."""
        random = np.random.default_rng(self.seed)
        streams: dict[str, _Stream] = {}
        for name, crossing in self.crossings.items():
            width = Shape.cast(crossing.shape).width
            count = -(-crossing.bits // self.link_bits)
            streams[name] = _Stream(
                [
                    int.from_bytes(random.bytes(width // 8 + 1), "little") & (1 << width) - 1
                    for _ in range(self.payloads[name])
                ],
                crossing.bits,
                count,
                1 + -(-(2 * self.latency + 1) // count),
                self.pacing.stalls(name),
                self.pacing.stalls(f"{name}_far"),
            )
        total = sum(len(stream.payloads) * stream.transfers for stream in streams.values())
        outcome = step(
            Play(
                sources=[
                    Source(name, stream.payloads, stream.near_stalls)
                    for name, stream in streams.items()
                ],
                sinks=[
                    Sink(f"{name}_far", len(s.payloads), s.payloads, s.far_stalls)
                    for name, s in streams.items()
                ],
                levels={"counting": 1},
                limit=200 * total + 40 * (self.latency + 10),
                trailing=2 * self.latency + 8,
            )
        )
        for name in streams:
            check_sink(f"{name}_far", outcome.sinks[f"{name}_far"])
        expected, pins = self._model(outcome, streams)
        for name, stream in streams.items():
            check_cycles(name, outcome.sources[name], stream.sent)
            check_cycles(f"{name}_far", outcome.sinks[f"{name}_far"].cycles, stream.arrived)
            check_recorded(self.recorder, f"{name}_far", outcome, stream.stands)
        if self.recorder.cycles and self.recorder.levels["pins"][-outcome.cycles :] != pins:
            raise CheckError("the pins carried something else")

        counts = read_counts(step, "cycles", OffStackCause)
        check_counts("edge", counts, expected)
        seen = step(Probe({}, ["bytes_in", "bytes_out"])).outputs
        for port, outward in (("bytes_in", False), ("bytes_out", True)):
            known = sum(
                self.payloads[name] * -(-crossing.bits // 8)
                for name, crossing in self.crossings.items()
                if crossing.outward == outward
            )
            if seen[port] != known:
                raise CheckError(f"{port} is {seen[port]}, not {known}")
        return EdgeRun(
            {name: outcome.sources[name] for name in streams},
            {name: outcome.sinks[f"{name}_far"].cycles for name in streams},
            counts,
            seen["bytes_in"],
            seen["bytes_out"],
        )

    def _model(
        self, outcome: Outcome, streams: dict[str, _Stream]
    ) -> tuple[dict[str, int], list[int]]:
        """Cycles by cause, and what the pins carry in each."""
        counts = {cause.name: 0 for cause in OffStackCause}
        pins = []
        order = list(streams.values())
        turn = 0
        for cycle in range(outcome.start, outcome.start + outcome.cycles):
            offered = [stream.offered(cycle) for stream in order]
            wants = [
                offers and stream.has_place(cycle, self.latency)
                for offers, stream in zip(offered, order, strict=True)
            ]
            word = 0
            if any(wants):
                index = next(
                    place % len(order)
                    for place in range(turn, turn + len(order))
                    if wants[place % len(order)]
                )
                word = order[index].move(cycle, self.link_bits, self.latency)
                turn = index if order[index].moved else index + 1
                counts["BUSY"] += 1
            else:
                counts["CREDIT" if any(offered) else "IDLE"] += 1
            pins.append(word)
            for stream in order:
                stream.take(cycle)
        return counts, pins
