"""A flash channel: page requests in, beats out, core dies behind.

Source: OCP HBF v0.7.0, sections 4.6, 5.3 and 11.1.
"""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from neardecode.config import ChannelCause, ChannelEvent
from neardecode.config import Flash as FlashConfig
from neardecode.flash.bus import CoreDieBus, CoreDieBusInterface
from neardecode.flash.delivery import Delivery
from neardecode.flash.expander import PageExpander
from neardecode.flash.page_table import Order, PageTable, Slot
from neardecode.flash.scheduler import SenseScheduler, TransferScheduler
from neardecode.lib.counters import CycleCounters, EventCounters
from neardecode.lib.fifo import StreamFIFO
from neardecode.lib.page import PageBeat, PageRequest

__all__ = ["FlashChannel"]


class FlashChannel(wiring.Component):
    """The read path of one channel.

    Requests are answered in order. Every bank has two page buffers; a page found in one is read
    at once, any other is sensed, every bank on its own, while other pages cross the bus. The
    first beat of a page that has to be sensed leaves `miss_latency` + tR cycles after its request
    was taken, of a buffered page `hit_latency` cycles after; beats then follow each other in
    consecutive cycles as long as they are taken.

    A stream of consecutive pages fills ``min(1, banks * page_beats / tR)`` of the bus, from two
    banks on. A single bank gives a page in
    ``max(tR, page_beats + 1, (tR + page_beats + 4) / 2)`` cycles: its register is not filled while
    it is read, and it has two buffers, each in use from its page's sense until its delivery.

    Parameters:
        config: The flash section of a configuration.

    Members:
        requests: In(stream of `PageRequest`).
        beats: Out(stream of `PageBeat`).
        dies: Out(`CoreDieBus`).
        counting: In(1). Counters run.
        cycles: Out(counts by `ChannelCause`).
        events: Out(counts by `ChannelEvent`).
    """

    hit_latency = 3
    """Cycles from a request to the first beat of a buffered page."""

    miss_latency = 6
    """Cycles, beside tR, from a request to the first beat of a page that has to be sensed."""

    requests: stream.Interface
    beats: stream.Interface
    dies: CoreDieBusInterface
    counting: Signal
    cycles: data.View
    events: data.View

    def __init__(self, config: FlashConfig):
        self._banks = config.banks
        self._rows = config.pages_a_bank
        self._page_beats = config.page_beats
        self._beat_bytes = config.beat_bytes
        # Every buffer in use, and hits as many.
        self._orders = 4 * config.banks
        self._cycles = CycleCounters(ChannelCause)
        self._events = EventCounters(ChannelEvent)
        super().__init__(
            {
                "requests": In(stream.Signature(PageRequest(ceil_log2(config.pages)))),
                "beats": Out(stream.Signature(PageBeat(config.beat_bytes))),
                "dies": Out(CoreDieBus(config.banks, config.pages_a_bank, config.beat_bytes)),
                "counting": In(1),
                "cycles": Out(self._cycles.counts.shape()),
                "events": Out(self._events.counts.shape()),
            }
        )

    def elaborate(self, platform) -> Module:
        """Join the parts, and name every cycle."""
        m = Module()
        m.submodules.expander = expander = PageExpander(self._banks, self._rows)
        m.submodules.table = table = PageTable(self._banks, self._rows, self._orders)
        m.submodules.orders = orders = StreamFIFO(
            Order(self._banks, self._orders), self._orders - 1
        )
        m.submodules.senses = senses = SenseScheduler(self._banks, self._rows)
        m.submodules.transfers = transfers = TransferScheduler(self._banks)
        # The device streams one page and holds the command of the next.
        m.submodules.filling = filling = StreamFIFO(Slot(self._banks), 3)
        m.submodules.delivery = delivery = Delivery(
            self._banks, self._page_beats, self._beat_bytes, self._orders
        )

        connect(m, flipped(self.requests), expander.requests)
        connect(m, expander.pages, table.pages)
        connect(m, table.orders, orders.i)
        connect(m, orders.o, delivery.orders)
        connect(m, delivery.beats, flipped(self.beats))
        connect(m, senses.senses, flipped(self.dies.senses))
        sent = self.dies.transfers.valid & self.dies.transfers.ready
        m.d.comb += [
            senses.allocated.eq(table.allocated),
            senses.slot.eq(table.victim),
            senses.sense_ready.eq(self.dies.sense_ready),
            table.sensing.eq(senses.sensing),
            senses.row.eq(table.row),
            table.delivered.eq(delivery.delivered),
            table.delivery.eq(orders.o.payload),
            delivery.victim.eq(table.victim),
            delivery.allocated.eq(table.allocated),
            transfers.page_ready.eq(self.dies.page_ready),
            self.dies.transfers.valid.eq(transfers.transfers.valid),
            self.dies.transfers.payload.eq(transfers.transfers.payload),
            transfers.transfers.ready.eq(self.dies.transfers.ready),
            filling.i.valid.eq(sent),
            filling.i.payload.eq(transfers.slot),
            filling.o.ready.eq(self.dies.valid & self.dies.beat.last),
            delivery.slot.eq(filling.o.payload),
            delivery.arrives.eq(self.dies.valid),
            delivery.beat.eq(self.dies.beat),
        ]

        m.submodules.cycle_counters = self._cycles
        m.submodules.event_counters = self._events
        cause = self._cycles.cause
        delivered = self.beats.valid & self.beats.ready
        with m.If(self.dies.valid):
            m.d.comb += cause.eq(ChannelCause.BUSY.value)
        with m.Elif(self.dies.page_ready.any() | filling.o.valid):
            m.d.comb += cause.eq(ChannelCause.SCHEDULE.value)
        with m.Elif(~self.dies.sense_ready.all() | senses.waiting):
            m.d.comb += cause.eq(ChannelCause.SENSE.value)
        with m.Elif(self.beats.valid & ~self.beats.ready):
            m.d.comb += cause.eq(ChannelCause.OUTPUT.value)
        with m.Elif(self.beats.valid | orders.o.valid | expander.pages.valid):
            m.d.comb += cause.eq(ChannelCause.BUFFERED.value)
        with m.Else():
            m.d.comb += cause.eq(ChannelCause.IDLE.value)
        m.d.comb += [
            self._cycles.counting.eq(self.counting),
            self.cycles.eq(self._cycles.counts),
            self._events.counting.eq(self.counting),
            self._events.strobes.eq(
                Cat(
                    self.dies.senses.valid & self.dies.senses.ready,
                    table.hit,
                    table.pages.valid & table.pages.ready,
                    delivered,
                )
            ),
            self.events.eq(self._events.counts),
        ]
        return m
