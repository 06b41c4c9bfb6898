"""Answers in order within an id, in any order across ids."""

from amaranth.hdl import Assert, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from neardecode.lib.arbiter import RoundRobin

__all__ = ["Opening", "ResponseOrder"]


class Opening(data.StructLayout):
    """A command whose answer is to be ordered.

    Fields:
        id: Answers of the same id keep the order in which they were opened.
        done: The answer is known at once.
        urgent: It goes before those that are not, where its id allows.
    """

    def __init__(self, id_bits: int):
        super().__init__({"id": unsigned(id_bits), "done": unsigned(1), "urgent": unsigned(1)})


class ResponseOrder(wiring.Component):
    """Tells which answer may be given next.

    A command opens an entry, is marked done when its answer is known, and is released when every
    earlier command of its id has been released. Entries that could be released take turns, urgent
    ones first. Whatever belongs to a command is kept by its owner, by the number of its entry,
    which is free again once its release is taken.

    Latency: two cycles from an opening that is done, or one from ``done``, to ``releases``, where
    nothing before it waits. Rate: one opening, one ``done`` and one release a cycle. After reset it
    clears its table of ids, ``2 ** id_bits`` cycles in which nothing is opened.

    Parameters:
        id_bits: Bits of an id.
        entries: Commands that may be open; a power of two.

    Members:
        opens: In(stream of `Opening`).
        entry: Out. The entry that the command at ``opens`` gets.
        done: In(1). The answer of ``done_entry`` is known. Given once an entry, in or after the
            cycle after its opening, and not where it opened as done.
        done_entry: In. Which.
        releases: Out(stream of entry).
        level: Out. Entries that are open.

    Raises:
        ValueError: if ``entries`` is not a power of two from 2 on.
    """

    opens: stream.Interface
    entry: Signal
    done: Signal
    done_entry: Signal
    releases: stream.Interface
    level: Signal

    def __init__(self, id_bits: int, entries: int):
        if not isinstance(entries, int) or entries < 2 or entries & (entries - 1):
            raise ValueError(f"entries must be a power of two from 2 on, not {entries!r}")
        self._id_bits = id_bits
        self._entries = entries
        index = exact_log2(entries)
        super().__init__(
            {
                "opens": In(stream.Signature(Opening(id_bits))),
                "entry": Out(index),
                "done": In(1),
                "done_entry": In(index),
                "releases": Out(stream.Signature(unsigned(index))),
                "level": Out(range(entries + 1)),
            }
        )
        # Ids that were cleared; entries by what is known of them; the one that was opened last.
        self._swept = Signal(id_bits + 1)
        self._fresh = Signal(range(entries + 1))
        self._put = Signal(index)
        self._get = Signal(index)
        self._live = Signal(entries)
        self._first = Signal(entries)
        self._done = Signal(entries)
        self._followed = Signal(entries)
        self._linking = Signal()
        self._linking_entry = Signal(index)
        self._linking_id = Signal(id_bits)

    def elaborate(self, platform) -> Module:
        """Free entries; who follows whom; who may go."""
        m = Module()
        entries = self._entries
        index_bits = exact_log2(entries)
        one = Const(1, entries)

        swept = self._swept
        ready = swept[-1]
        with m.If(~ready):
            m.d.sync += swept.eq(swept + 1)

        # Entries never used come first, by count; then those given back.
        fresh, put, get = self._fresh, self._put, self._get
        m.submodules.free = free = Memory(shape=unsigned(index_bits), depth=entries, init=[])
        returned = free.write_port()
        given = free.read_port(domain="comb")
        opened = Signal()
        taken = Signal()
        m.d.comb += [
            opened.eq(self.opens.valid & self.opens.ready),
            self.opens.ready.eq(ready & (self.level != entries)),
            given.addr.eq(get),
            self.entry.eq(Mux(fresh == entries, given.data, fresh[:index_bits])),
            taken.eq(self.releases.valid & self.releases.ready),
            returned.addr.eq(put),
            returned.data.eq(self.releases.payload),
            returned.en.eq(taken),
        ]
        m.d.sync += self.level.eq(self.level + opened - taken)
        with m.If(opened):
            with m.If(fresh == entries):
                m.d.sync += get.eq(get + 1)
            with m.Else():
                m.d.sync += fresh.eq(fresh + 1)
        with m.If(taken):
            m.d.sync += put.eq(put + 1)

        live, first, done, followed = self._live, self._first, self._done, self._followed
        urgent = Signal(entries)
        mark_open = Signal(entries)
        mark_done = Signal(entries)
        mark_released = Signal(entries)
        opening = self.opens.payload
        m.d.comb += [
            mark_open.eq(Mux(opened, one << self.entry, 0)),
            mark_done.eq(
                Mux(self.done, one << self.done_entry, 0) | Mux(opening.done, mark_open, 0)
            ),
        ]

        # The newest entry of every id; whether it is still open is seen at the entry itself.
        m.submodules.newest = newest = Memory(
            shape=unsigned(index_bits), depth=1 << self._id_bits, init=[]
        )
        latest = newest.write_port()
        before = newest.read_port(transparent_for=(latest,))
        m.submodules.ids = ids = Memory(shape=unsigned(self._id_bits), depth=entries, init=[])
        id_write = ids.write_port()
        id_read = ids.read_port(domain="comb")
        m.submodules.followers = followers = Memory(
            shape=unsigned(index_bits), depth=entries, init=[]
        )
        link = followers.write_port()
        follower = followers.read_port(domain="comb")

        linking, linking_entry = self._linking, self._linking_entry
        linking_id = self._linking_id
        m.d.sync += [
            linking.eq(opened),
            linking_entry.eq(self.entry),
            linking_id.eq(opening.id),
        ]
        m.d.comb += [
            before.addr.eq(opening.id),
            before.en.eq(opened),
            latest.addr.eq(Mux(ready, linking_id, swept[:-1])),
            latest.data.eq(Mux(ready, linking_entry, 0)),
            latest.en.eq(linking | ~ready),
            id_write.addr.eq(linking_entry),
            id_write.data.eq(linking_id),
            id_write.en.eq(linking),
            id_read.addr.eq(before.data),
            link.addr.eq(before.data),
            link.data.eq(linking_entry),
        ]
        # An entry is live from its linking on, so that its id is written when it is compared.
        mark_linked = Signal(entries)
        follows = Signal()
        mark_followed = Signal(entries)
        mark_next = Signal(entries)
        m.d.comb += [
            mark_linked.eq(Mux(linking, one << linking_entry, 0)),
            follows.eq(
                linking
                & (live & ~mark_released).bit_select(before.data, 1)
                & (id_read.data == linking_id)
            ),
            link.en.eq(follows),
            mark_followed.eq(Mux(follows, one << before.data, 0)),
        ]

        m.submodules.turns = turns = RoundRobin(entries)
        may_go = Signal(entries)
        released = Signal()
        m.d.comb += [
            may_go.eq(first & done),
            turns.requests.eq(Mux((may_go & urgent).any(), may_go & urgent, may_go)),
            released.eq(may_go.any() & (~self.releases.valid | self.releases.ready)),
            turns.advance.eq(released),
            mark_released.eq(Mux(released, turns.grants, 0)),
            follower.addr.eq(turns.index),
            mark_next.eq(Mux((mark_released & followed).any(), one << follower.data, 0)),
        ]
        with m.If(~self.releases.valid | self.releases.ready):
            m.d.sync += [
                self.releases.valid.eq(may_go.any()),
                self.releases.payload.eq(turns.index),
            ]
        m.d.sync += [
            live.eq((live | mark_linked) & ~mark_released),
            followed.eq((followed | mark_followed) & ~mark_open),
            first.eq((first | Mux(follows, 0, mark_linked) | mark_next) & ~mark_released),
            done.eq((done & ~mark_released) | mark_done),
            urgent.eq((urgent & ~mark_open) | Mux(opening.urgent, mark_open, 0)),
            Assert(~self.done | ~(done & ~mark_open).bit_select(self.done_entry, 1), "done twice"),
        ]
        return m
