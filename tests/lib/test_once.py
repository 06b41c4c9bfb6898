"""Blocks of a class that are made of the same: elaborated once, and the same hardware."""

import re
from collections import Counter
from itertools import pairwise

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.lib.clock_gate import Gated
from neardecode.lib.once import once
from neardecode.verilog import to_rtlil
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Probe

elaborated: Counter[tuple] = Counter()


@once
class Step(wiring.Component):
    """Adds a number to what comes, a cycle later; without a number it is wire."""

    def __init__(self, number: int, *, width: int = 8):
        self._number, self._width = number, width
        super().__init__({"i": In(stream.Signature(width)), "o": Out(stream.Signature(width))})
        self.awake = self.i.valid

    def elaborate(self, platform) -> Module:
        elaborated[self._number, self._width] += 1
        m = Module()
        if self._number == 0:
            connect(m, flipped(self.i), flipped(self.o))
            return m
        m.d.comb += self.i.ready.eq(1)
        m.d.sync += [
            self.o.valid.eq(self.i.valid),
            self.o.payload.eq(self.i.payload + self._number),
        ]
        return m


class Chain(wiring.Component):
    """Four steps: three are alike, one of them gated, and two wires."""

    i: In(8)
    o: Out(8)

    def elaborate(self, platform) -> Module:
        m = Module()
        steps = [Step(1), Step(0), Step(1), Step(2, width=8), Step(0), Step(1)]
        for place, step in enumerate(steps):
            m.submodules[f"step{place}"] = Gated(step) if place == 2 else step
        m.d.comb += [
            steps[0].i.valid.eq(1),
            steps[0].i.payload.eq(self.i),
            self.o.eq(steps[-1].o.payload),
            steps[-1].o.ready.eq(1),
        ]
        for before, after in pairwise(steps):
            connect(m, before.o, after.i)
        return m


def outputs(step):
    """What comes out of numbers, in every cycle."""
    return [step(Probe({"i": value}, ("o",))).outputs["o"] for value in (7, 250, 3, 9, 9, 9, 9, 9)]


def test_alike_blocks_are_elaborated_once_and_are_one_module():
    elaborated.clear()
    text = to_rtlil(Chain(), "top")
    assert elaborated == {(1, 8): 1, (0, 8): 1, (2, 8): 1}
    kinds = re.findall(r"^  cell \\(\S+) \\(?:step\d|block)\n", text, re.M)
    assert sorted(Counter(kinds).values()) == [1, 2, 3]
    assert text.count("attribute \\top 1") == 1


def test_the_block_itself_is_elaborated():
    elaborated.clear()
    assert "cell $add" in to_rtlil(Step(3), "top")
    assert elaborated == {(3, 8): 1}


def test_alike_blocks_give_what_they_give_one_by_one():
    expected = [12, 255, 8, 14]
    for backend in ("amaranth", "native"):
        assert simulate(Design(Chain), outputs, backend)[4:] == expected
