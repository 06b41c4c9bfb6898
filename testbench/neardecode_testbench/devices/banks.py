"""The sense latches and page registers of a channel's banks."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.config import Flash
from neardecode.flash.bus import Sense

__all__ = ["PageRegisters"]


class PageRegisters(wiring.Component):
    """A sense latch and a page register a bank, and the transfer that crosses the bus.

    Timing as `NandDies` says. What is known of a page is handed over once, at any time from its
    sense's acceptance until it is in the latch, and comes back while the page is read.

    Parameters:
        config: The flash section.
        sense_cycles: tR.
        page: What is known of a page.
        varied: tR is an input, and ``sense_cycles`` the longest that it may be.

    Members:
        sense_cycles: In. tR, from reset on the same. Only where it is varied.
        senses: In(stream of `Sense`).
        sense_ready: Out(banks). Banks that take a sense.
        open: In(1). Senses are taken at all.
        busy: In(banks). Banks that take none.
        transfers: In(stream of bank).
        hold: In(1). No transfer is taken.
        page_ready: Out(banks). Banks with a page in their register.
        free: Out(banks). Banks that neither sense nor hold a page.
        known: In(1). The page of a bank's latest sense becomes known in this cycle.
        known_bank: In. The bank.
        known_page: In(page).
        active: Out(1). A beat of a page is read in this cycle.
        bank: Out. Whose.
        page: Out(page). What is known of it.
        beat: Out. Which beat.
        last: Out(1). It is the page's last, active or not.
    """

    senses: stream.Interface
    sense_ready: Signal
    open: Signal
    busy: Signal
    transfers: stream.Interface
    hold: Signal
    page_ready: Signal
    free: Signal
    known: Signal
    known_bank: Signal
    known_page: data.View
    active: Signal
    bank: Signal
    page: data.View
    beat: Signal
    last: Signal
    sense_cycles: Signal

    def __init__(
        self,
        config: Flash,
        sense_cycles: int,
        page: data.StructLayout,
        *,
        varied: bool = False,
    ):
        self._banks = banks = config.banks
        self._page_beats = config.page_beats
        self._longest_sense = sense_cycles
        self._varied = varied
        self._page = page
        bank = unsigned(ceil_log2(banks))
        super().__init__(
            {
                "senses": In(stream.Signature(Sense(banks, config.rows))),
                "sense_ready": Out(banks),
                "open": In(1),
                "busy": In(banks),
                "transfers": In(stream.Signature(bank)),
                "hold": In(1),
                "page_ready": Out(banks),
                "free": Out(banks),
                "known": In(1),
                "known_bank": In(bank),
                "known_page": In(page),
                "active": Out(1),
                "bank": Out(bank),
                "page": Out(page),
                "beat": Out(range(config.page_beats)),
                "last": Out(1),
                **({"sense_cycles": In(range(sense_cycles + 1))} if varied else {}),
            }
        )

    def elaborate(self, platform) -> Module:
        """A timer, what stands where, and the page that is read."""
        m = Module()
        banks = self._banks
        bank_bits = ceil_log2(banks)

        # tR is the same for every sense, so senses end in the order in which they began.
        timer_bits = ceil_log2(self._longest_sense + 2)
        sense_cycles = self.sense_cycles if self._varied else self._longest_sense
        now = Signal(timer_bits)
        ending = data.StructLayout({"bank": unsigned(bank_bits), "time": unsigned(timer_bits)})
        m.submodules.timer = timer = SyncFIFOBuffered(width=ending.size, depth=banks + 1)
        head = data.View(ending, timer.r_data)
        done = Signal(banks)
        m.d.sync += now.eq(now + 1)
        m.d.comb += [
            timer.w_en.eq(self.senses.valid & self.senses.ready),
            timer.w_data.eq(Cat(self.senses.payload.bank, (now + sense_cycles - 1)[:timer_bits])),
            timer.r_en.eq(timer.r_rdy & (head.time == now)),
            done.eq(Mux(timer.r_en, Const(1, banks) << head.bank, 0)),
        ]

        sensing = Signal(banks)
        latched = Signal(banks)
        held = Signal(banks)
        one_sense = Signal(banks)
        one_transfer = Signal(banks)
        one_read = Signal(banks)
        accept = Signal()
        moved = Signal(banks)
        m.d.comb += [
            self.sense_ready.eq(~(sensing | latched | self.busy)),
            self.senses.ready.eq(
                self.sense_ready.bit_select(self.senses.payload.bank, 1) & self.open
            ),
            one_sense.eq(Mux(timer.w_en, Const(1, banks) << self.senses.payload.bank, 0)),
            self.last.eq(self.beat == self._page_beats - 1),
            self.transfers.ready.eq((~self.active | self.last) & ~self.hold),
            accept.eq(self.transfers.valid & self.transfers.ready),
            one_transfer.eq(Mux(accept, Const(1, banks) << self.transfers.payload, 0)),
            one_read.eq(Mux(self.active, Const(1, banks) << self.bank, 0)),
            # A register being read is not free.
            held.eq(Mux(self.last, 0, one_read) | one_transfer),
            moved.eq((latched | done) & ~self.page_ready & ~held),
            self.free.eq(~(sensing | latched | self.page_ready | one_read)),
        ]
        m.d.sync += [
            sensing.eq((sensing & ~done) | one_sense),
            latched.eq((latched | done) & ~moved),
            self.page_ready.eq((self.page_ready | moved) & ~one_transfer),
        ]

        # A bank holds at most two pages, the one in its register and a later one.
        m.submodules.pages = pages = Memory(shape=self._page, depth=2 * banks, init=[])
        known = pages.write_port()
        read = pages.read_port(domain="comb")
        known_way = Signal(banks)
        read_way = Signal(banks)
        one_known = Signal(banks)
        m.d.comb += [
            one_known.eq(Mux(self.known, Const(1, banks) << self.known_bank, 0)),
            known.addr.eq(Cat((known_way & one_known).any(), self.known_bank)),
            known.data.eq(self.known_page),
            known.en.eq(self.known),
            read.addr.eq(
                Cat(read_way.bit_select(self.transfers.payload, 1), self.transfers.payload)
            ),
        ]
        m.d.sync += [known_way.eq(known_way ^ one_known), read_way.eq(read_way ^ one_transfer)]

        with m.If(self.active):
            m.d.sync += self.beat.eq(Mux(self.last, 0, self.beat + 1))
        with m.If(self.active & self.last):
            m.d.sync += self.active.eq(0)
        with m.If(accept):
            m.d.sync += [
                self.active.eq(1),
                self.bank.eq(self.transfers.payload),
                self.page.eq(read.data),
            ]
        return m
