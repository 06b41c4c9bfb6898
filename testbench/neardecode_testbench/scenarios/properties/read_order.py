"""A vault's answers: in the order in which they were asked for, each with its own beats."""

from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Array, Assert, Assume, Cat, Cover, Elaboratable, Module, Mux, Signal
from amaranth.lib import data, fifo
from amaranth.lib.memory import Memory

from neardecode.config import Stack
from neardecode.lib.fifo import StreamFIFO
from neardecode.stack.read_buffer import Answer
from neardecode_testbench.scenarios.properties.read_buffer import ObservedReadBuffer

__all__ = ["ObservedReadOrder", "ReadOrderProperties"]


class _ShownFIFO(fifo.SyncFIFO):
    """The library's queue with a read port for every entry, from the oldest on."""

    def __init__(self, *, width: int, depth: int):
        super().__init__(width=width, depth=depth)
        self.entries = [Signal(width, name=f"entry_{place}") for place in range(depth)]

    def elaborate(self, platform) -> Module:
        """The queue, and its entries."""
        m: Module = super().elaborate(platform)  # type: ignore
        storage = m.submodules.storage
        oldest = storage.read_ports[0].addr
        for place, entry in enumerate(self.entries):
            view = storage.read_port(domain="comb")
            address = Signal(range(2 * self.depth), name=f"address_{place}")
            m.d.comb += [
                address.eq(oldest + place),
                view.addr.eq(Mux(address < self.depth, address, address - self.depth)),
                entry.eq(view.data),
            ]
        return m


class _ShownStreamFIFO(StreamFIFO):
    def _library_queue(self, width: int, depth: int) -> _ShownFIFO:
        return _ShownFIFO(width=width, depth=depth)

    @property
    def entries(self) -> list[Signal]:
        """From the oldest on."""
        assert isinstance(self._queue, _ShownFIFO)
        return self._queue.entries


class ObservedReadOrder(ObservedReadBuffer):
    """The buffer, with the answers that are due, and a look at any place of its ring."""

    def __init__(self, config: Stack):
        super().__init__(config)
        assert isinstance(self._orders, _ShownStreamFIFO)
        self.due = [data.View(Answer(), entry) for entry in self._orders.entries]
        self.level = self._orders.level
        self.count = self._count
        self.looked_at = Signal(len(self.place))
        self.found = Signal(8 * config.beat_bytes)

    def _due(self, depth: int) -> StreamFIFO:
        return _ShownStreamFIFO(Answer(), depth)

    def _ring(self) -> Memory:
        memory = super()._ring()
        self._look = memory.read_port(domain="comb")
        return memory

    def elaborate(self, platform) -> Module:
        """The buffer, and the place that is looked at."""
        m = super().elaborate(platform)
        m.d.comb += [self._look.addr.eq(self.looked_at), self.found.eq(self._look.data)]
        return m


