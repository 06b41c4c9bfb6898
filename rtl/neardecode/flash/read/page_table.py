"""Which pages are buffered, on their way or waiting for their bank, and who still reads them.

Source: OCP HBF v0.7.0, section 5.3: two page buffers a bank, hits served at once, senses of a bank
strictly in order of arrival, a third page evicts the older.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.config import Flash
from neardecode.flash.read.pages import Filled, Kill, PageQuery, Served, Ticket
from neardecode.flash.read.references import References
from neardecode.lib.one_hot import one_hot_index

__all__ = ["PageTable"]


class PageTable(wiring.Component):
    """A queue of pages for every bank, in the order in which they will be sensed.

    A query finds its page in the queue of its bank, or gives it a place at the end. The places are
    a ring, and the page at an odd one uses the bank's second page buffer, at an even one its first:
    a page can be sensed as soon as the page two places before it has been read by all who asked for
    it. Only the two newest pages of a bank are found: whoever asks for an older one asks later than
    for those that take its buffer, and may have to be answered after them.

    Latency: none; a query is answered in the cycle in which it is taken. Rate: one a cycle; it
    waits while its bank's queue is full, and while ``kill`` is given.

    A bank that is closed lets what was asked of it before come to its end, and holds what is asked
    later until it is opened again.

    Parameters:
        config: The flash section of a configuration.
        readers: Most queries whose readers are not done.

    Members:
        queries: In(stream of `PageQuery`).
        ticket: Out(`Ticket`). The place of the page of the query.
        present: Out(1). The query found its page, and what became of it is known.
        hit: Out(1). The query found its page.
        release: In(1). Pages that wait for others wait no longer.
        waiting: Out(1). A page waits for others.
        blocked: Out(1). A query waits for room in its bank.
        served: In(`Served`).
        kill: In(`Kill`).
        close: In(valid and bank). Close this bank.
        closed: Out(1). It is.
        reopen: In(valid and bank). Open this bank again.
        wanted: Out(banks). Banks with a page to sense now.
        sense_bank: In. A bank.
        sense_ticket, sense_row, sense_stage: Out. What it has to sense next.
        sensed: In(1). It was told to.
        filled: In(`Filled`).
        filled_ticket: Out(`Ticket`). The place of the page at ``filled``.
        filled_stage: Out. The read-retry stage that it was sensed with.
        known: Out(banks), one a place. What became of the page at the place is known.
    """

    queries: stream.Interface
    ticket: data.View
    present: Signal
    hit: Signal
    release: Signal
    waiting: Signal
    blocked: Signal
    served: data.View
    kill: data.View
    close: data.View
    closed: Signal
    reopen: data.View
    wanted: Signal
    sense_bank: Signal
    sense_ticket: data.View
    sense_row: Signal
    sense_stage: Signal
    sensed: Signal
    filled: data.View
    filled_ticket: data.View
    filled_stage: Signal
    known: list[Signal]

    def __init__(self, config: Flash, readers: int):
        self._config = config
        self._references = References(config.banks, config.queue_pages, readers)
        bank = unsigned(ceil_log2(config.banks))
        named_bank = data.StructLayout({"valid": unsigned(1), "bank": bank})
        super().__init__(
            {
                "queries": In(stream.Signature(PageQuery(config))),
                "ticket": Out(Ticket(config)),
                "present": Out(1),
                "hit": Out(1),
                "release": In(1),
                "waiting": Out(1),
                "blocked": Out(1),
                "served": In(Served(config)),
                "kill": In(Kill(config)),
                "close": In(named_bank),
                "closed": Out(1),
                "reopen": In(named_bank),
                "wanted": Out(config.banks),
                "sense_bank": In(bank),
                "sense_ticket": Out(Ticket(config)),
                "sense_row": Out(ceil_log2(config.rows)),
                "sense_stage": Out(3),
                "sensed": In(1),
                "filled": In(Filled(config)),
                "filled_ticket": Out(Ticket(config)),
                "filled_stage": Out(3),
                "known": Out(config.banks).array(config.queue_pages),
            }
        )

    def elaborate(self, platform) -> Module:
        """A bit a bank for everything that a place can be."""
        m = Module()
        banks, places = self._config.banks, self._config.queue_pages
        pages_a_block = 1 if self._config.host is None else self._config.host.pages_a_block
        block_bits = ceil_log2(pages_a_block)

        def vectors(name: str) -> list[Signal]:
            return [Signal(banks, name=f"{name}_{place}") for place in range(places)]

        valid, present, dead = vectors("valid"), self.known, vectors("dead")
        told, waits, later = vectors("told"), vectors("waits"), vectors("later")
        newest = [Signal(banks, name=f"newest_{p}", init=-(p == 0)) for p in range(places)]
        oldest = [Signal(banks, name=f"oldest_{p}", init=-(p == 0)) for p in range(places)]
        shut = Signal(banks)
        retry = [Signal(banks, name=f"retry_{way}") for way in range(2)]
        query = self.queries.payload

        rows = []
        for place in range(places):
            m.submodules[f"rows_{place}"] = memory = Memory(
                shape=data.StructLayout({"row": query.row.shape(), "stage": unsigned(3)}),
                depth=banks,
                init=[],
            )
            ports = (
                memory.write_port(),
                memory.read_port(domain="comb"),
                memory.read_port(domain="comb"),
            )
            m.d.comb += [
                ports[0].addr.eq(query.bank),
                ports[0].data.row.eq(query.row),
                ports[0].data.stage.eq(query.stage),
                ports[1].addr.eq(Mux(self.kill.en, self.kill.bank, query.bank)),
                ports[2].addr.eq(self.sense_bank),
            ]
            rows.append(ports)

        def only(bank: Value, enable: Value | int = 1) -> Value:
            return Mux(enable, (Const(1, banks) << bank)[:banks], 0)

        one, killed_bank = Signal(banks), Signal(banks)
        closing, reopened = Signal(banks), Signal(banks)
        granted, filled_bank = Signal(banks), Signal(banks)
        m.d.comb += [
            one.eq(only(query.bank)),
            killed_bank.eq(only(self.kill.bank, self.kill.en)),
            closing.eq(only(self.close.bank, self.close.valid)),
            reopened.eq(only(self.reopen.bank, self.reopen.valid)),
            granted.eq(only(self.sense_bank)),
            filled_bank.eq(only(self.filled.slot.bank, self.filled.en)),
        ]

        # The query.
        found = Signal(places)
        room = Signal()
        taken = Signal()
        added = Signal()
        for place in range(places):
            recent = newest[(place + 1) % places] | newest[(place + 2) % places]
            m.d.comb += found[place].eq(
                (valid[place] & ~dead[place] & recent & one).any()
                & (rows[place][1].data.row == query.row)
            )
        m.d.comb += [
            room.eq(~_any(newest[place] & valid[place] & one for place in range(places))),
            self.hit.eq(found.any() & ~query.fresh),
            self.queries.ready.eq(~self.kill.en & (self.hit | room)),
            self.blocked.eq(self.queries.valid & ~self.hit & ~room),
            taken.eq(self.queries.valid & self.queries.ready),
            added.eq(taken & ~self.hit),
            self.ticket.bank.eq(query.bank),
            self.ticket.place.eq(
                Mux(
                    self.hit,
                    one_hot_index(found),
                    one_hot_index(Cat((v & one).any() for v in newest)),
                )
            ),
            self.present.eq(
                self.hit & Cat((v & one).any() for v in present).bit_select(self.ticket.place, 1)
            ),
        ]

        m.submodules.references = references = self._references
        m.d.comb += [
            references.added.eq(taken),
            references.added_ticket.eq(self.ticket.as_value()),
            references.served.eq(self.served.en),
            references.served_ticket.eq(self.served.ticket.as_value()),
        ]

        # What to sense: a page that did not come out right before a new one.
        next_page, evicted = vectors("next_page"), vectors("evicted")
        again = Signal(banks)
        m.d.comb += again.eq(retry[0] | retry[1])
        for place in range(places):
            before = (place - 2) % places
            occupied = valid[before] & told[before] & ~(present[before] & references.idle[before])
            m.d.comb += next_page[place].eq(
                oldest[place]
                & valid[place]
                & ~told[place]
                & (~waits[place] | closing)
                & ~later[place]
                & ~occupied
            )
        new = Signal(banks)
        again_way = Signal()
        again_here = Signal()
        m.d.comb += [
            new.eq(_or(next_page)),
            self.wanted.eq(again | new),
            again_way.eq(~(retry[0] & granted).any()),
            again_here.eq((again & granted).any()),
            self.sense_ticket.bank.eq(self.sense_bank),
            self.sense_ticket.place.eq(
                one_hot_index(
                    Cat(
                        Mux(
                            again_here,
                            (valid[p] & told[p] & granted).any() & (again_way == p % 2),
                            (next_page[p] & granted).any(),
                        )
                        for p in range(places)
                    )
                )
            ),
        ]
        m.submodules.stages = stages = Memory(shape=unsigned(3), depth=2 * banks, init=[])
        stage_write = stages.write_port()
        stage_again = stages.read_port(domain="comb")
        stage_filled = stages.read_port(domain="comb")
        sense = Signal.like(rows[0][2].data)
        with m.Switch(self.sense_ticket.place):
            for place in range(places):
                with m.Case(place):
                    m.d.comb += sense.eq(rows[place][2].data)
        m.d.comb += [
            stage_again.addr.eq(Cat(again_way, self.sense_bank)),
            stage_filled.addr.eq(Cat(self.filled.slot.way, self.filled.slot.bank)),
            self.sense_row.eq(sense.row),
            self.sense_stage.eq(Mux(again_here, (stage_again.data + 1)[:3], sense.stage)),
            stage_write.addr.eq(Cat(self.sense_ticket.place[0], self.sense_bank)),
            stage_write.data.eq(self.sense_stage),
            stage_write.en.eq(self.sensed),
            self.filled_stage.eq(stage_filled.data),
        ]
        told_now = vectors("told_now")
        for place in range(places):
            before = (place - 2) % places
            m.d.comb += [
                told_now[place].eq(Mux(self.sensed & ~again_here, next_page[place] & granted, 0)),
                evicted[before].eq(told_now[place] & told[before]),
            ]

        # What became of it.
        came = vectors("came")
        for place in range(places):
            way = place % 2
            m.d.comb += came[place].eq(
                Mux(
                    self.filled.slot.way == way,
                    filled_bank & valid[place] & told[place] & ~present[place],
                    0,
                )
            )
        done = Signal()
        m.d.comb += [
            done.eq(~self.filled.again),
            self.filled_ticket.bank.eq(self.filled.slot.bank),
            self.filled_ticket.place.eq(one_hot_index(Cat(v.any() for v in came))),
            self.waiting.eq(_or(v & w for v, w in zip(valid, waits, strict=True)).any()),
        ]
        for way in range(2):
            this_way = Mux(self.filled.slot.way == way, filled_bank, 0)
            resensed = Mux(self.sensed & again_here & (again_way == way), granted, 0)
            m.d.sync += retry[way].eq(
                (retry[way] & ~resensed) | Mux(self.filled.again, this_way, 0)
            )

        # Closing.
        busy = Signal(banks)
        m.d.comb += [
            busy.eq(
                again
                | _or(
                    valid[place] & ((told[place] & ~present[place]) | ~(told[place] | later[place]))
                    for place in range(places)
                )
            ),
            self.closed.eq((closing & ~busy).any()),
        ]
        m.d.sync += shut.eq((shut | closing) & ~reopened)

        for place in range(places):
            fresh = Mux(added, newest[place] & one, 0)
            row = Mux(self.kill.en, self.kill.row, query.row)
            same_block = rows[place][1].data.row[block_bits:] == row[block_bits:]
            same_row = rows[place][1].data.row[:block_bits] == row[:block_bits]
            stale = Mux(
                same_block & (self.kill.block | same_row), killed_bank & ~later[place], 0
            ) | Mux(added & found[place], one, 0)
            m.d.comb += rows[place][0].en.eq(fresh.any())
            m.d.sync += [
                valid[place].eq((valid[place] & ~evicted[place]) | fresh),
                told[place].eq((told[place] | told_now[place]) & ~fresh),
                present[place].eq((present[place] | Mux(done, came[place], 0)) & ~fresh),
                dead[place].eq(
                    (dead[place] | stale | Mux(done & self.filled.failed, came[place], 0)) & ~fresh
                ),
                waits[place].eq(
                    Mux(self.release, 0, waits[place] & ~fresh) | Mux(query.waits, fresh, 0)
                ),
                later[place].eq(
                    (later[place] & ~fresh & ~reopened) | (fresh & (shut | closing) & ~reopened)
                ),
                newest[place].eq(
                    (newest[place] & ~Mux(added, one, 0))
                    | Mux(added, newest[(place - 1) % places] & one, 0)
                ),
                oldest[place].eq(
                    (oldest[place] & ~told_now[place]) | told_now[(place - 1) % places]
                ),
            ]
        return m


def _or(vectors) -> Value:
    result: Value | int = 0
    for vector in vectors:
        result = result | vector
    return Value.cast(result)


def _any(vectors) -> Value:
    return _or(vectors).any()
