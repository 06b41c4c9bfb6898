"""The buffer of one virtual channel of a router's input."""

from amaranth.hdl import Assert, Cat, Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["InputBuffer", "choose"]

_NUMBER_BITS = 64


def choose(selects, values) -> Value:
    """The one value that is selected, or zero.

    Gates of AND and OR: a tree of two-way multiplexers over a binary index costs half as much
    again.
    """
    terms = [Mux(select, value, 0) for select, value in zip(selects, values, strict=True)]
    while len(terms) > 1:
        terms = [
            terms[index] | terms[index + 1] if index + 1 < len(terms) else terms[index]
            for index in range(0, len(terms), 2)
        ]
    return terms[0]


class InputBuffer(wiring.Component):
    """Keeps what its sender has credits for.

    There is no ready: the sender counts what it may send, and so the buffer need not. It knows
    where the oldest payload lies, where the next will lie, and whether there is one.

    Latency: one cycle. Rate: one payload a cycle.

    Parameters:
        shape: Shape of the payload.
        depth: Payloads that fit.

    Members:
        write: ``In(1)``. A payload comes.
        payload: ``In(shape)``.
        o: ``Out(stream.Signature(shape))``. The oldest payload.

    Raises:
        TypeError: if ``shape`` is not a shape.
        ValueError: if ``depth`` is not a positive integer.
    """

    write: Signal
    payload: Signal
    o: stream.Interface

    def __init__(self, shape: ShapeLike, depth: int):
        width = Shape.cast(shape).width
        if not isinstance(depth, int) or depth < 1:
            raise ValueError(f"depth must be a positive integer, not {depth!r}")
        # In pieces that a compiled simulator computes with as numbers, three times as fast.
        self._pieces = [
            range(start, min(start + _NUMBER_BITS, width))
            for start in range(0, width, _NUMBER_BITS)
        ]
        self._entries = [
            [
                Signal(len(piece), name=f"entry_{number}_{piece.start}", reset_less=True)
                for piece in self._pieces
            ]
            for number in range(depth)
        ]
        # One bit an entry: a binary index would have to be decoded for every use.
        self._next = Signal(depth, name="next", init=1)
        self._oldest = Signal(depth, name="oldest", init=1)
        self._filled = Signal(name="filled")
        super().__init__({"write": In(1), "payload": In(shape), "o": Out(stream.Signature(shape))})

    @property
    def depth(self) -> int:
        """Payloads that fit."""
        return len(self._entries)

    @property
    def latency(self) -> int:
        """Cycles from ``payload`` to ``o``."""
        return 1

    def elaborate(self, platform) -> Module:
        """Entries, two rings of a bit, and a flag."""
        m = Module()
        filled, following, oldest = self._filled, self._next, self._oldest
        taken, last = Signal(), Signal()
        m.d.comb += [
            taken.eq(filled & self.o.ready),
            last.eq((oldest.rotate_left(1) & following).any()),
            self.o.valid.eq(filled),
            Value.cast(self.o.payload).eq(
                Cat(choose(oldest, pieces) for pieces in zip(*self._entries, strict=True))
            ),
        ]
        with m.If(self.write):
            m.d.sync += [following.eq(following.rotate_left(1)), filled.eq(1)]
        with m.Elif(taken & last):
            m.d.sync += filled.eq(0)
        with m.If(taken):
            m.d.sync += oldest.eq(oldest.rotate_left(1))
        payload = Value.cast(self.payload)
        for number, entry in enumerate(self._entries):
            with m.If(self.write & following[number]):
                for bits, piece in zip(self._pieces, entry, strict=True):
                    m.d.sync += piece.eq(payload[bits.start : bits.stop])

        m.d.sync += Assert(
            ~(self.write & filled & (following == oldest)), "a payload came without a free entry"
        )
        return m
