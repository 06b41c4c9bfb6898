"""Reads of the host that wait for a page, and their waking."""

from amaranth.hdl import Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from neardecode.config import Flash
from neardecode.flash.read.pages import Ticket
from neardecode.lib.fifo import StreamFIFO

__all__ = ["Waiters"]


class Waiters(wiring.Component):
    """A list of waiting reads for every page that is on its way.

    Latency: two cycles from ``known`` to the first read woken. Rate: one read added and one woken a
    cycle, with a cycle between two pages.

    Parameters:
        config: The flash section of a configuration.
        entries: Reads that may be open; a power of two.

    Members:
        added: In(1). The read ``entry`` waits for the page of ``ticket``.
        ticket: In(`Ticket`).
        entry: In.
        known: In(1). The page of ``known_ticket`` is known from the next cycle on; nobody is added
            to its list from then on.
        known_ticket: In(`Ticket`).
        woken: Out(1). ``woken_entry`` waits no longer.
        woken_entry: Out.
        hold: In(1). Nobody is woken in this cycle.
    """

    added: Signal
    ticket: data.View
    entry: Signal
    known: Signal
    known_ticket: data.View
    woken: Signal
    woken_entry: Signal
    hold: Signal

    def __init__(self, config: Flash, entries: int):
        self._config = config
        self._entries = entries
        index = (entries - 1).bit_length()
        super().__init__(
            {
                "added": In(1),
                "ticket": In(Ticket(config)),
                "entry": In(index),
                "known": In(1),
                "known_ticket": In(Ticket(config)),
                "woken": Out(1),
                "woken_entry": Out(index),
                "hold": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """First and last of every list, who follows whom, and the list that is walked."""
        m = Module()
        config = self._config
        index = unsigned((self._entries - 1).bit_length())
        tickets = config.banks * config.queue_pages
        m.submodules.first = first = Memory(shape=index, depth=tickets, init=[])
        m.submodules.last = last = Memory(shape=index, depth=tickets, init=[])
        m.submodules.next = following = Memory(shape=index, depth=self._entries, init=[])
        m.submodules.wake = wake = StreamFIFO(Ticket(config), 2 * config.banks)
        first_write, first_read = first.write_port(), first.read_port(domain="comb")
        last_write = last.write_port()
        tail, last_read = last.read_port(domain="comb"), last.read_port(domain="comb")
        next_write, next_read = following.write_port(), following.read_port(domain="comb")

        some = Signal(tickets)
        ticket = self.ticket.as_value()
        here = Signal(tickets)
        ended = Signal(tickets)
        empty = Signal()
        m.d.comb += [
            here.eq(Const(1, tickets) << ticket),
            empty.eq(~(some & here).any()),
            first_write.addr.eq(ticket),
            first_write.data.eq(self.entry),
            first_write.en.eq(self.added & empty),
            last_write.addr.eq(ticket),
            last_write.data.eq(self.entry),
            last_write.en.eq(self.added),
            tail.addr.eq(ticket),
            next_write.addr.eq(tail.data),
            next_write.data.eq(self.entry),
            next_write.en.eq(self.added & ~empty),
            # Only where somebody waits, whose reference keeps the ticket until the walk.
            wake.i.valid.eq(
                self.known
                & (
                    some.bit_select(self.known_ticket.as_value(), 1)
                    | (self.added & (ticket == self.known_ticket.as_value()))
                )
            ),
            wake.i.payload.eq(self.known_ticket),
        ]

        walking = Signal()
        current = Signal(index)
        ending = Signal(index)
        head = wake.o.payload.as_value()
        start = Signal()
        m.d.comb += [
            start.eq(wake.o.valid & ~walking),
            wake.o.ready.eq(~walking),
            first_read.addr.eq(head),
            last_read.addr.eq(head),
            next_read.addr.eq(current),
            ended.eq(Mux(start, Const(1, tickets) << head, 0)),
            self.woken.eq(walking & ~self.hold),
            self.woken_entry.eq(current),
        ]
        with m.If(start & (some & ended).any()):
            m.d.sync += [
                walking.eq(1),
                current.eq(first_read.data),
                ending.eq(last_read.data),
            ]
        with m.If(self.woken):
            m.d.sync += [current.eq(next_read.data), walking.eq(current != ending)]
        m.d.sync += some.eq((some & ~ended) | Mux(self.added, here, 0))
        return m
