"""Pages out of their buffers, whole and in order of request, for the slice beside the channel."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.config import TAG_BITS, Flash
from neardecode.flash.read.buffers import BufferRead, BufferReadInterface
from neardecode.flash.read.pages import Served, Ticket
from neardecode.lib.page import PageBeat

__all__ = ["Delivery", "Order"]


class Order(data.StructLayout):
    """A page to deliver.

    Fields:
        ticket: The place that the page has in its bank's queue.
        error: There is no such page.
        tag: The request's tag.
    """

    def __init__(self, config: Flash):
        super().__init__(
            {"ticket": Ticket(config), "error": unsigned(1), "tag": unsigned(TAG_BITS)}
        )


class Delivery(wiring.Component):
    """Reads pages by order.

    A page is delivered from the cycle after it is present on. Rate one beat a cycle, without a gap
    between pages; a stall of the reader holds the beat and never the bus.

    Parameters:
        config: The flash section of a configuration.

    Members:
        orders: In(stream of `Order`).
        present: In(1). What became of the page of the order at the input is known.
        failed: In(1). It could not be read.
        served: Out(`Served`). The last beat of the order at the input is read in this cycle.
        read: Out(`BufferRead`).
        beats: Out(stream of `PageBeat`).
    """

    orders: stream.Interface
    present: Signal
    failed: Signal
    served: data.View
    read: BufferReadInterface
    beats: stream.Interface

    def __init__(self, config: Flash):
        self._page_beats = config.page_beats
        super().__init__(
            {
                "orders": In(stream.Signature(Order(config))),
                "present": In(1),
                "failed": In(1),
                "served": Out(Served(config)),
                "read": Out(BufferRead(config)),
                "beats": Out(stream.Signature(PageBeat(config.beat_bytes))),
            }
        )

    def elaborate(self, platform) -> Module:
        """A count of beats, and the one that is at the output."""
        m = Module()
        order = self.orders.payload
        read = self.read
        out = self.beats.payload
        count = Signal(ceil_log2(self._page_beats))
        advance = Signal()
        start = Signal()
        last = Signal()
        failed = Signal()
        m.d.comb += [
            advance.eq(~self.beats.valid | self.beats.ready),
            failed.eq(order.error | self.failed),
            read.want.eq(self.orders.valid & (order.error | self.present) & advance),
            read.slot.bank.eq(order.ticket.bank),
            read.slot.way.eq(order.ticket.place[0]),
            read.beat.eq(count),
            start.eq(read.granted),
            last.eq(count == self._page_beats - 1),
            self.orders.ready.eq(start & last),
            self.served.en.eq(start & last & ~order.error),
            self.served.ticket.eq(order.ticket),
        ]
        error = Signal()
        m.d.comb += [out.data.eq(Mux(error, 0, read.data)), out.error.eq(error)]
        with m.If(advance):
            m.d.sync += [
                self.beats.valid.eq(start),
                out.first.eq(count == 0),
                out.last.eq(last),
                error.eq(failed),
                out.tag.eq(order.tag),
            ]
        with m.If(start):
            m.d.sync += count.eq(Mux(last, 0, count + 1))
        return m
