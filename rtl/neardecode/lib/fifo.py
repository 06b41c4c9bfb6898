"""A stream buffer of any depth."""

from amaranth.hdl import Module, Shape, ShapeLike, Signal, Value
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["StreamFIFO"]


class StreamFIFO(wiring.Component):
    """Buffer up to ``depth`` payloads of a stream, in order.

    The oldest payload stands at the output without being asked for (first-word fall-through).
    Reset empties it. ``i.ready`` and ``o.valid`` come from registers: no path crosses the buffer
    in one cycle. The storage is read without a clock, as a small register file is; it is meant
    for depths of tens, not for an SRAM macro.

    Latency: one cycle. Rate: one payload a cycle at ``depth >= 2``; one payload in two cycles at
    ``depth == 1``, where a full buffer must empty before it accepts. Under backpressure it accepts
    ``depth`` payloads, then holds ``i.ready`` low.

    Parameters:
        shape: Shape of the payload.
        depth: Payloads that fit.

    Members:
        i: ``In(stream.Signature(shape))``.
        o: ``Out(stream.Signature(shape))``.
        level: ``Out(range(depth + 1))``. Payloads inside.

    Raises:
        TypeError: if ``shape`` is not a shape.
        ValueError: if ``depth`` is not a positive integer.
    """

    i: stream.Interface
    o: stream.Interface
    level: Signal

    def __init__(self, shape: ShapeLike, depth: int):
        width = Shape.cast(shape).width
        if not isinstance(depth, int) or depth < 1:
            raise ValueError(f"depth must be a positive integer, not {depth!r}")
        self._queue = self._library_queue(width, depth)
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "level": Out(range(depth + 1)),
            },
        )

    def _library_queue(self, width: int, depth: int) -> fifo.SyncFIFO | fifo.SyncFIFOBuffered:
        # At depth 1 the library's buffered queue is one register without a memory; deeper, its
        # unbuffered one has the shorter latency.
        queue_class = fifo.SyncFIFOBuffered if depth == 1 else fifo.SyncFIFO
        return queue_class(width=width, depth=depth)

    @property
    def depth(self) -> int:
        """Payloads that fit."""
        return self._queue.depth

    @property
    def latency(self) -> int:
        """Cycles from ``i`` to ``o``."""
        return 1

    def elaborate(self, platform) -> Module:
        """The library's queue, between two streams."""
        m = Module()

        m.submodules.queue = queue = self._queue

        m.d.comb += [
            queue.w_data.eq(Value.cast(self.i.payload)),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            Value.cast(self.o.payload).eq(queue.r_data),
            self.o.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.o.ready),
            self.level.eq(queue.r_level),
        ]

        return m
