"""A queue: what goes in comes out, once, unchanged, in order."""

from typing import Protocol

from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Cover, Elaboratable, Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import fifo, stream

from neardecode.lib import RegisterSlice, StreamFIFO

__all__ = ["ObservedFIFO", "ObservedQueue", "ObservedRegisterSlice", "QueueProperties"]


class ObservedQueue(Protocol):
    """A queue that shows its entries.

    ``level`` is how many there are, ``entry`` is the payload of the item that has ``position``
    others ahead of it.
    """

    i: stream.Interface
    o: stream.Interface
    level: Signal
    position: Signal
    entry: Signal

    @property
    def depth(self) -> int:
        """Payloads that fit."""
        ...

    def elaborate(self, platform) -> Module:
        """The queue, with its view."""
        ...


class _ObservedLibraryFIFO(fifo.SyncFIFO):
    """The library's queue with one more read port."""

    def __init__(self, *, width: int, depth: int):
        super().__init__(width=width, depth=depth)
        self.position = Signal(range(depth))
        self.entry = Signal(width)

    def elaborate(self, platform) -> Module:
        """The queue, with a read port that counts from the oldest entry."""
        m: Module = super().elaborate(platform)  # type: ignore
        storage = m.submodules.storage
        oldest = storage.read_ports[0].addr
        view = storage.read_port(domain="comb")
        address = Signal(range(2 * self.depth))
        m.d.comb += [
            address.eq(oldest + self.position),
            view.addr.eq(Mux(address < self.depth, address, address - self.depth)),
            self.entry.eq(view.data),
        ]
        return m


class ObservedFIFO(StreamFIFO):
    """A stream buffer that shows its entries."""

    def __init__(self, shape: ShapeLike, depth: int):
        super().__init__(shape, depth)
        if isinstance(self._queue, _ObservedLibraryFIFO):
            self.position = self._queue.position
            self.entry = self._queue.entry
        else:
            self.position = Signal(range(depth))
            self.entry = self._queue.r_data

    def _library_queue(self, width: int, depth: int) -> fifo.SyncFIFO | fifo.SyncFIFOBuffered:
        if depth == 1:
            return super()._library_queue(width, depth)
        return _ObservedLibraryFIFO(width=width, depth=depth)


class ObservedRegisterSlice(RegisterSlice):
    """A register slice that shows its entries."""

    depth = 2

    def __init__(self, shape: ShapeLike):
        super().__init__(shape)
        self.level = Signal(range(self.depth + 1), name="level")
        self.position = Signal(range(self.depth), name="position")
        self.entry = Signal(len(self._skid), name="entry")

    def elaborate(self, platform) -> Module:
        """The slice, with a view of both registers."""
        m = super().elaborate(platform)
        m.d.comb += [
            self.level.eq(self._output_valid + self._skid_valid),
            self.entry.eq(Mux(self.position, self._skid, self._output)),
        ]
        return m


class QueueProperties(Elaboratable):
    """No overflow, no loss, no duplicate, no change, no reordering.

    A count of what is inside runs beside the queue. One item, any, is chosen as it enters; its
    place is counted from then on, and when its turn comes it must stand at the output unchanged.
    The rules of a stream follow: ``valid`` says that something is inside, and the payload is that
    of the item in front, until it is taken.

    Args:
        queue: The queue.
        invariants: Whether to state, beside the contract, what closes the induction.
    """

    def __init__(self, queue: ObservedQueue, invariants: bool = True):
        self.queue = queue
        self.invariants = invariants

    def elaborate(self, platform) -> Module:
        """The queue in a free environment, the counts beside it, the statements on both."""
        m = Module()
        m.submodules.queue = queue = self.queue
        depth = queue.depth
        payload_in, payload_out = Value.cast(queue.i.payload), Value.cast(queue.o.payload)

        accepted, taken, choose = Signal(), Signal(), Signal()
        m.d.comb += [
            queue.i.valid.eq(AnySeq(1)),
            payload_in.eq(AnySeq(len(payload_in))),
            queue.o.ready.eq(AnySeq(1)),
            choose.eq(AnySeq(1)),
            accepted.eq(queue.i.valid & queue.i.ready),
            taken.eq(queue.o.valid & queue.o.ready),
        ]

        inside = Signal(range(depth + 2))
        m.d.sync += inside.eq(inside + accepted - taken)

        chosen = Signal()
        ahead = Signal(range(depth + 1))
        payload = Signal(len(payload_in))
        with m.If(~chosen & choose & accepted):
            m.d.sync += [chosen.eq(1), ahead.eq(inside - taken), payload.eq(payload_in)]
        with m.If(chosen & taken):
            with m.If(ahead == 0):
                m.d.sync += chosen.eq(0)
            with m.Else():
                m.d.sync += ahead.eq(ahead - 1)

        m.d.comb += [
            queue.position.eq(ahead),
            Assert(inside <= depth, "no more is inside than fits"),
            Assert(inside == queue.level, "the level is what is inside"),
            Assert(queue.i.ready == (inside != depth), "accepts exactly when there is room"),
            Assert(queue.o.valid == (inside != 0), "offers exactly when there is an item"),
            Assert(
                ~(chosen & (ahead == 0)) | (queue.o.valid & (payload_out == payload)),
                "an item in front is offered as it came in",
            ),
            Cover(inside == depth, "the queue is full"),
            Cover(chosen & (ahead == depth - 1) & taken, "an item in the last place moves forward"),
        ]
        if self.invariants:
            m.d.comb += [
                Assert(~chosen | (ahead < inside), "a chosen item is inside"),
                Assert(~chosen | (queue.entry == payload), "a chosen item is stored as it came in"),
            ]
        return m
