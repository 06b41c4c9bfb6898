"""An end of a network that does its part of an all-reduce itself, step by step."""

from collections.abc import Sequence
from typing import cast

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from neardecode.lib.credit import CreditInterface, CreditSender, CreditSignature
from neardecode.lib.flit import FlitKind, FlitLayout
from neardecode_testbench.devices.collective_schedule import Step

__all__ = ["CollectiveEnd"]

MOST_PACKET_WORDS = 64


class _Place(data.StructLayout):
    """Where the words of a packet belong: in the first flit, behind its header."""

    def __init__(self, steps: int, words: int):
        super().__init__({"step": range(steps), "word": range(words)})


class CollectiveEnd(wiring.Component):
    """Holds a vector, and sends, receives and adds words of it as a schedule says.

    As fast as an end can be: it sends a word as soon as the step before has made it what it shall
    be, receives a word in every cycle, into a landing memory with a place for every word of every
    step, and adds a word in every cycle.

    Parameters:
        flit: The network's.
        address: Its own.
        addresses: For each node its address.
        steps: The schedule.
        words: Words of the vector.
        step_words: Words of a step.
        credits: Flits that the network's input holds.
        channels: Virtual channels of the network's links.

    Members:
        loads: In(stream of a word). The vector's first contents.
        loaded: Out(1).
        start: In(1). All are loaded.
        done: Out(1).
        results: Out(stream of a word). The vector, once done.
        injection: Out(`CreditSignature`). Uses the first channel.
        ejection: In(`CreditSignature`).
    """

    loads: stream.Interface
    loaded: Signal
    start: Signal
    done: Signal
    results: stream.Interface
    injection: CreditInterface
    ejection: CreditInterface

    def __init__(
        self,
        flit: FlitLayout,
        *,
        address: int,
        addresses: Sequence[int],
        steps: Sequence[Step],
        words: int,
        step_words: int,
        credits: int,
        channels: int,
    ):
        self._flit = flit
        self._address = address
        self._addresses = tuple(addresses)
        self._steps = tuple(steps)
        self._words = words
        self._step_words = step_words
        self._credits = credits
        self._channels = channels
        self._packet_words = max(
            size for size in range(1, MOST_PACKET_WORDS + 1) if step_words % size == 0
        )
        self._place = _Place(len(steps), step_words)
        link = CreditSignature(flit, channels)
        super().__init__(
            {
                "loads": In(stream.Signature(flit.word_bits)),
                "loaded": Out(1),
                "start": In(1),
                "done": Out(1),
                "results": Out(stream.Signature(flit.word_bits)),
                "injection": Out(link),
                "ejection": In(link),
            }
        )

    def elaborate(self, platform) -> Module:
        """The vector, and what sends, receives and adds."""
        m = Module()
        bits = self._flit.word_bits
        m.submodules.vector = vector = Memory(shape=bits, depth=self._words, init=[])
        self._sent = Signal(range(len(self._steps) * self._step_words + 1), name="sent")
        self._added = Signal.like(self._sent, name="added")

        self._send(m, vector)
        write = vector.write_port()
        self._receive_and_add(m, vector, write)

        loading = Signal(range(self._words + 1))
        m.d.comb += [self.loaded.eq(loading == self._words), self.loads.ready.eq(~self.loaded)]
        with m.If(self.loads.valid & self.loads.ready):
            m.d.comb += [
                write.addr.eq(loading),
                write.data.eq(self.loads.payload),
                write.en.eq(1),
            ]
            m.d.sync += loading.eq(loading + 1)

        given = Signal(range(self._words + 1))
        read = vector.read_port(domain="comb")
        m.d.comb += [
            self.done.eq(self._added == len(self._steps) * self._step_words),
            self.results.valid.eq(self.done & (given != self._words)),
            read.addr.eq(given),
            self.results.payload.eq(read.data),
        ]
        with m.If(self.results.valid & self.results.ready):
            m.d.sync += given.eq(given + 1)
        return m

    def _table(self, step: Value, values: Sequence[int]) -> Value:
        return Array(Const(value, max(1, max(values).bit_length())) for value in values)[step]

    def _send(self, m: Module, vector: Memory) -> None:
        """A header, then words, each when the step before has made it."""
        step = Signal(range(len(self._steps) + 1))
        word = Signal(range(self._step_words + 1))
        in_packet = Signal(range(self._packet_words + 1))
        header = Signal(self._flit.header)
        place = Signal(self._place)
        may = Signal()
        m.submodules.sender = sender = CreditSender(self._flit, self._credits)
        read = vector.read_port(domain="comb")
        m.d.comb += [
            place.step.eq(step),
            place.word.eq(word),
            header.destination.eq(
                self._table(step, [self._addresses[step.partner] for step in self._steps])
            ),
            header.source.eq(self._address),
            header.kind.eq(FlitKind.REDUCTION),
            read.addr.eq(self._table(step, [step.sent for step in self._steps]) + word),
            may.eq((self._sent < self._step_words) | (self._added + self._step_words > self._sent)),
            sender.i.valid.eq(self.start & (step != len(self._steps)) & may),
            sender.i.payload.word.eq(Mux(in_packet == 0, Cat(header, place), read.data)),
            sender.i.payload.tail.eq(in_packet == self._packet_words),
            self.injection.valid.eq(sender.link.valid),
            self.injection.payload.eq(sender.link.payload),
            sender.link.credit.eq(self.injection.credit[0]),
        ]
        with m.If(sender.i.valid & sender.i.ready):
            m.d.sync += in_packet.eq(Mux(sender.i.payload.tail, 0, in_packet + 1))
            with m.If(in_packet != 0):
                m.d.sync += self._sent.eq(self._sent + 1)
                with m.If(word == self._step_words - 1):
                    m.d.sync += [word.eq(0), step.eq(step + 1)]
                with m.Else():
                    m.d.sync += word.eq(word + 1)

    def _receive_and_add(self, m: Module, vector: Memory, write) -> None:
        """Every word to its landing place in the cycle in which it comes; then into the vector."""
        count = len(self._steps) * self._step_words
        m.submodules.landing = landing = Memory(shape=self._flit.word_bits, depth=count, init=[])
        land, landed = landing.write_port(), landing.read_port(domain="comb")
        arrived = Array(
            Signal(range(self._step_words + 1), name=f"arrived_{number}")
            for number in range(len(self._steps))
        )
        flit = cast(data.View, self.ejection.payload)
        word = Value.cast(flit.word)
        m.d.sync += self.ejection.credit.eq(self.ejection.valid)
        for channel in range(self._channels):
            inside = Signal(name=f"inside_{channel}")
            place = Signal(self._place, name=f"place_{channel}")
            with m.If(self.ejection.valid[channel]):
                m.d.sync += inside.eq(~flit.tail)
                with m.If(inside):
                    m.d.comb += [
                        land.addr.eq(place.step * self._step_words + place.word),
                        land.data.eq(word),
                        land.en.eq(1),
                    ]
                    m.d.sync += [
                        place.word.eq(place.word + 1),
                        arrived[place.step].eq(arrived[place.step] + 1),
                    ]
                with m.Else():
                    m.d.sync += Value.cast(place).eq(word[self._flit.header.size :])

        step = Signal(range(len(self._steps) + 1))
        index = Signal(range(self._step_words + 1))
        read = vector.read_port(domain="comb")
        adds = Signal()
        m.d.comb += [
            # A word that replaces another may not do so before that one was sent.
            adds.eq(
                self.start
                & (step != len(self._steps))
                & (arrived[step] > index)
                & (self._sent > self._added)
            ),
            landed.addr.eq(self._added),
            read.addr.eq(self._table(step, [step.received for step in self._steps]) + index),
        ]
        with m.If(adds):
            old = Mux(self._table(step, [int(step.adds) for step in self._steps]), read.data, 0)
            m.d.comb += [
                write.addr.eq(read.addr),
                write.data.eq(old + landed.data),
                write.en.eq(1),
            ]
            m.d.sync += self._added.eq(self._added + 1)
            with m.If(index == self._step_words - 1):
                m.d.sync += [index.eq(0), step.eq(step + 1)]
            with m.Else():
                m.d.sync += index.eq(index + 1)