class ReadOrderProperties(Elaboratable):
    """Any answers for which there is room, their beats in any order, an output that stalls.

    One beat of one answer, any, is followed from when the answer is taken until the beat stands at
    the output: behind those of all answers before, with its tag, its flags, and what was stored.

    Args:
        buffer: The buffer.
        config: What it was made with.
    """

    def __init__(self, buffer: ObservedReadOrder, config: Stack):
        self.buffer = buffer
        self.config = config

    def elaborate(self, platform) -> Module:
        """The buffer in its environment, the beat that is followed, and what is ahead of it."""
        m = Module()
        config, depth = self.config, self.config.buffer_beats
        page_beats = config.page_beats
        m.submodules.buffer = buffer = self.buffer
        answer, out = buffer.answers.payload, buffer.beats.payload
        m.d.comb += [
            buffer.answers.valid.eq(AnySeq(1)),
            answer.as_value().eq(AnySeq(answer.shape().size)),
            buffer.stored.eq(AnySeq(1)),
            buffer.stored_place.eq(AnySeq(len(buffer.stored_place))),
            buffer.stored_data.eq(AnySeq(len(buffer.stored_data))),
            buffer.beats.ready.eq(AnySeq(1)),
        ]
        # What the front keeps (`VaultFrontProperties`), and the queue: a place is stored once.
        held, used = Signal(depth), Signal(range(depth + 1))
        m.d.comb += [
            used.eq(depth - buffer.free),
            held.eq(
                Cat(((place - buffer.head)[: len(buffer.head)] < used) for place in range(depth))
            ),
            Assume(
                ~buffer.answers.valid | Mux(answer.single, buffer.beat_fits, buffer.page_fits),
                "answers for which there is room",
            ),
            Assume(
                ~buffer.stored | (held & ~buffer.filled).bit_select(buffer.stored_place, 1),
                "beats that are waited for",
            ),
        ]

        follow, followed = Signal(), Signal()
        number, chosen = Signal(range(page_beats)), Signal(range(page_beats))
        followed_answer = data.View(Answer(), Signal(Answer().size, name="followed_answer"))
        position = Signal(range(len(buffer.due) + 1))
        place = Signal(len(buffer.place))
        stored, known = Signal(8 * config.beat_bytes), Signal()
        due = Array(each.as_value() for each in buffer.due)
        front = buffer.due[0]
        start, ends, leaves = Signal(), Signal(), Signal()
        advance = ~buffer.beats.valid | buffer.beats.ready
        m.d.comb += [
            follow.eq(AnySeq(1)),
            chosen.eq(AnySeq(len(chosen))),
            Assume(~answer.single | (chosen == 0), "a single beat is its answer's first"),
            start.eq(
                (buffer.level != 0)
                & (front.error | buffer.filled.bit_select(buffer.head, 1))
                & advance
            ),
            ends.eq(start & (front.single | (buffer.count == page_beats - 1))),
            leaves.eq(followed & (position == 0) & start & (buffer.count == number)),
        ]
        with m.If(~followed & follow & buffer.answers.valid):
            m.d.sync += [
                followed.eq(1),
                number.eq(chosen),
                followed_answer.eq(answer),
                position.eq(buffer.level - ends),
                place.eq(buffer.place + chosen),
                known.eq(0),
            ]
        with m.Elif(leaves):
            m.d.sync += followed.eq(0)
        with m.Elif(followed & ends):
            m.d.sync += position.eq(position - 1)
        mine = followed & ~followed_answer.error
        with m.If(mine & buffer.stored & (buffer.stored_place == place)):
            m.d.sync += [known.eq(1), stored.eq(buffer.stored_data)]

        sizes = [Mux(each.error, 0, Mux(each.single, 1, page_beats)) for each in buffer.due]
        given = Mux((buffer.level != 0) & ~front.error, buffer.count, 0)
        ahead, total = Signal(range(4 * depth)), Signal(range(4 * depth))
        m.d.comb += [
            ahead.eq(sum(Mux(at < position, size, 0) for at, size in enumerate(sizes))),
            total.eq(sum(Mux(at < buffer.level, size, 0) for at, size in enumerate(sizes))),
            buffer.looked_at.eq(place),
            Assert(total == used + given, "what is due has its places"),
            Assert((buffer.level != 0) | (buffer.count == 0), "a count belongs to an answer"),
            Assert(~front.single | (buffer.level == 0) | (buffer.count == 0), "one beat alone"),
            Assert(
                (buffer.place - buffer.head)[: len(buffer.place)] == used[: len(buffer.place)],
                "places are given out and emptied in order",
            ),
            Assert(buffer.free <= depth, "no more places than there are"),
            Assert((buffer.filled & ~held) == 0, "what is filled is due"),
            Assert(~followed | (position < buffer.level), "an answer is due until its last beat"),
            Assert(
                ~followed | (due[position] == followed_answer.as_value()),
                "an answer is kept as it came in",
            ),
            Assert(
                ~followed | (position != 0) | (buffer.count <= number), "no beat is passed over"
            ),
            Assert(~followed_answer.single | ~followed | (number == 0), "a single beat is one"),
            Assert(
                ~mine | (ahead + number == given + (place - buffer.head)[: len(buffer.place)]),
                "a beat's place is behind those of the beats before it",
            ),
            Assert(~mine | (known == buffer.filled.bit_select(place, 1)), "a place is filled once"),
            Assert(~(mine & known) | (buffer.found == stored), "a beat is kept as it was stored"),
        ]

        # The cycle after it left the ring it stands at the output.
        left, left_number = Signal(), Signal.like(number)
        left_answer = data.View(Answer(), Signal(Answer().size, name="left_answer"))
        left_data = Signal.like(stored)
        m.d.sync += [
            left.eq(leaves),
            left_number.eq(number),
            left_answer.eq(followed_answer),
            left_data.eq(Mux(followed_answer.error, 0, stored)),
        ]
        waited = Signal()
        before = Signal(out.shape().size)
        m.d.sync += [
            waited.eq(buffer.beats.valid & ~buffer.beats.ready),
            before.eq(out.as_value()),
        ]
        last = left_answer.single | (left_number == page_beats - 1)
        m.d.comb += [
            Assert(
                ~left
                | (
                    buffer.beats.valid
                    & (out.tag == left_answer.tag)
                    & (out.error == left_answer.error)
                    & (out.first == (left_number == 0))
                    & (out.last == last)
                    & (out.data == left_data)
                ),
                "a beat leaves in its turn, with its tag, its flags and what was stored",
            ),
            Assert(
                ~waited | (buffer.beats.valid & (out.as_value() == before)),
                "what is offered stays offered",
            ),
            Cover(left & ~left_answer.single & last & ~left_answer.error, "a page's last beat"),
            Cover(left & (left_answer.error), "an error is told"),
        ]
        return m
