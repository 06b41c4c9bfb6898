"""Decides which bank senses next and which bank's page crosses the bus next."""

from amaranth.hdl import Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.flash.bus import Sense
from neardecode.flash.page_table import Slot
from neardecode.lib.arbiter import RoundRobin

__all__ = ["SenseScheduler", "TransferScheduler"]


class SenseScheduler(wiring.Component):
    """Keeps every bank sensing as long as a page of it is wanted.

    Senses of a bank go out in the order in which they were allocated, which alternates between
    its two buffers; banks take turns. Latency 1 cycle from ``allocated`` to ``senses``; rate one
    sense a cycle.

    Parameters:
        banks: Banks of the channel.
        rows: Pages of a bank.

    Members:
        allocated: In(1). ``slot`` is to be filled.
        slot: In(`Slot`).
        sense_ready: In(banks). Banks that can take a sense.
        senses: Out(stream of `Sense`).
        sensing: Out(`Slot`). The slot whose row is needed.
        row: In. That row.
        waiting: Out(1). A page is wanted and not yet being sensed.
    """

    allocated: Signal
    slot: data.View
    sense_ready: Signal
    senses: stream.Interface
    sensing: data.View
    row: Signal
    waiting: Signal

    def __init__(self, banks: int, rows: int):
        self._banks = banks
        super().__init__(
            {
                "allocated": In(1),
                "slot": In(Slot(banks)),
                "sense_ready": In(banks),
                "senses": Out(stream.Signature(Sense(banks, rows))),
                "sensing": Out(Slot(banks)),
                "row": In(ceil_log2(rows)),
                "waiting": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """The pages wanted, and an arbiter over their banks."""
        m = Module()
        m.submodules.arbiter = arbiter = RoundRobin(self._banks)
        wanted = [Signal(self._banks, name=f"wanted_{way}") for way in range(2)]
        next_way = Signal(self._banks)
        sent = Signal(self._banks)
        added = Signal(self._banks)

        m.d.comb += [
            # Buffers are allocated in turn: a bank that wants one page wants the next in turn.
            arbiter.requests.eq((wanted[0] | wanted[1]) & self.sense_ready),
            arbiter.advance.eq(self.senses.ready & self.senses.valid),
            self.senses.valid.eq(arbiter.requests.any()),
            self.sensing.bank.eq(arbiter.index),
            self.sensing.way.eq((next_way & arbiter.grants).any()),
            self.senses.payload.bank.eq(arbiter.index),
            self.senses.payload.row.eq(self.row),
            self.waiting.eq(wanted[0].any() | wanted[1].any()),
            sent.eq(Mux(arbiter.advance, arbiter.grants, 0)),
            added.eq(Mux(self.allocated, Const(1, self._banks) << self.slot.bank, 0)),
        ]
        m.d.sync += [
            wanted[0].eq((wanted[0] & ~(sent & ~next_way)) | Mux(self.slot.way, 0, added)),
            wanted[1].eq((wanted[1] & ~(sent & next_way)) | Mux(self.slot.way, added, 0)),
            next_way.eq(next_way ^ sent),
        ]
        return m


class TransferScheduler(wiring.Component):
    """Moves sensed pages over the core-die bus, banks taking turns, without a gap.

    The two buffers of a bank are filled in turn, as they were allocated. Latency 0 from
    ``page_ready`` to ``transfers``.

    Parameters:
        banks: Banks of the channel.

    Members:
        page_ready: In(banks). Banks whose page register holds a page.
        transfers: Out(stream of bank).
        slot: Out(`Slot`). Where the page of the transfer offered goes.
    """

    page_ready: Signal
    transfers: stream.Interface
    slot: data.View

    def __init__(self, banks: int):
        self._banks = banks
        super().__init__(
            {
                "page_ready": In(banks),
                "transfers": Out(stream.Signature(unsigned(ceil_log2(banks)))),
                "slot": Out(Slot(banks)),
            }
        )

    def elaborate(self, platform) -> Module:
        """An arbiter over the banks with a page."""
        m = Module()
        m.submodules.arbiter = arbiter = RoundRobin(self._banks)
        next_way = Signal(self._banks)
        m.d.comb += [
            arbiter.requests.eq(self.page_ready),
            arbiter.advance.eq(self.transfers.valid & self.transfers.ready),
            self.transfers.valid.eq(self.page_ready.any()),
            self.transfers.payload.eq(arbiter.index),
            self.slot.bank.eq(arbiter.index),
            self.slot.way.eq((next_way & arbiter.grants).any()),
        ]
        with m.If(arbiter.advance):
            m.d.sync += next_way.eq(next_way ^ arbiter.grants)
        return m
