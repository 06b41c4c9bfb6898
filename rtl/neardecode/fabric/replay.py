"""Go-back-N: units are kept until they are acknowledged, and sent again from the first missing."""

from amaranth.hdl import Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from neardecode.fabric.link_frame import sequence_bits

__all__ = ["ReplaySender"]


class ReplaySender(wiring.Component):
    """Numbers units, sends each at once, and keeps it until it is acknowledged.

    Nothing here waits for a message that could be lost: the far end repeats in every frame which
    unit it expects and whether it is behind. After a replay began, what the far end says is about
    the time before it, for ``settling`` cycles; only then may another begin.

    A unit taken stands at the output one cycle later. Rate one a cycle, while fewer than
    ``window`` are unacknowledged.

    Parameters:
        shape: Shape of a unit.
        window: Units kept; a power of two.
        settling: Cycles after the beginning of a replay in which ``behind`` means nothing.

    Members:
        units: In(stream of shape).
        filled: Out(1). A unit is sent in this cycle.
        sequence: Out(2 * window numbers). Its number, or that of the next.
        unit: Out(shape). Undefined unless ``filled``.
        heard: In(1). The far end was heard in this cycle.
        expected: In(2 * window numbers). The number of the unit that it waits for.
        behind: In(1). It knows of later ones.
        first: Out(1). The unit chosen in this cycle was never sent before.
        again: Out(1). It was.
        replays: Out(1). A replay begins.

    Raises:
        ValueError: if ``window`` is not a power of two from 2 on, or ``settling`` is not a positive
            integer.
    """

    units: stream.Interface
    filled: Signal
    sequence: Signal
    unit: data.View
    heard: Signal
    expected: Signal
    behind: Signal
    first: Signal
    again: Signal
    replays: Signal

    def __init__(self, shape: ShapeLike, window: int, settling: int):
        if not isinstance(window, int) or window < 2 or window & (window - 1):
            raise ValueError(f"window must be a power of two from 2 on, not {window!r}")
        if not isinstance(settling, int) or settling < 1:
            raise ValueError(f"settling must be a positive integer, not {settling!r}")
        self._window = window
        self._settling = settling
        self._kept = Memory(shape=Shape.cast(shape).width, depth=window, init=[])
        numbers = sequence_bits(window)
        self._oldest = Signal(numbers, name="oldest")
        self._next_sent = Signal(numbers, name="next_sent")
        self._furthest = Signal(numbers, name="furthest")
        self._next_taken = Signal(numbers, name="next_taken")
        super().__init__(
            {
                "units": In(stream.Signature(shape)),
                "filled": Out(1),
                "sequence": Out(numbers),
                "unit": Out(shape),
                "heard": In(1),
                "expected": In(numbers),
                "behind": In(1),
                "first": Out(1),
                "again": Out(1),
                "replays": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """A memory, and four numbers: oldest <= next sent <= furthest <= next taken."""
        m = Module()
        numbers = sequence_bits(self._window)
        places = exact_log2(self._window)
        oldest, next_taken = self._oldest, self._next_taken
        next_sent, furthest = self._next_sent, self._furthest

        taken, sends = Signal(), Signal()
        after = Signal(numbers)
        settling = Signal(range(self._settling + 1))
        m.d.comb += [
            self.units.ready.eq((next_taken - oldest)[:numbers] != self._window),
            taken.eq(self.units.valid & self.units.ready),
            sends.eq((next_sent != next_taken) | taken),
            self.first.eq(sends & (next_sent == furthest)),
            self.again.eq(sends & (next_sent != furthest)),
            after.eq(next_sent + sends),
            self.replays.eq(self.heard & self.behind & (settling == 0)),
        ]

        m.submodules.kept = kept = self._kept
        write = kept.write_port()
        read = kept.read_port(transparent_for=(write,))
        m.d.comb += [
            write.addr.eq(next_taken[:places]),
            write.data.eq(Value.cast(self.units.payload)),
            write.en.eq(taken),
            read.addr.eq(next_sent[:places]),
            read.en.eq(1),
            Value.cast(self.unit).eq(read.data),
        ]
        m.d.sync += [self.filled.eq(sends), self.sequence.eq(next_sent)]

        with m.If(taken):
            m.d.sync += next_taken.eq(next_taken + 1)
        with m.If(self.first):
            m.d.sync += furthest.eq(after)
        # No acknowledgement overtakes a replay: what is heard goes up by one a cycle at most, as
        # what is sent does.
        m.d.sync += next_sent.eq(Mux(self.replays, self.expected, after))
        with m.If(self.heard):
            m.d.sync += oldest.eq(self.expected)
        with m.If(self.replays):
            m.d.sync += settling.eq(self._settling)
        with m.Elif(settling != 0):
            m.d.sync += settling.eq(settling - 1)
        return m
