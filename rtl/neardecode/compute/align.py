"""From an integer and a power of two to a fixed-point term."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neardecode.compute.scales import EXPONENT_BITS

__all__ = ["Align"]


class Align(wiring.Component):
    """``floor(integer * 2^shift)``, clamped. Latency: none.

    Parameters:
        integer_bits: Bits of the integer, its sign included.
        term_bits: Bits of the term, its sign included.

    Members:
        integer: In(signed(integer_bits)).
        shift: In(signed(EXPONENT_BITS)).
        narrow: In(1). Clamp to one bit less.
        term: Out(signed(term_bits)).
        clamped: Out(1). The term was beyond its range.
    """

    integer: Signal
    shift: Signal
    narrow: Signal
    term: Signal
    clamped: Signal

    def __init__(self, integer_bits: int, term_bits: int):
        self._integer_bits, self._term_bits = integer_bits, term_bits
        super().__init__(
            {
                "integer": In(signed(integer_bits)),
                "shift": In(signed(EXPONENT_BITS)),
                "narrow": In(1),
                "term": Out(signed(term_bits)),
                "clamped": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Shift right or shift left, and look at what a left shift would push out."""
        m = Module()
        integer_bits, term_bits = self._integer_bits, self._term_bits
        # Shifts beyond these bounds give the same term: all sign, or clamped unless zero.
        right_most, left_most = integer_bits - 1, term_bits
        right = Signal(range(right_most + 1))
        left = Signal(range(left_most + 1))
        floored = Signal(signed(integer_bits))
        negative = floored[-1]
        is_left = self.shift >= 0
        m.d.comb += [
            right.eq(Mux(is_left, 0, Mux(-self.shift > right_most, right_most, -self.shift))),
            left.eq(Mux(is_left, Mux(self.shift > left_most, left_most, self.shift), 0)),
            floored.eq(self.integer >> right),
        ]
        # A bit other than the sign must not reach the term's sign, which a left shift by
        # ``left`` makes of bit ``term_bits - 1 - left``; where the term is narrow, one less.
        magnitude_bits = integer_bits - 1
        reach = Signal(range(left_most + 2))
        lowest = Signal(range(term_bits))
        pushed = Signal(magnitude_bits)
        m.d.comb += [
            reach.eq(left + self.narrow),
            lowest.eq(Mux(reach > term_bits - 1, 0, term_bits - 1 - reach)),
            pushed.eq(
                (floored[:-1] ^ negative.replicate(magnitude_bits))
                & (Const((1 << magnitude_bits) - 1) << lowest)[:magnitude_bits]
            ),
        ]
        # The least term is a sign alone, which takes one shift more.
        m.d.comb += self.clamped.eq(pushed.any() | (negative & (reach >= term_bits)))
        ends = Cat((~negative).replicate(term_bits - 2), negative ^ ~self.narrow)
        m.d.comb += self.term.eq(
            Mux(self.clamped, Cat(ends, negative), (floored << left)[:term_bits])
        )
        return m
