"""Where beats that were read come into the order in which they were asked for."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from neardecode.config import TAG_BITS, Stack
from neardecode.lib.fifo import StreamFIFO
from neardecode.lib.page import PageBeat

__all__ = ["Answer", "ReadBuffer"]


class Answer(data.StructLayout):
    """An answer that is due.

    Fields:
        single: One beat, not a page.
        error: There is nothing to read.
        tag: The request's tag.
    """

    def __init__(self):
        super().__init__({"single": unsigned(1), "error": unsigned(1), "tag": unsigned(TAG_BITS)})


class ReadBuffer(wiring.Component):
    """A ring of beats: places are given out in order, filled in any order and emptied in order.

    Latency: two cycles from ``stored`` to the output. Rate: a beat a cycle.

    Parameters:
        config: The stack section of a configuration.

    Members:
        answers: In(stream of `Answer`). In order; each that is no error takes its places.
        place: Out. The next answer's first place.
        page_fits, beat_fits: Out(1). There are places for it.
        stored: In(1). A beat was read.
        stored_place, stored_data: In. Which and what.
        beats: Out(stream of `PageBeat`).
    """

    answers: stream.Interface
    place: Signal
    page_fits: Signal
    beat_fits: Signal
    stored: Signal
    stored_place: Signal
    stored_data: Signal
    beats: stream.Interface

    def __init__(self, config: Stack):
        self._config = config
        depth = config.buffer_beats
        place = unsigned(exact_log2(depth))
        self._free = Signal(range(depth + 1), init=depth, name="free")
        self._head = Signal(place, name="head")
        self._filled = Signal(depth, name="filled")
        self._count = Signal(exact_log2(config.page_beats), name="count")
        self._orders = self._due(2 * config.queue)
        super().__init__(
            {
                "answers": In(stream.Signature(Answer())),
                "place": Out(place),
                "page_fits": Out(1),
                "beat_fits": Out(1),
                "stored": In(1),
                "stored_place": In(place),
                "stored_data": In(8 * config.beat_bytes),
                "beats": Out(stream.Signature(PageBeat(config.beat_bytes))),
            }
        )

    def _due(self, depth: int) -> StreamFIFO:
        return StreamFIFO(Answer(), depth)

    def _ring(self) -> Memory:
        config = self._config
        return Memory(shape=unsigned(8 * config.beat_bytes), depth=config.buffer_beats, init=[])

    def elaborate(self, platform) -> Module:
        """The ring, what of it is filled, and the beat at the output."""
        m = Module()
        config = self._config
        page_beats = config.page_beats
        m.submodules.orders = orders = self._orders
        m.submodules.memory = memory = self._ring()
        store, read = memory.write_port(), memory.read_port()
        free, head, filled = self._free, self._head, self._filled

        connect(m, flipped(self.answers), orders.i)
        answer = self.answers.payload
        takes, size = Signal(), Signal(range(page_beats + 1))
        m.d.comb += [
            takes.eq(self.answers.valid & self.answers.ready & ~answer.error),
            size.eq(Mux(answer.single, 1, page_beats)),
            self.page_fits.eq(orders.i.ready & (free >= page_beats)),
            self.beat_fits.eq(orders.i.ready & (free != 0)),
            store.en.eq(self.stored),
            store.addr.eq(self.stored_place),
            store.data.eq(self.stored_data),
        ]

        order, out = orders.o.payload, self.beats.payload
        count = self._count
        advance, start, last, gives = Signal(), Signal(), Signal(), Signal()
        error = Signal()
        m.d.comb += [
            advance.eq(~self.beats.valid | self.beats.ready),
            start.eq(orders.o.valid & (order.error | filled.bit_select(head, 1)) & advance),
            gives.eq(start & ~order.error),
            last.eq(order.single | (count == page_beats - 1)),
            orders.o.ready.eq(start & last),
            read.addr.eq(head),
            read.en.eq(gives),
            out.data.eq(Mux(error, 0, read.data)),
            out.error.eq(error),
        ]
        with m.If(advance):
            m.d.sync += [
                self.beats.valid.eq(start),
                out.first.eq(count == 0),
                out.last.eq(last),
                error.eq(order.error),
                out.tag.eq(order.tag),
            ]
        with m.If(start):
            m.d.sync += count.eq(Mux(last, 0, count + 1))
        m.d.sync += [
            free.eq(free + gives - Mux(takes, size, 0)),
            self.place.eq(self.place + Mux(takes, size, 0)),
            head.eq(head + gives),
            filled.eq(
                (filled | Mux(self.stored, 1 << self.stored_place, 0)) & ~Mux(gives, 1 << head, 0)
            ),
        ]
        return m
