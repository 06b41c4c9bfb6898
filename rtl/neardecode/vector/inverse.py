"""Reciprocals and reciprocal square roots of wide integers, and what a row is multiplied by."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.config.tables import reciprocal_root_table, reciprocal_table
from neardecode.config.vector import RECIPROCAL_BITS
from neardecode.lib.lines import StraightLines

__all__ = ["Factor", "Inverse"]


class Factor(data.StructLayout):
    """``value * 2 ** -(RECIPROCAL_BITS + exponent)``.

    Fields:
        value: About 2 ** 15 to 2 ** 16.
        exponent: Unsigned.
    """

    def __init__(self, exponent_bits: int):
        super().__init__(
            {
                "value": unsigned(RECIPROCAL_BITS + 1),
                "exponent": unsigned(exponent_bits),
            }
        )


class Inverse(wiring.Component):
    """The reciprocal, or the reciprocal square root, of a positive integer.

    The 16 bits after the top one choose a straight line; the rest is dropped. The largest error is
    2 ** -14 of the value. What it gives for zero means nothing.

    Latency: none: a priority encoder, a shifter, a table; place registers around it. Rate: one
    integer a cycle.

    Parameters:
        bits: Of the integer.
        root: The square root's reciprocal.

    Members:
        x: In(bits).
        factor: Out(`Factor`).

    Raises:
        ValueError: if ``bits`` is not an integer of at least 2.
    """

    x: Signal
    factor: data.View

    def __init__(self, bits: int, *, root: bool):
        if not isinstance(bits, int) or bits < 2:
            raise ValueError(f"bits must be an integer of at least 2, not {bits!r}")
        self._bits = bits
        self._root = root
        super().__init__({"x": In(bits), "factor": Out(Factor(self.exponent_bits))})

    @property
    def exponent_bits(self) -> int:
        """Bits of the factor's exponent."""
        return max(1, ceil_log2(self._bits) - self._root)

    @property
    def latency(self) -> int:
        """Cycles from ``x`` to ``factor``."""
        return 0

    def elaborate(self, platform) -> Module:
        """Shift by powers of two, the largest first, until the top bit is set."""
        m = Module()
        steps = ceil_log2(self._bits)
        size = 1 << steps
        aligned = Signal(size, name="aligned")
        left = self.x << size - self._bits
        shifts = []
        for step in reversed(range(steps)):
            distance = 1 << step
            empty = Signal(name=f"empty_{distance}")
            moved = Signal(size, name=f"moved_{distance}")
            m.d.comb += [
                empty.eq(~left[size - distance : size].any()),
                moved.eq(Mux(empty, left << distance, left)),
            ]
            left = moved
            shifts.insert(0, empty)
        # All bits that were not shifted by, since size - 1 is all ones.
        top = Signal(steps)
        m.d.comb += [aligned.eq(left), top.eq(~Cat(shifts) - (size - self._bits))]

        fraction = Cat(Const(0, RECIPROCAL_BITS), aligned)[size - 1 : size - 1 + RECIPROCAL_BITS]
        table = (reciprocal_root_table if self._root else reciprocal_table)(RECIPROCAL_BITS)
        m.submodules.lines = lines = StraightLines(table)
        m.d.comb += [
            lines.argument.eq(Cat(fraction, top[0]) if self._root else fraction),
            self.factor.value.eq(lines.value),
            self.factor.exponent.eq(top >> 1 if self._root else top),
        ]
        return m
