"""The stack's edge: streams that share a few pins, a payload in as many transfers as it takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config import OffStackCause
from neardecode.lib.arbiter import RoundRobin
from neardecode.lib.counters import CycleCounters
from neardecode.lib.credit import CreditReceiver, CreditSender
from neardecode.lib.pipe import CreditPipe

__all__ = ["Crossing", "OffStackLink", "transfers"]

COUNT_BITS = 48


@dataclass(frozen=True)
class Crossing:
    """A stream that crosses the edge.

    Attributes:
        shape: Of its payloads.
        outward: It leaves the stack; otherwise it comes in.
        beside: So many of a payload's top bits have wires of their own, and go with its last
            transfer: what says where data belong, and whether they are good.
    """

    shape: ShapeLike
    outward: bool
    beside: int = 0

    @property
    def bits(self) -> int:
        """Bits of a payload that cross on data pins."""
        return Shape.cast(self.shape).width - self.beside


def transfers(crossing: Crossing, link_bits: int) -> int:
    """Transfers of a payload."""
    return -(-crossing.bits // link_bits)


class OffStackLink(wiring.Component):
    """Carries payloads over pins that all streams of both directions share.

    A payload crosses in ``transfers`` = ceil(bits / link_bits) cycles, lowest bits first, and
    nothing else crosses in between. It is taken with its last transfer and stands at the far end
    ``latency + 1`` cycles later. Payloads that have room at the far end take turns, a whole one at
    a time; a stream alone crosses at one transfer a cycle where its far end is taken at once, since
    it has ``1 + ceil((2 * latency + 1) / transfers)`` places there.

    Parameters:
        crossings: The streams, by their names.
        link_bits: Bits that the pins carry in a cycle.
        latency: Registers between the ends, each way.

    Members:
        NAME: In(stream), for every crossing.
        NAME_far: Out(stream), where it comes out.
        pins: Out(link_bits). What crosses in this cycle, as it leaves its end.
        counting: In(1). Counters run.
        cycles: Out(counts by `OffStackCause`).
        bytes_in, bytes_out: Out(48). Bytes of payloads that have crossed, those ``beside`` left
            out.

    Raises:
        ValueError: if there is no crossing, ``link_bits`` is not a positive integer, ``latency``
            not a non-negative one, or all bits of a stream are ``beside``.
    """

    pins: Signal
    counting: Signal
    cycles: data.View
    bytes_in: Signal
    bytes_out: Signal

    def __init__(self, crossings: Mapping[str, Crossing], link_bits: int, latency: int):
        if not crossings:
            raise ValueError("crossings must be at least one")
        if not isinstance(link_bits, int) or link_bits < 1:
            raise ValueError(f"link_bits must be a positive integer, not {link_bits!r}")
        if not isinstance(latency, int) or latency < 0:
            raise ValueError(f"latency must be a non-negative integer, not {latency!r}")
        for name, crossing in crossings.items():
            if crossing.beside < 0 or crossing.bits < 1:
                raise ValueError(
                    f"beside of {name} must leave bits to the pins, not {crossing.beside!r}"
                )
        self._crossings = dict(crossings)
        self._link_bits, self._latency = link_bits, latency
        self._cycles = CycleCounters(OffStackCause)
        members: dict[str, wiring.Member] = {}
        for name, crossing in crossings.items():
            signature = stream.Signature(crossing.shape)
            members |= {name: In(signature), f"{name}_far": Out(signature)}
        super().__init__(
            {
                **members,
                "pins": Out(link_bits),
                "counting": In(1),
                "cycles": Out(self._cycles.counts.shape()),
                "bytes_in": Out(COUNT_BITS),
                "bytes_out": Out(COUNT_BITS),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a payload's last transfer until it stands at the far end."""
        return self._latency + 1

    def places(self, name: str) -> int:
        """Payloads of a stream that are on their way or wait at the far end."""
        count = transfers(self._crossings[name], self._link_bits)
        return 1 + -(-(2 * self._latency + 1) // count)

    def elaborate(self, platform) -> Module:
        """A sender and a receiver a stream, the pins between them, and turns."""
        m = Module()
        edge: Any = self
        names = tuple(self._crossings)
        beside = max(crossing.beside for crossing in self._crossings.values())
        wires = data.StructLayout({"pins": self._link_bits, "beside": beside})
        m.submodules.pipe = pipe = CreditPipe(wires, self._latency, len(names))
        leaving, arriving = (wires(Value.cast(end.payload)) for end in (pipe.i, pipe.o))
        m.submodules.turns = turns = RoundRobin(len(names))

        lasts, pins, besides = [], [], []
        for index, name in enumerate(names):
            crossing, granted = self._crossings[name], turns.grants[index]
            count = transfers(crossing, self._link_bits)
            sender = CreditSender(crossing.shape, self.places(name))
            receiver = CreditReceiver(crossing.shape, self.places(name))
            m.submodules[f"{name}_sender"] = sender
            m.submodules[f"{name}_receiver"] = receiver
            near, far = getattr(edge, name), getattr(edge, f"{name}_far")
            connect(m, receiver.o, flipped(far))

            # The near end: a payload is held until its last transfer.
            sent = Signal(range(count), name=f"{name}_sent")
            last = Signal(name=f"{name}_last")
            bits = Value.cast(near.payload)
            m.d.comb += [
                turns.requests[index].eq(near.valid & sender.i.ready),
                last.eq(sent == count - 1),
                Value.cast(sender.i.payload).eq(bits),
                sender.i.valid.eq(granted & last),
                near.ready.eq(granted & last),
                sender.link.credit.eq(pipe.i.credit[index]),
                pipe.i.valid[index].eq(granted),
            ]
            with m.If(granted):
                m.d.sync += sent.eq(Mux(last, 0, sent + 1))
            lasts.append(granted & last)
            word = bits[: crossing.bits].word_select(sent, self._link_bits)
            pins.append(Mux(granted, word, 0))
            besides.append(Mux(granted, bits[crossing.bits :], 0))

            # The far end: what came before the last transfer is kept.
            arrived = Signal(range(count), name=f"{name}_arrived")
            kept = Signal((count - 1) * self._link_bits, name=f"{name}_kept")
            here = pipe.o.valid[index]
            whole = Cat(kept, arriving.pins)[: crossing.bits]
            m.d.comb += [
                receiver.link.valid.eq(here & (arrived == count - 1)),
                Value.cast(receiver.link.payload).eq(
                    Cat(whole, arriving.beside[: crossing.beside])
                ),
                pipe.o.credit[index].eq(receiver.link.credit),
            ]
            with m.If(here):
                m.d.sync += [
                    arrived.eq(Mux(arrived == count - 1, 0, arrived + 1)),
                    kept.eq(Cat(kept, arriving.pins)[self._link_bits :]),
                ]

        m.d.comb += [
            turns.advance.eq(Cat(lasts).any()),
            leaving.pins.eq(_either(pins)),
            leaving.beside.eq(_either(besides)),
            self.pins.eq(leaving.pins),
        ]
        self._count(m, names, turns, lasts)
        return m

    def _count(self, m: Module, names: tuple[str, ...], turns: RoundRobin, lasts: list) -> None:
        """Cycles by cause, and bytes by direction."""
        edge: Any = self
        m.submodules.cycle_counters = counters = self._cycles
        with m.If(turns.requests.any()):
            m.d.comb += counters.cause.eq(OffStackCause.BUSY.value)
        with m.Elif(Cat(getattr(edge, name).valid for name in names).any()):
            m.d.comb += counters.cause.eq(OffStackCause.CREDIT.value)
        with m.Else():
            m.d.comb += counters.cause.eq(OffStackCause.IDLE.value)
        m.d.comb += [counters.counting.eq(self.counting), self.cycles.eq(counters.counts)]
        for total, outward in ((self.bytes_in, False), (self.bytes_out, True)):
            crossed = _either(
                [
                    Mux(last, -(-crossing.bits // 8), 0)
                    for last, crossing in zip(lasts, self._crossings.values(), strict=True)
                    if crossing.outward == outward
                ]
            )
            with m.If(self.counting):
                m.d.sync += total.eq(total + crossed)


def _either(values: list[Value]) -> Value:
    """Values of which at most one is not zero."""
    either: Value = Cat()
    for value in values:
        either = either | value
    return either
