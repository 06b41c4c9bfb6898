"""Units: each once, the same text wherever it is, and a sum that misses nothing."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neardecode.lib.clock_gate import Gated
from neardecode.verilog import to_rtlil
from neardecode_synth import gates
from neardecode_synth.area import Area, measure
from neardecode_synth.block import Block
from neardecode_synth.gates import Elaborated, map_to_gates
from neardecode_synth.liberty import Liberty
from neardecode_synth.memories import NAND2_UM2, Macro, macros
from neardecode_synth.units import divide
from neardecode_synth.yosys import SynthesisError


class Count(wiring.Component):
    def __init__(self, width):
        self._width = width
        super().__init__({"o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.o + 1)
        return m


class Pair(wiring.Component):
    """Two alike and one that is not, and an inverter of its own."""

    def __init__(self, width):
        self._width = width
        super().__init__({"i": In(1), "o": Out(width), "inverse": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.first = first = Count(self._width)
        m.submodules.second = second = Count(self._width)
        m.submodules.other = other = Count(self._width + 1)
        m.d.comb += [
            self.o.eq(first.o ^ second.o ^ other.o),
            self.inverse.eq(~self.i),
        ]
        return m


CELL = """
module \\top
  wire input 1 \\e
  wire input 2 \\i
  wire output 3 \\o
  cell {} $1
    {}
    connect \\EN \\e
    connect \\D \\i
    connect \\Q \\o
  end
