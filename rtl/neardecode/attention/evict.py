"""Cold pages of keys and values out of a vault into flash."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from neardecode.config import TAG_BITS, Config
from neardecode.flash.axi import AxiAddress, AxiResponse, AxiWriteBeat
from neardecode.flash.status import WriteStatus
from neardecode.lib.fifo import StreamFIFO
from neardecode.lib.page import PageBeat, PageRequest

__all__ = ["Eviction", "PageEvictor"]

COUNT_BITS = 48
OWN_TAG = 1 << TAG_BITS - 1


class Eviction(data.StructLayout):
    """A page to move.

    Fields:
        source: The vault's page.
        destination: The channel's page.
    """

    def __init__(self, source_bits: int, destination_bits: int):
        super().__init__(
            {"source": unsigned(source_bits), "destination": unsigned(destination_bits)}
        )


class PageEvictor(wiring.Component):
    """Reads pages of a vault and writes each to flash as one burst.

    Stands between an attention unit and its vault, whose answers it tells apart by the top bit of
    their tags, which the unit does not use. A page's write is under way until its response has
    come; as many are as the channel gathers or programs at a time. When ``busy`` falls all are
    programmed, and can be read. A page that the vault could not read, or that the flash refused, is
    counted as failed. Who evicts pages to a block in their order has it erased once, with its first
    page.

    Rate: a page in ``page_beats + 2`` cycles until ``flash.host.units`` are under way; from then on
    as the flash programs. The unit's pages come between, a page for a page.

    Parameters:
        config: A configuration with ``flash.host``.
        source_bits, destination_bits: Bits of a page's address in vault and channel.

    Members:
        moves: In(stream of `Eviction`).
        unit_requests: In(stream of `PageRequest`). The unit's.
        unit_beats: Out(stream of `PageBeat`).
        requests: Out(stream of `PageRequest`). The vault's.
        beats: In(stream of `PageBeat`).
        aw: Out(stream of `AxiAddress`). The channel's.
        w: Out(stream of `AxiWriteBeat`).
        b: In(stream of `AxiResponse`).
        busy: Out(1). A page is under way.
        written, failed: Out(48). Pages.

    Raises:
        ValueError: if there is no ``flash.host``.
    """

    moves: stream.Interface
    unit_requests: stream.Interface
    unit_beats: stream.Interface
    requests: stream.Interface
    beats: stream.Interface
    aw: stream.Interface
    w: stream.Interface
    b: stream.Interface
    busy: Signal
    written: Signal
    failed: Signal

    def __init__(self, config: Config, source_bits: int, destination_bits: int):
        flash, host = config.flash, config.flash.host
        if host is None:
            raise ValueError("flash.host: there is none in this configuration")
        self._flash, self._units = flash, host.units
        request = stream.Signature(PageRequest(source_bits))
        beat = stream.Signature(PageBeat(flash.beat_bytes))
        super().__init__(
            {
                "moves": In(stream.Signature(Eviction(source_bits, destination_bits))),
                "unit_requests": In(request),
                "unit_beats": Out(beat),
                "requests": Out(request),
                "beats": In(beat),
                "aw": Out(stream.Signature(AxiAddress(host))),
                "w": Out(stream.Signature(AxiWriteBeat(flash.beat_bytes))),
                "b": In(stream.Signature(AxiResponse(host))),
                "busy": Out(1),
                "written": Out(COUNT_BITS),
                "failed": Out(COUNT_BITS),
            }
        )

    def elaborate(self, platform) -> Module:
        """Ask, command, stream, wait."""
        m = Module()
        flash, move = self._flash, self.moves.payload
        beat, response = self.beats.payload, self.b.payload
        mine = Signal()
        bad = Signal()
        m.d.comb += [
            mine.eq(beat.tag[-1]),
            self.unit_beats.payload.eq(beat),
            self.unit_beats.valid.eq(self.beats.valid & ~mine),
            self.w.payload.data.eq(beat.data),
            self.w.payload.last.eq(beat.last),
            self.w.valid.eq(self.beats.valid & mine),
            self.beats.ready.eq(Mux(mine, self.w.ready, self.unit_beats.ready)),
            self.aw.payload.addr.eq(move.destination << exact_log2(flash.page_bytes)),
            self.aw.payload.len.eq(flash.page_beats - 1),
        ]
        # A request of the unit that was offered stays; the evictor's goes between two of them.
        asks = Signal()
        held = Signal()
        m.d.comb += [
            self.requests.valid.eq(Mux(asks & ~held, 1, self.unit_requests.valid)),
            self.requests.payload.eq(self.unit_requests.payload),
            self.unit_requests.ready.eq(self.requests.ready & ~(asks & ~held)),
        ]
        with m.If(asks & ~held):
            m.d.comb += [
                self.requests.payload.address.eq(move.source),
                self.requests.payload.pages.eq(1),
                self.requests.payload.fresh.eq(0),
                self.requests.payload.tag.eq(OWN_TAG),
            ]
        m.d.sync += held.eq(~(asks & ~held) & self.unit_requests.valid & ~self.requests.ready)
        # Of each page under way: the vault could not read it. A response tells them in order.
        m.submodules.read = read = StreamFIFO(1, self._units)
        under_way = Signal(range(self._units + 1))
        opens, ends = Signal(), Signal()
        with m.FSM() as machine:
            with m.State("Command"):
                # The command first: the data follows it, and would block the vault's answers.
                m.d.comb += [
                    self.aw.valid.eq(self.moves.valid & (under_way != self._units)),
                    opens.eq(self.aw.valid & self.aw.ready),
                ]
                with m.If(opens):
                    m.next = "Ask"
            with m.State("Ask"):
                m.d.comb += [asks.eq(1), self.moves.ready.eq(~held & self.requests.ready)]
                with m.If(self.moves.ready):
                    m.next = "Command"
        taken = self.w.valid & self.w.ready
        failed = read.o.payload | (response.user.status != WriteStatus.OK.value)
        m.d.comb += [
            read.i.valid.eq(taken & beat.last),
            read.i.payload.eq(bad | beat.error),
            read.o.ready.eq(ends),
            self.b.ready.eq(1),
            ends.eq(self.b.valid),
            self.busy.eq(~machine.ongoing("Command") | self.moves.valid | (under_way != 0)),
        ]
        m.d.sync += under_way.eq(under_way + opens - ends)
        with m.If(taken):
            m.d.sync += bad.eq(~beat.last & (bad | beat.error))
        with m.If(ends):
            m.d.sync += [
                self.written.eq(self.written + ~failed),
                self.failed.eq(self.failed + failed),
            ]
        return m
