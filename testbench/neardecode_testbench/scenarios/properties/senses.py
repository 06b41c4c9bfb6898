"""Senses: one in flight a bank, and no page buffer taken from a reader."""

from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Array, Assert, Assume, Cat, Cover, Elaboratable, Module, Mux, Signal, Value

from neardecode.config import Flash
from neardecode.flash.read.page_table import PageTable
from neardecode.flash.read.scheduler import SenseScheduler

__all__ = ["SenseSchedulerProperties", "SensesProperties"]


class SenseSchedulerProperties(Elaboratable):
    """A bank is told to sense only when no sense of it is in flight, and a page of it is wanted.

    A bank takes senses while it has none in flight, and for as long as it likes not then either.

    Args:
        banks: Banks of the channel.
    """

    def __init__(self, banks: int):
        self.banks = banks

    def elaborate(self, platform) -> Module:
        """The scheduler, and the senses in flight."""
        m = Module()
        m.submodules.scheduler = scheduler = SenseScheduler(self.banks)
        told, _, in_flight = _banks(m, scheduler, self.banks)
        m.d.comb += [
            scheduler.wanted.eq(AnySeq(self.banks)),
            scheduler.permit.eq(AnySeq(1)),
            scheduler.senses.ready.eq(AnySeq(1)),
            Assert((told & in_flight) == 0, "at most one sense in flight a bank"),
            Assert((told & ~scheduler.wanted) == 0, "a sense was wanted"),
            Assert((told & (told - 1)) == 0, "one bank is told at a time"),
            Cover(in_flight.all(), "every bank senses"),
        ]
        return m


class SensesProperties(Elaboratable):
    """A page buffer is given to another page when all that asked for its page were served.

    The environment asks for any page, serves any reader of a page that is known, lets any sense
    come to any end, and kills copies as it likes.

    Args:
        config: The flash section of a configuration.
        readers: Most readers at a time.
    """

    def __init__(self, config: Flash, readers: int):
        self.config = config
        self.readers = readers

    def elaborate(self, platform) -> Module:
        """The table and the scheduler; a record of who reads, and of one ticket's senses."""
        m = Module()
        banks, places = self.config.banks, self.config.queue_pages
        m.submodules.table = table = PageTable(self.config, self.readers)
        m.submodules.scheduler = scheduler = SenseScheduler(banks)
        told, ended, _ = _banks(m, scheduler, banks)
        free = (
            *(table.queries.valid, Value.cast(table.queries.payload), table.release),
            *(Value.cast(table.served), Value.cast(table.kill)),
            *(scheduler.permit, scheduler.senses.ready, table.filled.again, table.filled.failed),
        )
        m.d.comb += [value.eq(AnySeq(len(value))) for value in free]
        m.d.comb += [
            scheduler.wanted.eq(table.wanted),
            table.sense_bank.eq(scheduler.senses.payload),
            table.sensed.eq(told.any()),
        ]

        # What is sensed is filled in the order of the senses, a cycle or more after its end.
        tickets = range(banks * places)
        sensing = [Signal(name=f"sensing_{t}") for t in tickets]
        reading = [Signal(range(self.readers + 1), name=f"reading_{t}") for t in tickets]
        buffered = [Signal(name=f"buffered_{t}") for t in tickets]
        asked = Signal(range(banks * places))
        served = Signal(range(banks * places))
        given = Signal(range(banks * places))
        filled = Signal(range(banks * places))
        m.d.comb += [
            asked.eq(Cat(table.ticket.place, table.ticket.bank)),
            served.eq(Cat(table.served.ticket.place, table.served.ticket.bank)),
            given.eq(Cat(table.sense_ticket.place, table.sense_ticket.bank)),
            filled.eq(Cat(table.filled_ticket.place, table.filled_ticket.bank)),
            table.filled.en.eq(ended.any()),
        ]
        sense_place = Signal(range(places))
        by_bank = Array(
            Array(sensing[bank * places + place] for place in range(places))
            for bank in range(banks)
        )
        ended_bank = Mux(ended[1], 1, 0)
        m.d.comb += [
            Assume((ended & (ended - 1)) == 0, "one page comes at a time"),
            table.filled.slot.bank.eq(ended_bank),
            table.filled.slot.way.eq(sense_place[0]),
            sense_place.eq(
                Cat(
                    Cat(by_bank[ended_bank][p] for p in range(places) if p >> bit & 1).any()
                    for bit in range((places - 1).bit_length())
                )
            ),
        ]
        known = Array(table.known[t % places][t // places] for t in tickets)
        takes = table.queries.valid & table.queries.ready
        m.d.comb += [
            Assume(~takes | (sum(reading[1:], reading[0]) < self.readers), "readers are limited"),
            Assume(
                ~table.served.en | (known[served] & (Array(reading)[served] != 0)),
                "who is served reads a page that is known",
            ),
            Assume(Value.cast(table.kill).any() == table.kill.en, "no kill without its enable"),
            Assert(~told.any() | (table.sense_ticket.bank == table.sense_bank), "its own bank"),
            Assert(
                ~table.filled.en | (filled == Cat(sense_place, ended_bank)), "what came is known"
            ),
        ]
        for t in tickets:
            place, bank = t % places, t // places
            twin = bank * places + (place - 2) % places
            given_here = told.any() & (given == t)
            asked_here = takes & (asked == t)
            m.d.sync += reading[t].eq(reading[t] + asked_here - (table.served.en & (served == t)))
            with m.If(given_here):
                m.d.sync += [sensing[t].eq(1), buffered[t].eq(1)]
            with m.Elif(asked_here & ~table.hit):
                m.d.sync += buffered[t].eq(0)
            with m.If(table.filled.en & (filled == t)):
                m.d.sync += sensing[t].eq(0)
            # A page that waits behind this one for the same buffer does not use it yet.
            in_use = buffered[twin] & ((reading[twin] != 0) | sensing[twin])
            m.d.comb += [
                Assert(~(given_here & in_use), "a page buffer in use is not given away"),
                Assert(~(asked_here & ~table.hit & sensing[t]), "a place in use is not given away"),
            ]
        m.d.comb += Cover(told.any() & (given == 2), "a page buffer is given to a second page")
        return m


def _banks(m: Module, scheduler: SenseScheduler, banks: int) -> tuple[Signal, Signal, Signal]:
    """Banks that sense for as long as they like: told now, ended now, in flight."""
    told, ended, in_flight = Signal(banks), Signal(banks), Signal(banks)
    accepted = scheduler.senses.valid & scheduler.senses.ready
    m.d.comb += [
        told.eq(Mux(accepted, (1 << scheduler.senses.payload)[:banks], 0)),
        ended.eq(AnySeq(banks) & in_flight),
        scheduler.sense_ready.eq(AnySeq(banks) & ~in_flight),
    ]
    m.d.sync += in_flight.eq((in_flight & ~ended) | told)
    return told, ended, in_flight
