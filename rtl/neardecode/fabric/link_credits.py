"""Credits as a count of all units that ever left a buffer."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AbsoluteCredits"]


class AbsoluteCredits(wiring.Component):
    """Says whether a far buffer has room, from how many units left it.

    The far end repeats the count again and again; one that is lost does no harm, since the next
    says it too. What was sent is counted in the next cycle, what was heard too.

    Parameters:
        entries: Units that the buffer holds.

    Members:
        sends: In(1). A unit is sent in this cycle. Only where one is ``available``.
        heard: In(1). The far end was heard in this cycle.
        released: In(range(entries + 1)). The units that ever left the buffer, modulo the power of
            two that its bits can tell.
        available: Out(1). There is room for another.

    Raises:
        ValueError: if ``entries`` is not a positive integer.
    """

    sends: Signal
    heard: Signal
    released: Signal
    available: Signal

    def __init__(self, entries: int):
        if not isinstance(entries, int) or entries < 1:
            raise ValueError(f"entries must be a positive integer, not {entries!r}")
        self._entries = entries
        # Enough bits that a full buffer and an empty one differ.
        bits = range(entries + 1)
        self._sent = Signal(bits, name="sent")
        self._left = Signal(bits, name="left")
        super().__init__(
            {"sends": In(1), "heard": In(1), "released": In(bits), "available": Out(1)}
        )

    def elaborate(self, platform) -> Module:
        """Two counts."""
        m = Module()
        inside = (self._sent - self._left)[: len(self._sent)]
        m.d.comb += self.available.eq(inside != self._entries)
        with m.If(self.sends):
            m.d.sync += self._sent.eq(self._sent + 1)
        with m.If(self.heard):
            m.d.sync += self._left.eq(self.released)
        return m
