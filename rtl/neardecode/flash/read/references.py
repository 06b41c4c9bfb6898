"""How many readers still need the page of a ticket."""

from amaranth.hdl import Const, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["References"]


class References(wiring.Component):
    """Counts readers in and out, a ticket at a time.

    Both counts run on for ever, each in a memory with one writer; a ticket is idle while they are
    equal, which is looked at when the second one moves.

    Latency 1 cycle to ``idle``. Rate: one reader in and one out a cycle.

    Parameters:
        banks, places: Tickets are ``place + places * bank``.
        readers: Most readers at a time.

    Members:
        added: In(1). A reader asks for the page of ``added_ticket``.
        added_ticket: In.
        served: In(1). A reader of the page of ``served_ticket`` is done.
        served_ticket: In.
        idle: Out(banks), one a place. Nobody needs the page.
    """

    added: Signal
    added_ticket: Signal
    served: Signal
    served_ticket: Signal
    idle: list[Signal]

    def __init__(self, banks: int, places: int, readers: int):
        self._banks = banks
        self._places = places
        self._bits = ceil_log2(readers + 1)
        ticket = ceil_log2(banks) + ceil_log2(places)
        super().__init__(
            {
                "added": In(1),
                "added_ticket": In(ticket),
                "served": In(1),
                "served_ticket": In(ticket),
                "idle": Out(banks).array(places),
            }
        )

    def elaborate(self, platform) -> Module:
        """Two memories of counts."""
        m = Module()
        banks, places = self._banks, self._places
        bank_bits, place_bits = ceil_log2(banks), ceil_log2(places)
        counts = {}
        for name in ("added", "served"):
            m.submodules[name] = memory = Memory(
                shape=unsigned(self._bits), depth=banks * places, init=[]
            )
            counts[name] = memory
        added_write = counts["added"].write_port()
        added_now = counts["added"].read_port(domain="comb")
        added_then = counts["added"].read_port(domain="comb")
        served_write = counts["served"].write_port()
        served_now = counts["served"].read_port(domain="comb")

        # What was never written counts as zero. A ticket starts at bank 0 of its lowest bits.
        def split(ticket: Signal, name: str) -> tuple:
            one = Signal(banks, name=f"{name}_one")
            m.d.comb += one.eq((Const(1, banks) << ticket[:bank_bits])[:banks])
            return one, ticket[bank_bits : bank_bits + place_bits]

        used = {
            name: [Signal(banks, name=f"{name}_used_{place}") for place in range(places)]
            for name in counts
        }
        added_one, added_place = split(self.added_ticket, "added")
        served_one, served_place = split(self.served_ticket, "served")
        added_used = Signal()
        then_used = Signal()
        served_used = Signal()
        for place in range(places):
            with m.If(added_place == place):
                m.d.comb += added_used.eq((used["added"][place] & added_one).any())
            with m.If(served_place == place):
                m.d.comb += [
                    then_used.eq((used["added"][place] & served_one).any()),
                    served_used.eq((used["served"][place] & served_one).any()),
                ]
        served_next = Signal(self._bits)
        last = Signal()
        m.d.comb += [
            added_now.addr.eq(self.added_ticket),
            added_write.addr.eq(self.added_ticket),
            added_write.data.eq(Mux(added_used, added_now.data, 0) + 1),
            added_write.en.eq(self.added),
            added_then.addr.eq(self.served_ticket),
            served_now.addr.eq(self.served_ticket),
            served_next.eq(Mux(served_used, served_now.data, 0) + 1),
            served_write.addr.eq(self.served_ticket),
            served_write.data.eq(served_next),
            served_write.en.eq(self.served),
            last.eq(
                self.served
                & (Mux(then_used, added_then.data, 0) == served_next)
                & ~(self.added & (self.added_ticket == self.served_ticket))
            ),
        ]
        for place in range(places):
            added_here = Mux(self.added & (added_place == place), added_one, 0)
            served_here = Mux(served_place == place, served_one, 0)
            m.d.sync += [
                used["added"][place].eq(used["added"][place] | added_here),
                used["served"][place].eq(used["served"][place] | Mux(self.served, served_here, 0)),
                self.idle[place].eq((self.idle[place] & ~added_here) | Mux(last, served_here, 0)),
            ]
        return m