end
"""


def test_alike_modules_are_one_unit():
    whole = divide(to_rtlil(Pair(8), "pair"), "pair", 1)
    counts = {unit.name: count for unit, count in whole.counted()}
    assert counts == {"pair": 1, "pair.first": 2, "pair.other": 1}


def test_a_unit_has_the_same_text_wherever_it_is():
    alone = divide(to_rtlil(Count(8), "count"), "count", 0)
    whole = divide(to_rtlil(Pair(8), "pair"), "pair", 1)
    assert alone.text in {part.text for part, _ in whole.parts}


def test_without_division_everything_is_one_unit():
    whole = divide(to_rtlil(Pair(8), "pair"), "pair", 0)
    assert [unit.name for unit, _ in whole.counted()] == ["pair"]
    assert "blackbox" not in whole.text


def test_a_unit_that_is_too_large_is_divided_and_its_parts_are_not():
    text = to_rtlil(Pair(8), "pair")
    whole = divide(text, "pair", 0, largest=len(text))
    counts = {unit.name: count for unit, count in whole.counted()}
    assert counts == {"pair": 1, "pair.first": 2, "pair.other": 1}
    assert len(divide(text, "pair", 0, largest=2 * len(text)).counted()) == 1


def test_units_are_elaborated_side_by_side(monkeypatch):
    meeting = Barrier(2)

    def passes(*_):
        meeting.wait(60)
        return ["cells"]

    monkeypatch.setattr(gates, "run_passes", passes)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda text: Elaborated(text).rtlil, ("first", "second")))
    assert both == ["cells", "cells"]


def test_a_sum_over_units_has_every_flip_flop():
    blocks = [Block("pair", partial(Pair, 6), f"Pair(6), depth {depth}", depth) for depth in (0, 1)]
    whole, divided = measure(blocks, None, 1)
    assert len(whole.parts) == 1
    assert len(divided.parts) == 3
    for area in (whole, divided):
        assert area.sum(lambda gates: gates.flip_flops) >= 6 + 6
    assert divided.sum(lambda gates: gates.flip_flops) == 6 + 6 + 7
    assert divided.low_ge >= whole.low_ge


def test_a_second_run_synthesises_nothing(monkeypatch):
    block = Block("count", lambda: Count(5), "Count(5)")
    (first,) = measure([block], None, 1)
    monkeypatch.setattr("neardecode.tools.subprocess.run", None)
    (second,) = measure([block], None, 1)
    assert first.low_ge == second.low_ge > 0


@pytest.mark.parametrize(
    ("kind", "parameters", "complaint"),
    [
        ("$dlatch", "parameter \\WIDTH 1\n    parameter \\EN_POLARITY 1", "_DLATCH_P_"),
        ("\\unknown", "", "unknown"),
    ],
)
def test_a_latch_and_a_black_box_are_errors(kind, parameters, complaint):
    with pytest.raises(SynthesisError, match=complaint):
        map_to_gates(Elaborated(CELL.format(kind, parameters)))


class Nothing(wiring.Component):
    def __init__(self):
        super().__init__({"o": Out(1)})

    def elaborate(self, platform):
        return Module()


def refused():
    raise ValueError("width must be 1 or more, not 0")


def test_a_block_that_fails_says_why_and_loses_no_other():
    blocks = [
        Block("refused", refused, ""),
        Block("nothing", Nothing, ""),
        Block("count", partial(Count, 5), "Count(5)"),
    ]
    no_width, nothing, count = measure(blocks, None, 1)
    assert str(no_width) == "width must be 1 or more, not 0"
    assert str(nothing) == "nothing was left of nothing: has it outputs?"
    assert isinstance(count, Area)
    assert count.sum(lambda gates: gates.flip_flops) == 5


class Sleepy(Count):
    """A counter that says when it is awake."""

    def __init__(self, width):
        super().__init__(width)
        self.awake = Signal()

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.awake.eq(self.o[0] | ~self.o[1])
        return m


class WithGate(Count):
    def elaborate(self, platform):
        m = Module()
        count = Sleepy(self._width)
        m.submodules.count = Gated(count)
        m.d.comb += self.o.eq(count.o)
        return m


def test_a_clock_gate_is_counted_apart_and_in_an_fpga_it_is_a_wire():
    (area,) = measure([Block("gated", lambda: WithGate(8), "WithGate(8)", fpga=True)], None, 1)
    assert area.sum(lambda gates: gates.clock_gates) == 1
    assert area.sum(lambda gates: gates.flip_flops) == 8
    assert area.fpga is not None
    assert area.fpga.flip_flops == 8


def test_a_macro_says_its_bits_its_ports_and_a_range_of_areas():
    (macro,) = macros(
        "parameter \\SIZE 256\nparameter \\WIDTH 32\nparameter \\RD_PORTS 1\n"
        "parameter \\WR_PORTS 1\n"
    )
    assert macro == Macro(256, 32, 1, 1)
    assert macro.bits == 8192
    # What was published: 422 x 291 and 479 x 397 um.
    assert macro.area_um2 == pytest.approx((422 * 291, 479 * 397))
    assert macro.gates == pytest.approx((422 * 291 / NAND2_UM2, 479 * 397 / NAND2_UM2))
    copies = Macro(256, 32, 3, 1).area_um2
    assert copies is not None
    assert copies[1] == pytest.approx(3 * 479 * 397)
    assert Macro(256, 32, 1, 2).area_um2 is None


LIBRARY = """
library (small) {
  cell (NAND2) { area : 4.0; pin(A) { direction : input; } pin(B) { direction : input; }
    pin(Y) { direction : output;
      function : "(!(A B))";
    } }
  cell (TRI) {
    area : 1.0;
    pin(Y) { three_state : "!E";
      function : "(!A)";
    } }
  cell (INV) {
    area : 2.0;
    pin(Y) {
      function : "(!A)";
    } }
}
"""


def test_a_library_knows_its_nand_and_its_inverter(tmp_path):
    file = tmp_path / "cells.lib"
    file.write_text(LIBRARY.replace("{ area", "{\n    area"))
    library = Liberty.read(file)
    assert (library.name, library.nand2, library.inverter) == ("small", 4.0, "INV")
    assert library.areas == {"NAND2": 4.0, "TRI": 1.0, "INV": 2.0}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nothing", "is no Liberty file"),
        (LIBRARY.replace("(!(A B))", "(A B)").replace("{ area", "{\n    area"), "has no NAND"),
    ],
)
def test_a_file_without_the_cells_is_refused(tmp_path, text, complaint):
    file = tmp_path / "cells.lib"
    file.write_text(text)
    with pytest.raises(SynthesisError, match=complaint):
        Liberty.read(file)
