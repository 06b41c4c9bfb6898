"""Answers in order: what is released is open, done, and the oldest of its id."""

from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Array, Assert, Assume, Cat, Cover, Elaboratable, Module, Mux, Signal, Value

from neardecode.lib.response_order import ResponseOrder

__all__ = ["ObservedResponseOrder", "ResponseOrderProperties"]


class ObservedResponseOrder(ResponseOrder):
    """An order that shows what it knows of its entries.

    Attributes:
        given_back, ids, followers, newest: The words of its memories, one after another.
        newest_before: The newest entry of the id of the one that is being linked.
    """

    def __init__(self, id_bits: int, entries: int):
        super().__init__(id_bits, entries)
        index = range(entries)
        self.given_back = [Signal(index, name=f"given_back_{e}") for e in index]
        self.ids = [Signal(id_bits, name=f"ids_{e}") for e in index]
        self.followers = [Signal(index, name=f"followers_{e}") for e in index]
        self.newest = [Signal(index, name=f"newest_{i}") for i in range(1 << id_bits)]
        self.newest_before = Signal(index)

    def elaborate(self, platform) -> Module:
        """The order, with a port at each word."""
        m = super().elaborate(platform)
        for name, words in (
            ("free", self.given_back),
            ("ids", self.ids),
            ("followers", self.followers),
            ("newest", self.newest),
        ):
            memory = getattr(m.submodules, name)
            for place, word in enumerate(words):
                port = memory.read_port(domain="comb")
                m.d.comb += [port.addr.eq(place), word.eq(port.data)]
        before = next(p for p in m.submodules.newest.read_ports if p.domain == "sync")
        m.d.comb += self.newest_before.eq(before.data)
        return m

    def kept(self, entry: int) -> tuple[Value, Value, Value, Value]:
        """Whether an entry is live, first of its id, done, and followed."""
        marks = self._live, self._first, self._done, self._followed
        live, first, done, followed = (mark[entry] for mark in marks)
        return live, first, done, followed

    @property
    def linking(self) -> tuple[Value, Value, Value]:
        """Whether an entry is being linked, which, and its id."""
        return self._linking, self._linking_entry, self._linking_id

    @property
    def clearing(self) -> Value:
        """Whether the table of ids is not cleared yet."""
        return ~self._swept[-1]

    @property
    def supply(self) -> tuple[Value, Value, Value]:
        """Entries used so far, and where in the list the next one is put and got."""
        return self._fresh, self._put, self._get


