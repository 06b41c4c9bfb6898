"""Which page stands in which page buffer, and which pages have to be sensed.

Source: OCP HBF v0.7.0, section 5.3: two page buffers a bank, hits served at once, a third page
evicts the older.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.config import TAG_BITS
from neardecode.flash.expander import Page

__all__ = ["Order", "PageTable", "Slot"]


class Slot(data.StructLayout):
    """One of the two page buffers of a bank.

    Fields:
        bank: The bank.
        way: Which of its two.
    """

    def __init__(self, banks: int):
        super().__init__({"bank": unsigned(ceil_log2(banks)), "way": unsigned(1)})


class Order(data.StructLayout):
    """A page to deliver, in order of request.

    Fields:
        slot: The page buffer that holds or will hold it.
        number: Tells the order from all others that are outstanding.
        error: There is no such page.
        tag: The request's tag.
    """

    def __init__(self, banks: int, orders: int):
        super().__init__(
            {
                "slot": Slot(banks),
                "number": range(orders),
                "error": unsigned(1),
                "tag": unsigned(TAG_BITS),
            }
        )


class PageTable(wiring.Component):
    """Finds or makes room for every page asked for, one a cycle.

    A page that is buffered, or on its way into a buffer, is a hit. Any other takes the older
    buffer of its bank, as soon as every delivery out of that buffer is done, and is handed to
    the sense scheduler. Latency 0 from ``pages`` to ``orders``; a miss waits while the buffer
    that it evicts is in use.

    Parameters:
        banks: Banks of the channel.
        rows: Pages of a bank.
        orders: A power of two; fewer orders may be outstanding.

    Members:
        pages: In(stream of `Page`).
        orders: Out(stream of `Order`).
        allocated: Out(1). A miss was given ``victim`` in this cycle; it is to be sensed.
        hit: Out(1). A page was found in this cycle.
        victim: Out(`Slot`). The older buffer of the asked bank.
        delivered: In(1). The delivery of ``delivery`` is done in this cycle.
        delivery: In(`Order`).
        sensing: In(`Slot`). The scheduler asks which row it has to sense.
        row: Out. The row of ``sensing``.
    """

    pages: stream.Interface
    orders: stream.Interface
    allocated: Signal
    hit: Signal
    victim: data.View
    delivered: Signal
    delivery: data.View
    sensing: data.View
    row: Signal

    def __init__(self, banks: int, rows: int, orders: int):
        self._banks = banks
        self._rows = rows
        self._orders = orders
        super().__init__(
            {
                "pages": In(stream.Signature(Page(banks, rows))),
                "orders": Out(stream.Signature(Order(banks, orders))),
                "allocated": Out(1),
                "hit": Out(1),
                "victim": Out(Slot(banks)),
                "delivered": In(1),
                "delivery": In(Order(banks, orders)),
                "sensing": In(Slot(banks)),
                "row": Out(ceil_log2(rows)),
            }
        )

    def elaborate(self, platform) -> Module:
        """Look up, make room, order."""
        m = Module()
        page = self.pages.payload
        bank = page.bank

        older = Signal(self._banks)
        valid = [Signal(self._banks, name=f"valid_{way}") for way in range(2)]
        in_use = [Signal(self._banks, name=f"in_use_{way}") for way in range(2)]
        rows = []
        for way in range(2):
            m.submodules[f"rows_{way}"] = memory = Memory(
                shape=unsigned(ceil_log2(self._rows)), depth=self._banks, init=[]
            )
            write = memory.write_port()
            found_row = memory.read_port(domain="comb")
            sense_row = memory.read_port(domain="comb")
            m.d.comb += [
                write.addr.eq(bank),
                write.data.eq(page.row),
                found_row.addr.eq(bank),
                sense_row.addr.eq(self.sensing.bank),
            ]
            rows.append((write, found_row, sense_row))
        m.d.comb += self.row.eq(Mux(self.sensing.way, rows[1][2].data, rows[0][2].data))

        one = Signal(self._banks)
        m.d.comb += one.eq(Const(1, self._banks) << bank)
        matches = Signal(2)
        m.d.comb += matches.eq(
            Cat((valid[way] & one).any() & (rows[way][1].data == page.row) for way in range(2))
        )
        found = Signal()
        victim = self.victim
        victim_in_use = Signal()
        m.d.comb += [
            found.eq(matches.any() & ~page.fresh & ~page.error),
            victim.bank.eq(bank),
            victim.way.eq((older & one).any()),
            victim_in_use.eq((Mux(victim.way, in_use[1], in_use[0]) & one).any()),
        ]

        free = Signal()
        taken = Signal()
        number = Signal(range(self._orders))
        order = self.orders.payload
        m.d.comb += [
            free.eq(found | page.error | ~victim_in_use),
            self.orders.valid.eq(self.pages.valid & free),
            self.pages.ready.eq(self.orders.ready & free),
            taken.eq(self.orders.valid & self.orders.ready),
            order.slot.bank.eq(bank),
            order.slot.way.eq(Mux(found, matches[1], victim.way)),
            order.number.eq(number),
            order.error.eq(page.error),
            order.tag.eq(page.tag),
            self.hit.eq(taken & found),
            self.allocated.eq(taken & ~found & ~page.error),
        ]
        with m.If(taken):
            m.d.sync += number.eq(number + 1)
        with m.If(self.allocated):
            m.d.sync += older.eq(older ^ one)
        for way in range(2):
            this = Signal(name=f"way_{way}")
            m.d.comb += [
                this.eq(taken & ~page.error & (order.slot.way == way)),
                rows[way][0].en.eq(this & ~found),
            ]
            with m.If(this):
                m.d.sync += valid[way].eq(valid[way] | one)
            # A page sensed afresh must not leave its old copy in the other buffer.
            with m.Elif(self.allocated & matches[way]):
                m.d.sync += valid[way].eq(valid[way] & ~one)

        # A buffer is in use until the last order out of it is delivered.
        m.submodules.last_orders = last_orders = Memory(
            shape=range(self._orders), depth=2 * self._banks, init=[]
        )
        newest = last_orders.write_port()
        last = last_orders.read_port(domain="comb")
        delivered = self.delivery.slot
        released = Signal(self._banks)
        m.d.comb += [
            newest.addr.eq(order.slot.as_value()),
            newest.data.eq(number),
            newest.en.eq(taken & ~page.error),
            last.addr.eq(delivered.as_value()),
            released.eq(
                Mux(
                    self.delivered & ~self.delivery.error & (last.data == self.delivery.number),
                    Const(1, self._banks) << delivered.bank,
                    0,
                )
            ),
        ]
        for way in range(2):
            taken_slot = Mux(newest.en & (order.slot.way == way), one, 0)
            freed_slot = Mux(delivered.way == way, released, 0)
            m.d.sync += in_use[way].eq((in_use[way] & ~freed_slot) | taken_slot)
        return m
