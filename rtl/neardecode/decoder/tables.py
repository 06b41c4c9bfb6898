"""Rows of tables of 16-bit integers, which lie in the first vault beside the KV cache."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Config
from neardecode.lib.fifo import StreamFIFO
from neardecode.lib.page import PageBeat, PageRequest
from neardecode.lib.page_share import FIRST_TAG

__all__ = ["TableReader", "TableRow", "table_words"]

INTEGER_BITS = 16
ROWS_AHEAD = 4


def table_words(config: Config) -> data.ArrayLayout:
    """``lanes`` integers of a row."""
    assert config.decoder is not None
    return data.ArrayLayout(signed(INTEGER_BITS), config.decoder.lanes)


class TableRow(data.StructLayout):
    """A row to read.

    Fields:
        beat: Its first beat, counted from the memory's first.
        transfers: Of ``lanes`` integers, at least 1.
    """

    def __init__(self, config: Config):
        decoder, stack = config.decoder, config.stack
        assert decoder is not None
        assert stack is not None
        super().__init__(
            {
                "beat": unsigned(ceil_log2(stack.pages * stack.page_bytes // stack.beat_bytes)),
                "transfers": unsigned(ceil_log2(2 * decoder.width // decoder.lanes + 1)),
            }
        )


class TableReader(wiring.Component):
    """Reads rows for two readers: one asks ahead, the other takes what it asked for at once.

    A row that was asked for ahead is asked of the memory when ``decoder.table_beats`` have room
    for it, so that it never stands in the way of what the memory gives behind it.

    Rate: a transfer a cycle to each reader.

    Parameters:
        config: A configuration with a decoder.

    Members:
        ahead, now: In(streams of `TableRow`).
        ahead_words, now_words: Out(streams of `table_words`). Theirs, in their order.
        requests: Out(stream of `PageRequest`). Tagged `FIRST_TAG`.
        beats: In(stream of `PageBeat`).
        error: Out(1). A page could not be read.
    """

    ahead: stream.Interface
    now: stream.Interface
    ahead_words: stream.Interface
    now_words: stream.Interface
    requests: stream.Interface
    beats: stream.Interface
    error: Signal

    def __init__(self, config: Config):
        decoder, stack = config.decoder, config.stack
        assert decoder is not None
        assert stack is not None
        self._config = config
        self._room = decoder.table_beats
        self._slots = config.flash.beat_bytes * 8 // INTEGER_BITS // decoder.lanes
        row, words = stream.Signature(TableRow(config)), stream.Signature(table_words(config))
        address = exact_log2(stack.pages)
        super().__init__(
            {
                "ahead": In(row),
                "now": In(row),
                "ahead_words": Out(words),
                "now_words": Out(words),
                "requests": Out(stream.Signature(PageRequest(address))),
                "beats": In(stream.Signature(PageBeat(config.flash.beat_bytes))),
                "error": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Ask for the pages of a row; of what comes keep the row's beats."""
        m = Module()
        page_beats = self._config.flash.page_beats
        inside = exact_log2(page_beats)
        count_bits = len(self.ahead.payload.transfers)
        pending_layout = data.StructLayout(
            {"now": 1, "beat": inside, "transfers": count_bits, "pages": 8}
        )
        m.submodules.pending = pending = StreamFIFO(pending_layout, ROWS_AHEAD)
        free = Signal(range(self._room + 1), init=self._room)
        row = Signal.like(self.ahead.payload)
        needed = Signal(count_bits)
        fits, chosen, held, now = Signal(), Signal(), Signal(), Signal()
        # The reader in a hurry goes first, unless the other one's request already stands.
        m.d.comb += [
            chosen.eq(Mux(held, now, self.now.valid)),
            row.eq(Mux(chosen, self.now.payload.as_value(), self.ahead.payload.as_value())),
            needed.eq((row.transfers + self._slots - 1) // self._slots),
            fits.eq(Mux(chosen, self.now.valid, self.ahead.valid & (needed <= free))),
            self.requests.valid.eq(fits & pending.i.ready),
            self.requests.payload.address.eq(row.beat >> inside),
            self.requests.payload.pages.eq(((row.beat[:inside] + needed - 1) >> inside) + 1),
            self.requests.payload.tag.eq(FIRST_TAG),
            pending.i.valid.eq(self.requests.valid & self.requests.ready),
            pending.i.payload.now.eq(chosen),
            pending.i.payload.beat.eq(row.beat),
            pending.i.payload.transfers.eq(row.transfers),
            pending.i.payload.pages.eq(self.requests.payload.pages),
            self.now.ready.eq(pending.i.valid & chosen),
            self.ahead.ready.eq(pending.i.valid & ~chosen),
        ]
        m.d.sync += [held.eq(self.requests.valid & ~self.requests.ready), now.eq(chosen)]
        freed = self._keep(m, pending, inside)
        reserved = Mux(self.ahead.valid & self.ahead.ready, needed, 0)
        m.d.sync += free.eq(free + freed - reserved)
        return m

    def _keep(self, m: Module, pending: StreamFIFO, inside: int) -> Signal:
        """Beats of the oldest row into its reader's buffer; whether one of those ahead left it."""
        head, beat = pending.o.payload, self.beats.payload
        layout = data.StructLayout({"data": len(beat.data), "last": range(max(self._slots, 2))})
        buffers = [StreamFIFO(layout, self._room), StreamFIFO(layout, 2)]
        m.submodules.ahead_beats, m.submodules.now_beats = buffers
        place = Signal(inside + 1)
        taken = Signal.like(head.transfers)
        page = Signal(8)
        wanted, accepted, rest = Signal(), Signal(), Signal.like(head.transfers)
        m.d.comb += [
            rest.eq(head.transfers - taken),
            wanted.eq((place >= head.beat) & (rest != 0)),
            accepted.eq(Mux(head.now, buffers[1].i.ready, buffers[0].i.ready) | ~wanted),
            self.beats.ready.eq(pending.o.valid & accepted),
            self.error.eq(self.beats.valid & self.beats.ready & wanted & beat.error),
        ]
        moves = self.beats.valid & self.beats.ready
        ends = moves & beat.last & (page + 1 == head.pages)
        m.d.comb += pending.o.ready.eq(ends)
        with m.If(moves):
            m.d.sync += [
                # Beyond the first page every beat is the row's.
                place.eq(Mux(place[-1], place, place + 1)),
                taken.eq(
                    Mux(wanted, Mux(rest < self._slots, head.transfers, taken + self._slots), taken)
                ),
                page.eq(page + beat.last),
            ]
        with m.If(ends):
            m.d.sync += [place.eq(0), taken.eq(0), page.eq(0)]
        freed = Signal()
        for index, buffer in enumerate(buffers):
            words = (self.ahead_words, self.now_words)[index]
            slot = Signal(range(max(self._slots, 2)), name=f"slot_{index}")
            ends_beat = slot == buffer.o.payload.last
            leaves = buffer.o.ready
            m.d.comb += [
                buffer.i.valid.eq(moves & wanted & (head.now == index)),
                buffer.i.payload.data.eq(beat.data),
                buffer.i.payload.last.eq(Mux(rest < self._slots, rest, self._slots) - 1),
                words.valid.eq(buffer.o.valid),
                words.payload.eq(
                    buffer.o.payload.data.word_select(slot, len(words.payload.as_value()))
                ),
                leaves.eq(words.valid & words.ready & ends_beat),
            ]
            with m.If(words.valid & words.ready):
                m.d.sync += slot.eq(Mux(ends_beat, 0, slot + 1))
            if index == 0:
                m.d.comb += freed.eq(leaves)
        return freed
