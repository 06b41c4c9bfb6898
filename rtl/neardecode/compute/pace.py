"""When a slice moves: its slower clock, and the cycles that heat takes away."""

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["THROTTLE_CYCLES", "Pace"]

THROTTLE_CYCLES = 16
"""Of so many cycles the throttle says how many are taken away."""


class Pace(wiring.Component):
    """Spreads the cycles that are taken away evenly.

    Parameters:
        clock_divider: The slice moves in one of so many cycles.

    Members:
        throttle: In(range(17)). How many of 16 of the slice's cycles are taken away.
        moves: Out(1). The slice's clock moves.
        halted: Out(1). A cycle of the slice that is taken away.

    Raises:
        ValueError: if ``clock_divider`` is not a positive integer.
    """

    throttle: Signal
    moves: Signal
    halted: Signal

    def __init__(self, clock_divider: int):
        if not isinstance(clock_divider, int) or clock_divider < 1:
            raise ValueError(f"clock_divider must be a positive integer, not {clock_divider!r}")
        self._divider = clock_divider
        super().__init__(
            {"throttle": In(range(THROTTLE_CYCLES + 1)), "moves": Out(1), "halted": Out(1)}
        )

    def elaborate(self, platform) -> Module:
        """A divider, and a sum that overflows once for every cycle taken away."""
        m = Module()
        m.d.comb += self.moves.eq(1)
        if self._divider > 1:
            phase = Signal(range(self._divider))
            m.d.sync += phase.eq(phase + 1)
            m.d.comb += self.moves.eq(phase == 0)
            with m.If(phase == self._divider - 1):
                m.d.sync += phase.eq(0)
        owed = Signal(range(THROTTLE_CYCLES))
        total = Signal(range(2 * THROTTLE_CYCLES))
        m.d.comb += [
            total.eq(owed + self.throttle),
            self.halted.eq(self.moves & (total >= Const(THROTTLE_CYCLES))),
        ]
        with m.If(self.moves):
            m.d.sync += owed.eq(total)
        return m
