"""Decides which bank senses next and which bank's page crosses the bus next."""

from amaranth.hdl import Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.flash.read.pages import Slot
from neardecode.lib.arbiter import RoundRobin

__all__ = ["SenseScheduler", "TransferScheduler"]


class SenseScheduler(wiring.Component):
    """Keeps every bank sensing as long as a page of it is wanted; banks take turns.

    Latency 0 from ``wanted`` to ``senses``; rate one sense a cycle.

    Parameters:
        banks: Banks of the channel.

    Members:
        wanted: In(banks). Banks with a page to sense.
        sense_ready: In(banks). Banks that can take a sense.
        permit: In(1). A sense may be offered.
        senses: Out(stream of bank).
    """

    wanted: Signal
    sense_ready: Signal
    permit: Signal
    senses: stream.Interface

    def __init__(self, banks: int):
        self._banks = banks
        super().__init__(
            {
                "wanted": In(banks),
                "sense_ready": In(banks),
                "permit": In(1),
                "senses": Out(stream.Signature(unsigned(ceil_log2(banks)))),
            }
        )

    def elaborate(self, platform) -> Module:
        """An arbiter over the banks that could sense."""
        m = Module()
        m.submodules.arbiter = arbiter = RoundRobin(self._banks)
        offered = Signal()
        m.d.sync += offered.eq(self.senses.valid & ~self.senses.ready)
        m.d.comb += [
            arbiter.requests.eq(self.wanted & self.sense_ready),
            arbiter.advance.eq(self.senses.valid & self.senses.ready),
            self.senses.valid.eq(arbiter.requests.any() & (self.permit | offered)),
            self.senses.payload.eq(arbiter.index),
        ]
        return m


class TransferScheduler(wiring.Component):
    """Moves sensed pages over the core-die bus, banks taking turns, without a gap.

    A bank holds at most two pages, which leave in the order in which they were sensed. Latency 0
    from ``page_ready`` to ``transfers``.

    Parameters:
        banks: Banks of the channel.

    Members:
        sensed: In(1). The page for ``sensed_slot`` is being sensed from this cycle on.
        sensed_slot: In(`Slot`).
        page_ready: In(banks). Banks whose page register holds a page.
        permit: In(1). A transfer may begin.
        transfers: Out(stream of bank).
        slot: Out(`Slot`). Where the page of the transfer offered goes.
    """

    sensed: Signal
    sensed_slot: data.View
    page_ready: Signal
    permit: Signal
    transfers: stream.Interface
    slot: data.View

    def __init__(self, banks: int):
        self._banks = banks
        super().__init__(
            {
                "sensed": In(1),
                "sensed_slot": In(Slot(banks)),
                "page_ready": In(banks),
                "permit": In(1),
                "transfers": Out(stream.Signature(unsigned(ceil_log2(banks)))),
                "slot": Out(Slot(banks)),
            }
        )

    def elaborate(self, platform) -> Module:
        """An arbiter over the banks with a page; the ways of the pages inside each bank."""
        m = Module()
        banks = self._banks
        m.submodules.arbiter = arbiter = RoundRobin(banks)
        held = Signal(banks)
        first_way = Signal(banks)
        second_way = Signal(banks)
        entering = Signal(banks)
        leaving = Signal(banks)
        entering_way = Signal(banks)
        m.d.comb += [
            arbiter.requests.eq(self.page_ready),
            arbiter.advance.eq(self.transfers.valid & self.transfers.ready),
            self.transfers.valid.eq(self.page_ready.any() & self.permit),
            self.transfers.payload.eq(arbiter.index),
            self.slot.bank.eq(arbiter.index),
            self.slot.way.eq((first_way & arbiter.grants).any()),
            entering.eq(Mux(self.sensed, (Const(1, banks) << self.sensed_slot.bank)[:banks], 0)),
            entering_way.eq(Mux(self.sensed_slot.way, entering, 0)),
            leaving.eq(Mux(arbiter.advance, arbiter.grants, 0)),
        ]
        # ``held`` marks a bank with a page; a second one stands behind it.
        second = Signal(banks)
        moves_up = leaving | ~held
        m.d.sync += [
            held.eq((held & ~(leaving & ~second)) | entering),
            second.eq((second & ~leaving) | (entering & held & (second | ~leaving))),
            first_way.eq(
                (first_way & ~moves_up)
                | (leaving & second & second_way)
                | (entering_way & moves_up & ~(leaving & second))
            ),
            second_way.eq((second_way & ~entering) | entering_way),
        ]
        return m
