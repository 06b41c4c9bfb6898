"""A function by a table of straight lines."""

from amaranth.hdl import Module, Shape, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neardecode.config.tables import LineTable

__all__ = ["StraightLines"]


class StraightLines(wiring.Component):
    """``bases[high] + floor(slopes[high] * low / 2 ** drop)`` of an argument {high, low}.

    Latency: none: a small read-only memory, a multiplier and an adder; place registers around it.
    Rate: one argument a cycle.

    Parameters:
        table: The lines.

    Members:
        argument: ``In(table.argument_bits)``.
        value: ``Out``, wide enough for every argument; signed where the table's values are.

    Raises:
        TypeError: if ``table`` is not a `LineTable`.
    """

    argument: Signal
    value: Signal

    def __init__(self, table: LineTable):
        if not isinstance(table, LineTable):
            raise TypeError(f"table must be a LineTable, not {table!r}")
        self._table = table
        ends = (0, (1 << table.low_bits) - 1)
        values = [
            base + (slope * low >> table.drop)
            for base, slope in zip(table.bases, table.slopes, strict=True)
            for low in ends
        ]
        least, most = min(values), max(values)
        width = max(most, ~least).bit_length()
        super().__init__(
            {
                "argument": In(table.argument_bits),
                "value": Out(signed(width + 1) if least < 0 else Shape(width)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from ``argument`` to ``value``."""
        return 0

    def elaborate(self, platform) -> Module:
        """A switch of constants, a product, a sum."""
        m = Module()
        table = self._table
        bases = Signal(_range(table.bases))
        slopes = Signal(_range(table.slopes))
        low = self.argument[: table.low_bits]
        with m.Switch(self.argument[table.low_bits :]):
            for high, (base, slope) in enumerate(zip(table.bases, table.slopes, strict=True)):
                with m.Case(high):
                    m.d.comb += [bases.eq(base), slopes.eq(slope)]
        m.d.comb += self.value.eq(bases + (slopes * low >> table.drop))
        return m


def _range(numbers: tuple[int, ...]) -> Shape:
    return Shape.cast(range(min(0, *numbers), max(0, *numbers) + 1))
