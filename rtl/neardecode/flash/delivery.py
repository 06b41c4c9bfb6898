"""The page buffers, and the delivery of pages out of them in order of request."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from neardecode.config import TAG_BITS
from neardecode.flash.bus import DataBeat
from neardecode.flash.page_table import Order, Slot
from neardecode.lib.page import PageBeat

__all__ = ["Delivery"]


class Delivery(wiring.Component):
    """Two page buffers a bank, filled from the core-die bus and read by order.

    A page is delivered while it still arrives: its first beat leaves two cycles after it came
    off the bus. Rate one beat a cycle, without a gap between pages; a stall of the reader holds
    the beat and never the bus.

    Parameters:
        banks: Banks of the channel.
        page_beats: Beats of a page.
        beat_bytes: Bytes of a beat.
        orders: Most orders that may be outstanding.

    Members:
        orders: In(stream of `Order`).
        beats: Out(stream of `PageBeat`).
        allocated: In(1). ``victim`` was given to a new page; it is empty from the next cycle.
        victim: In(`Slot`). That slot.
        delivered: Out(1). The last beat of the order at the input is read in this cycle.
        arrives: In(1). A beat is on the bus.
        beat: In(`DataBeat`). The beat.
        slot: In(`Slot`). Where it goes.
    """

    orders: stream.Interface
    beats: stream.Interface
    allocated: Signal
    victim: data.View
    delivered: Signal
    arrives: Signal
    beat: data.View
    slot: data.View

    def __init__(self, banks: int, page_beats: int, beat_bytes: int, orders: int):
        self._banks = banks
        self._page_beats = page_beats
        self._beat_bytes = beat_bytes
        super().__init__(
            {
                "orders": In(stream.Signature(Order(banks, orders))),
                "beats": Out(stream.Signature(PageBeat(beat_bytes))),
                "allocated": In(1),
                "victim": In(Slot(banks)),
                "delivered": Out(1),
                "arrives": In(1),
                "beat": In(DataBeat(beat_bytes)),
                "slot": In(Slot(banks)),
            }
        )

    def elaborate(self, platform) -> Module:
        """Fill the buffers; read them by order."""
        m = Module()
        slots = 2 * self._banks
        m.submodules.buffers = buffers = Memory(
            shape=unsigned(8 * self._beat_bytes), depth=slots * self._page_beats, init=[]
        )
        fill = buffers.write_port()
        read = buffers.read_port()

        filled = Signal(slots)
        fill_beat = Signal(range(self._page_beats))
        read_beat = Signal(range(self._page_beats))
        order = self.orders.payload
        slot_index = order.slot.as_value()

        m.d.comb += [
            fill.addr.eq(Cat(fill_beat, self.slot.as_value())),
            fill.data.eq(self.beat.data),
            fill.en.eq(self.arrives),
        ]
        with m.If(self.arrives):
            m.d.sync += fill_beat.eq(Mux(self.beat.last, 0, fill_beat + 1))

        # The first beat marks the buffer: beats arrive without a gap, so a reader that starts a
        # cycle later can never overtake them.
        arrived = Mux(self.arrives, Const(1, slots) << self.slot.as_value(), 0)
        emptied = Mux(self.allocated, Const(1, slots) << self.victim.as_value(), 0)
        m.d.sync += filled.eq((filled & ~emptied) | arrived)

        out = self.beats.payload
        valid = Signal()
        first = Signal()
        final = Signal()
        error = Signal()
        tag = Signal(TAG_BITS)
        advance = Signal()
        start = Signal()
        last = Signal()
        m.d.comb += [
            advance.eq(~valid | self.beats.ready),
            start.eq(
                self.orders.valid & (order.error | filled.bit_select(slot_index, 1)) & advance
            ),
            last.eq(read_beat == self._page_beats - 1),
            read.addr.eq(Cat(read_beat, slot_index)),
            read.en.eq(start),
            self.orders.ready.eq(start & last),
            self.delivered.eq(start & last),
            self.beats.valid.eq(valid),
            out.data.eq(Mux(error, 0, read.data)),
            out.first.eq(first),
            out.last.eq(final),
            out.error.eq(error),
            out.tag.eq(tag),
        ]
        with m.If(advance):
            m.d.sync += [
                valid.eq(start),
                first.eq(read_beat == 0),
                final.eq(last),
                error.eq(order.error),
                tag.eq(order.tag),
            ]
        with m.If(start):
            m.d.sync += read_beat.eq(Mux(last, 0, read_beat + 1))
        return m
