import random
import re

import pytest
from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neardecode.verilog import to_rtlil
from neardecode.whole_words import fit_words
from neardecode_testbench.drive import amaranth_sim, native
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Probe

A_BITS, B_BITS, C_BITS = 9, 14, 35
USED_BITS = 50


class Arithmetic(wiring.Component):
    """Sums, differences and products that are used whole, in parts, compared and cut short."""

    a: In(signed(A_BITS))
    b: In(signed(B_BITS))
    c: In(signed(C_BITS))
    by: In(6)
    o: Out(400)

    def elaborate(self, platform):
        m = Module()
        a, b, c = self.a, self.b, self.c
        product, sum_, difference = a * b, a + b, a - b
        wide, wider = c * b, c * c
        short = Signal(signed(12))
        kept = Signal(signed(40))
        m.d.comb += short.eq(product + sum_)
        with m.If(product + sum_ > difference):
            m.d.comb += kept.eq(wide - product)
        with m.Else():
            m.d.comb += kept.eq(Mux(a < 0, product, difference))
        parts = [
            *(product, sum_[1:5], difference[-1], wide, wider[3:USED_BITS], short, kept),
            *(product < sum_, wide == c, (c + wide) * a, (c << self.by)[:40], c << self.by),
            *(product * product, (product.as_unsigned() + 1)[:30], Cat(sum_, difference)),
        ]
        m.d.sync += self.o.eq(Cat(*parts))
        return m


@pytest.fixture(scope="module")
def text():
    return to_rtlil(Arithmetic(), "top")


def widths(text, kind):
    """Of the results of the cells of a kind."""
    return [
        int(width)
        for width in re.findall(
            rf"^  cell \${kind} \S+\n(?:    [^\n]*\n)*?    parameter \\Y_WIDTH (\d+)", text, re.M
        )
    ]


def test_values_stay_what_they_were():
    chosen = random.Random(3)

    def values(bits):
        ends = [0, 1, (1 << bits - 1) - 1, 1 << bits - 1, (1 << bits) - 1]
        return ends + [chosen.getrandbits(bits) for _ in range(20)]

    inputs = [
        dict(zip(("a", "b", "c", "by"), map(chosen.choice, all_values), strict=True))
        for all_values in [[values(A_BITS), values(B_BITS), values(C_BITS), range(64)]]
        for _ in range(300)
    ]

    def scenario(step):
        return [step(Probe(levels, ["o"])).outputs["o"] for levels in inputs]

    expected = amaranth_sim.run(Arithmetic(), scenario)
    assert len(set(expected)) > 250
    assert native.run(Design(Arithmetic), scenario, waves=None, wave_cycles=0) == expected


def test_what_cannot_overflow_fills_a_word(text):
    assert {A_BITS + B_BITS, B_BITS + C_BITS} <= set(widths(text, "mul"))
    fitted = fit_words(text)
    assert set(widths(fitted, "mul")) == {32, 64, USED_BITS}
    assert {32, 64} <= set(widths(fitted, "add")) | set(widths(fitted, "sub"))


def test_bits_beyond_a_word_that_nobody_uses_are_left_out(text):
    assert 2 * C_BITS in widths(text, "mul")
    assert USED_BITS in widths(fit_words(text), "mul")
    assert sorted(widths(fit_words(text), "shl")) == [40, C_BITS + 63]


def test_text_without_arithmetic_stays():
    text = "module \\top\n  wire width 4 input 0 \\i\n  wire width 4 $1\n  connect $1 \\i\nend\n"
    assert fit_words(text) == text
