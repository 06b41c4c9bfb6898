"""A stream buffer whose storage is SRAM."""

from amaranth.hdl import ShapeLike
from amaranth.lib import fifo

from neardecode.lib.fifo import StreamFIFO

__all__ = ["LandingBuffer"]


class LandingBuffer(StreamFIFO):
    """A `StreamFIFO` that reads its storage with the clock, so that it may be SRAM.

    Latency: two cycles. Rate: one payload a cycle. It accepts whenever fewer than ``depth``
    payloads are inside; with an output register that takes a cycle to fill, fewer than three
    entries could not.

    Raises:
        ValueError: if ``depth`` is below 3.
    """

    def __init__(self, shape: ShapeLike, depth: int):
        if not isinstance(depth, int) or depth < 3:
            raise ValueError(f"depth must be an integer from 3 on, not {depth!r}")
        super().__init__(shape, depth)

    def _library_queue(self, width: int, depth: int) -> fifo.SyncFIFOBuffered:
        return fifo.SyncFIFOBuffered(width=width, depth=depth)

    @property
    def latency(self) -> int:
        """Cycles from ``i`` to ``o``."""
        return 2
