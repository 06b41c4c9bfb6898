"""The credits of one virtual channel of a router's output."""

from amaranth.hdl import Assert, Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["CreditCount"]


class CreditCount(wiring.Component):
    """Counts what may still be sent.

    A credit that returns in a cycle is spent in the next at the earliest.

    Parameters:
        credits: Credits after reset; the entries of the buffer at the other end.

    Members:
        spent: ``In(1)``. A flit is sent.
        returned: ``In(1)``. A flit left the buffer at the other end.
        available: ``Out(1)``. There is a credit.

    Raises:
        ValueError: if ``credits`` is not a positive integer.
    """

    spent: Signal
    returned: Signal
    available: Signal

    def __init__(self, credits: int):
        if not isinstance(credits, int) or credits < 1:
            raise ValueError(f"credits must be a positive integer, not {credits!r}")
        self._credits = credits
        self._count = Signal(range(credits + 1), name="count", init=credits)
        super().__init__({"spent": In(1), "returned": In(1), "available": Out(1)})

    def elaborate(self, platform) -> Module:
        """One counter, up or down."""
        m = Module()
        count = self._count
        down = self.spent
        # Bit by bit: an adder and a subtracter with a choice behind them would be twice the gates.
        toggles = [self.spent ^ self.returned]
        for bit in count[:-1]:
            toggles.append(toggles[-1] & (bit ^ down))
        m.d.comb += self.available.eq(count.any())
        m.d.sync += count.eq(count ^ Cat(toggles))
        m.d.sync += [
            Assert(~(self.returned & (count == self._credits)), "a credit that was never spent"),
            Assert(~(self.spent & (count == 0)), "a flit was sent without a credit"),
        ]
        return m
