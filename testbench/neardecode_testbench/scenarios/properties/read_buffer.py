"""A vault's read buffer: a place is given out once, and not again before its beat left."""

from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Assume, Cat, Cover, Elaboratable, Module, Mux, Signal

from neardecode.config import Stack
from neardecode.stack.read_buffer import ReadBuffer

__all__ = ["ObservedReadBuffer", "ReadBufferProperties"]


class ObservedReadBuffer(ReadBuffer):
    """The buffer, with its ring."""

    def __init__(self, config: Stack):
        super().__init__(config)
        self.free, self.head, self.filled = self._free, self._head, self._filled


class ReadBufferProperties(Elaboratable):
    """Any answers for which there is room, their beats in any order, an output that stalls.

    Args:
        buffer: The buffer.
        config: What it was made with.
    """

    def __init__(self, buffer: ObservedReadBuffer, config: Stack):
        self.buffer = buffer
        self.config = config

    def elaborate(self, platform) -> Module:
        """The buffer in its environment, and which places wait for their beats."""
        m = Module()
        config, depth = self.config, self.config.buffer_beats
        m.submodules.buffer = buffer = self.buffer
        answer = buffer.answers.payload
        m.d.comb += [
            buffer.answers.valid.eq(AnySeq(1)),
            answer.as_value().eq(AnySeq(answer.shape().size)),
            buffer.stored.eq(AnySeq(1)),
            buffer.stored_place.eq(AnySeq(len(buffer.stored_place))),
            buffer.stored_data.eq(AnySeq(len(buffer.stored_data))),
            buffer.beats.ready.eq(AnySeq(1)),
        ]
        waits = Signal(depth)
        size, given = Signal(range(depth + 1)), Signal(depth)
        stored = Signal(depth)
        fits = Mux(answer.single, buffer.beat_fits, buffer.page_fits)
        takes = buffer.answers.valid & ~answer.error
        m.d.comb += [
            Assume(~takes | fits, "answers for which there is room"),
            Assume(
                ~buffer.stored | waits.bit_select(buffer.stored_place, 1),
                "beats that are waited for",
            ),
            size.eq(Mux(takes, Mux(answer.single, 1, config.page_beats), 0)),
            given.eq(
                Cat(((place - buffer.place)[: len(buffer.place)] < size) for place in range(depth))
            ),
            stored.eq(Mux(buffer.stored, 1 << buffer.stored_place, 0)),
        ]
        m.d.sync += waits.eq((waits | given) & ~stored)
        held = Signal(depth)
        used = depth - buffer.free
        m.d.comb += [
            held.eq(
                Cat(((place - buffer.head)[: len(buffer.head)] < used) for place in range(depth))
            ),
            Assert(buffer.free <= depth, "no more places than there are"),
            Assert(
                (buffer.place - buffer.head)[: len(buffer.place)] == used[: len(buffer.place)],
                "places are given out and emptied in order",
            ),
            Assert((given & held) == 0, "a place is given out once"),
            Assert((waits & buffer.filled) == 0, "a place is filled once"),
            Assert((waits | buffer.filled) == held, "a place waits or is filled"),
            Cover(buffer.free == 0, "all places are given out"),
        ]
        return m
