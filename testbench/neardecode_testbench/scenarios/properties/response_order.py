"""Answers in order: what is released is open, done, and the oldest of its id."""

from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Array, Assert, Assume, Cat, Cover, Elaboratable, Module, Mux, Signal

from neardecode.lib.response_order import ResponseOrder

__all__ = ["ResponseOrderProperties"]


class ResponseOrderProperties(Elaboratable):
    """A record of every open entry, kept beside the order, and who was opened before whom.

    The environment opens commands of any id, ends any that is open and not done, and takes what it
    likes when it likes.

    Args:
        order: The order.
        entries: Its entries.
    """

    def __init__(self, order: ResponseOrder, entries: int):
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
        return m