class ResponseOrderProperties(Elaboratable):
    """A record of every open entry, kept beside the order, and who was opened before whom.

    The environment opens commands of any id, ends any that is open and not done, and takes what it
    likes when it likes.

    Args:
        order: The order.
        entries: Its entries.
    """

    def __init__(self, order: ObservedResponseOrder, entries: int):
        self.order = order
        self.entries = entries

    def elaborate(self, platform) -> Module:
        """The record, and what it says of each opening and release."""
        m = Module()
        m.submodules.order = order = self.order
        entries = range(self.entries)
        opening = order.opens.payload
        m.d.comb += [
            order.opens.valid.eq(AnySeq(1)),
            order.opens.payload.eq(AnySeq(opening.shape().size)),
            order.done.eq(AnySeq(1)),
            order.done_entry.eq(AnySeq(len(order.done_entry))),
            order.releases.ready.eq(AnySeq(1)),
        ]
        is_open = [Signal(name=f"open_{e}") for e in entries]
        is_done = [Signal(name=f"done_{e}") for e in entries]
        ids = [Signal.like(opening.id, name=f"id_{e}") for e in entries]
        before = [[Signal(name=f"{f}_before_{e}") for f in entries] for e in entries]
        opened = order.opens.valid & order.opens.ready
        taken = order.releases.valid & order.releases.ready
        for e in entries:
            opens_here = opened & (order.entry == e)
            takes_here = taken & (order.releases.payload == e)
            with m.If(opens_here):
                m.d.sync += [is_open[e].eq(1), ids[e].eq(opening.id), is_done[e].eq(opening.done)]
            with m.Elif(takes_here):
                m.d.sync += is_open[e].eq(0)
            with m.If(order.done & (order.done_entry == e)):
                m.d.sync += is_done[e].eq(1)
            for f in entries:
                if e != f:
                    leaves = taken & (order.releases.payload == f)
                    m.d.sync += before[e][f].eq(Mux(opens_here, is_open[f], before[e][f]) & ~leaves)
            older = Cat(
                before[e][f] & is_open[f] & (ids[f] == ids[e]) for f in entries if f != e
            ).any()
            m.d.comb += [
                Assert(~opens_here | ~is_open[e], "an entry is opened once"),
                Assert(
                    ~(order.releases.valid & (order.releases.payload == e))
                    | (is_open[e] & is_done[e]),
                    "what is released is open and done",
                ),
                Assert(
                    ~(order.releases.valid & (order.releases.payload == e)) | ~older,
                    "what is released is the oldest of its id",
                ),
            ]
        m.d.comb += [
            Assume(
                ~order.done
                | (Array(is_open)[order.done_entry] & ~Array(is_done)[order.done_entry]),
                "an open command ends once",
            ),
            Assert(order.level == sum(is_open[1:], is_open[0]), "the level counts what is open"),
        ]
        all_done = Cat(~o | d for o, d in zip(is_open, is_done, strict=True)).all()
        stuck = Signal(range(8))
        m.d.sync += stuck.eq(
            Mux(all_done & Cat(is_open).any() & ~order.releases.valid, stuck + (stuck != 7), 0)
        )
        m.d.comb += [
            Assert(stuck < 3, "when all are done one is released"),
            Cover(Cat(is_open).all(), "all entries are open"),
        ]
        self._add_state(m, is_open, is_done, ids, before)
        self._add_supply(m, is_open)
        return m

    def _add_state(self, m: Module, is_open, is_done, ids, before) -> None:
        """What the order keeps is what the record says; this makes the rest inductive."""
        order, entries = self.order, range(self.entries)
        linking, linked, linked_id = order.linking
        sent = order.releases
        lives = [order.kept(e)[0] for e in entries]
        for e in entries:
            live, first, done, followed = order.kept(e)
            links = linking & (linked == e)
            leaves = sent.valid & (sent.payload == e)
            # Others of the same id that wait too, and come before it or after it.
            same = {f: lives[f] & (ids[f] == ids[e]) for f in entries if f != e}
            earlier = Cat(same[f] & before[e][f] for f in same)
            later = Cat(same[f] & before[f][e] for f in same)
            m.d.comb += [
                Assert(live + links + leaves == is_open[e], "an open entry is in one place"),
                Assert(~live | (order.ids[e] == ids[e]), "its id is kept"),
                Assert(done == (is_done[e] & is_open[e] & ~leaves), "that it is done is kept"),
                Assert(~first | live, "the first of an id is live"),
                Assert(~live | (first == ~earlier.any()), "the first of an id has none before it"),
                Assert(~live | (followed == later.any()), "who has one behind it knows"),
                Assert(
                    ~live | later.any() | (Array(order.newest)[ids[e]] == e),
                    "the last of an id is its newest",
                ),
            ]
            for f in same:
                between = Cat(same[g] & before[f][g] & before[g][e] for g in same if g != f)
                m.d.comb += [
                    Assert(
                        ~(live & same[f] & before[f][e] & ~between.any())
                        | (order.followers[e] == f),
                        "who comes next is kept",
                    ),
                    Assert(
                        ~(is_open[e] & is_open[f]) | (before[e][f] ^ before[f][e]),
                        "of two that are open one is the earlier",
                    ),
                    Assert(~before[e][f] | is_open[f] | ~is_open[e], "who left is before nobody"),
                    Assert(
                        ~(links & is_open[f]) | before[e][f], "who is being linked is the latest"
                    ),
                    *(
                        Assert(
                            ~(before[e][f] & before[f][g] & is_open[e] & is_open[f] & is_open[g])
                            | before[e][g],
                            "earlier than an earlier one is earlier",
                        )
                        for g in same
                        if g != f
                    ),
                ]
            m.d.comb += [
                Assert(~links | (ids[e] == linked_id), "the id of who is being linked is kept"),
            ]
        m.d.comb += Assert(
            ~linking | (order.newest_before == Array(order.newest)[linked_id]),
            "the newest of an id was looked up",
        )

    def _add_supply(self, m: Module, is_open) -> None:
        """Entries that are not open were never used, or are in the list once."""
        order, entries = self.order, range(self.entries)
        fresh, put, get = order.supply
        listed = Signal(range(self.entries + 1))
        m.d.comb += [
            listed.eq(fresh - order.level),
            Assert(~order.clearing | (fresh == 0), "nothing is opened before the ids are cleared"),
            Assert(fresh <= self.entries, "no more entries than there are"),
            Assert(order.level <= fresh, "who is open was used"),
            Assert((put - get - listed)[: len(put)] == 0, "the list has its length"),
        ]
        places = [Signal(range(self.entries), name=f"listed_{e}") for e in entries]
        for e in entries:
            m.d.comb += [
                places[e].eq(Array(order.given_back)[(get + e)[: len(get)]]),
                Assert(~is_open[e] | (e < fresh), "an open entry was used"),
                Assert(
                    ~(e < listed) | ((places[e] < fresh) & ~Array(is_open)[places[e]]),
                    "who is in the list was used and is not open",
                ),
                *(
                    Assert(~(e < listed) | (places[e] != places[f]), "nobody is twice in the list")
                    for f in range(e)
                ),
            ]
