"""Energy by activity: on netlists by hand, with energies by hand, and on a design that ran."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from neardecode.lib.clock_gate import Gated
from neardecode_synth.activity import activity
from neardecode_synth.block import Block
from neardecode_synth.cells import read_cells
from neardecode_synth.liberty import INSTALLED, Liberty
from neardecode_synth.liberty_file import parse
from neardecode_synth.netlist import Netlist, NetlistError, later
from neardecode_synth.switching import switched
from neardecode_synth.vcd import WavesError
from neardecode_synth.yosys import SynthesisError
from neardecode_testbench.drive import native
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.random_inputs import RandomInputs

LIBRARY = """
library (small) {
  nom_voltage : 2.0; capacitive_load_unit (1, pf);
  power_lut_template (t) {
    variable_1 : total_output_net_capacitance; variable_2 : input_transition_time;
    index_1 ("0, 1"); index_2 ("1, 4"); }
  power_lut_template (passive) { variable_1 : input_transition_time; index_1 ("1, 4"); }
  cell (NAND2) { area : 4.0;
    pin(A) { direction : input; capacitance : 0.25; }
    pin(B) { direction : input; capacitance : 0.5; }
    pin(Y) { direction : output; function : "(!(A B))";
      internal_power() { related_pin : "A";
        rise_power (t) { values ("1, 3", "2, 6"); } fall_power (t) { values ("1, 3", "2, 6"); } }
      internal_power() { related_pin : "B";
        rise_power (t) { values ("2, 5", "4, 8"); } fall_power (t) { values ("2, 5", "4, 8"); } }
    } }
  cell (INV) { area : 2.0;
    pin(A) { direction : input; capacitance : 0.125; }
    pin(Y) { direction : output; function : "(!A)"; } }
  cell (DFF) { area : 9.0; ff (IQ, IQN) { next_state : "D"; clocked_on : "CLK"; }
    pin(D) { direction : input; capacitance : 0.0625; }
    pin(CLK) { direction : input; capacitance : 0.5;
      internal_power() { rise_power (passive) { values ("3, 5"); }
        fall_power (passive) { values ("1, 3"); } } }
    pin(Q) { direction : output; function : "IQ"; } }
  cell (BUS) { area : 1.0; pin(A) { direction : input; }
    pin(Y) { direction : output; function : "A"; three_state : "A"; } }
  cell (LATCH) { area : 1.0; latch (IQ, IQN) { data_in : "D"; enable : "G"; }
    pin(D) { direction : input; } pin(Q) { direction : output; function : "IQ"; } }
}
"""

NETLIST = """
module top(clk, \\i[0] , \\i[1] , o);
  input clk;
  wire clk;
  input \\i[0] ;
  wire \\i[0] ;
  input \\i[1] ;
  wire \\i[1] ;
  output o;
  wire o;
  NAND2 _1_ (
    .A(\\i[0] ),
    .B(\\i[1] ),
    .Y(_0_)
  );
  DFF _2_ (
    .CLK(clk),
    .D(_0_),
    .Q(\\part.kept )
  );
  INV _3_ (
    .A(\\part.kept ),
    .Y(o)
  );
endmodule
"""


@pytest.fixture(scope="module")
def cells():
    library = parse(LIBRARY)
    assert library is not None
    return read_cells(library)


def packed(bits):
    return np.array([sum(bit << place for place, bit in enumerate(bits))], np.uint64)


I0, I1 = [0, 1, 1, 1, 0, 1], [1, 1, 0, 1, 1, 1]
NAND = [1, 0, 1, 0, 1, 0]
KEPT = [0, 1, 0, 1, 0, 1]


def values(**changed):
    waves = {"i[0]": I0, "i[1]": I1, "part.kept": KEPT} | changed
    return lambda name: packed(waves[name]) if name in waves else None


def test_cells_are_read_and_latches_and_buses_are_not(cells):
    assert set(cells) == {"NAND2", "INV", "DFF"}
    assert cells["DFF"].state.clock == "CLK"
    loads, energies = cells["NAND2"].output_energies["Y"]
    assert loads.tolist() == [0, 1]
    # The least and the most of both inputs at the ends, the mean at the slew between.
    assert energies[:, [0, 2]].tolist() == [[1, 5], [2, 8]]
    assert energies[:, 1] == pytest.approx([(5 / 3 + 3) / 2, (10 / 3 + 16 / 3) / 2])


def test_every_change_costs_its_charge_and_its_cell(cells):
    found = switched(Netlist(NETLIST, cells), cells, 2.0, 6, values())
    assert found.toggles == 15
    assert found.unseen == []
    # NAND: 5 changes with a load of 0.0625 pF; inverter: 5 with none, and no energy of its own.
    charge = 5 * 0.0625 * 2.0**2 / 2
    assert found.picojoules["logic"][0] == pytest.approx(charge + 5 * 1.0625)
    assert found.picojoules["logic"][2] == pytest.approx(charge + 5 * (5 + 3 * 0.0625))
    # The register drives 0.125 pF.
    assert found.picojoules["flip_flops"] == pytest.approx((5 * 0.125 * 2,) * 3)
    # In each cycle 0.5 pF up and down, and a rise of 3 to 5 and a fall of 1 to 3.
    assert found.picojoules["clock"][0] == pytest.approx(6 * (0.5 * 4 + 4))
    assert found.picojoules["clock"][2] == pytest.approx(6 * (0.5 * 4 + 8))
    assert found.has_cell_energies


def test_a_register_that_the_waves_do_not_know_is_computed(cells):
    waves = values()
    found = switched(
        *(Netlist(NETLIST, cells), cells, 2.0, 6),
        lambda name: None if name == "part.kept" else waves(name),
    )
    assert found.registers == 0
    assert found.toggles == 15


def test_a_clock_behind_a_gate_runs_while_it_is_open(cells):
    gate = "  clock_gate _9_ (\n    .clk(clk),\n    .enable(\\i[0] ),\n    .gated(gated)\n  );\n"
    gated = NETLIST.replace(".CLK(clk)", ".CLK(gated)").replace("  INV", f"{gate}  INV")
    # Where the clock stands still the register keeps what it has.
    kept = [0, 0, 0, 1, 0, 0]
    netlist = Netlist(gated, cells)
    found = switched(netlist, cells, 2.0, 6, values(**{"part.kept": kept}))
    assert found.picojoules["clock"][0] == pytest.approx(4 * 6)
    # A unit that is behind a gate as a whole.
    outer = switched(netlist, cells, 2.0, 6, values(**{"part.kept": [0] * 6}), packed([0] * 6))
    assert outer.picojoules["clock"][0] == 0


def test_waves_of_another_design_are_refused(cells):
    with pytest.raises(NetlistError, match=r"what was simulated: part\.kept differs in cycle 4"):
        switched(
            *(Netlist(NETLIST, cells), cells, 2.0, 6),
            values(**{"part.kept": [0, 1, 0, 1, 1, 1]}),
        )


def test_an_input_without_values_is_said(cells):
    waves = values()
    found = switched(
        *(Netlist(NETLIST, cells), cells, 2.0, 6),
        lambda name: None if name == "i[1]" else waves(name),
    )
    assert found.unseen == ["i[1]"]


def test_a_library_without_energies_leaves_the_charge(cells):
    library = parse(LIBRARY.replace("internal_power", "left_out"))
    assert library is not None
    bare = read_cells(library)
    found = switched(Netlist(NETLIST, bare), bare, 2.0, 6, values())
    assert not found.has_cell_energies
    assert found.picojoules["logic"] == pytest.approx((5 * 0.0625 * 2,) * 3)
    assert found.picojoules["clock"] == pytest.approx((6 * 0.5 * 4,) * 3)


def test_logic_in_a_circle_and_unknown_cells_are_refused(cells):
    circle = NETLIST.replace(".A(\\i[0] )", ".A(_0_)")
    with pytest.raises(NetlistError, match="in a circle"):
        Netlist(circle, cells).evaluate({}, 6)
    with pytest.raises(NetlistError, match="has no LATCH"):
        Netlist(NETLIST.replace("  DFF", "  LATCH"), cells)


def test_values_move_to_the_next_cycle_over_words():
    bits = np.random.default_rng(2).integers(0, 2, 192)
    rows = np.packbits(bits, bitorder="little").view(np.uint64).reshape(1, 3)
    moved = np.unpackbits(later(rows).view(np.uint8), bitorder="little")
    assert moved.tolist() == [0, *bits[:-1].tolist()]


class Sum(wiring.Component):
    """Adds up while it is awake."""

    def __init__(self):
        super().__init__({"awake": Out(1), "add": In(8), "run": In(1), "o": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.awake.eq(self.run)
        with m.If(self.run):
            m.d.sync += self.o.eq(self.o + self.add)
        return m


class Summed(wiring.Component):
    """A gated sum behind a memory, and a counter."""

    def __init__(self, behind: int = 3):
        self._behind = behind
        super().__init__({"run": In(1), "i": In(8), "o": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=128, init=[])
        write, read = memory.write_port(), memory.read_port()
        count = Sum()
        m.submodules.count = count
        total = Sum()
        m.submodules.total = Gated(total)
        m.d.comb += [
            count.run.eq(1),
            count.add.eq(1),
            write.en.eq(1),
            write.addr.eq(count.o),
            write.data.eq(self.i),
            read.addr.eq(count.o - self._behind),
            total.add.eq(read.data),
            total.run.eq(self.run & (count.o > 4)),
            self.o.eq(total.o),
        ]
        return m


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    path = tmp_path_factory.mktemp("waves") / "window.vcd"
    scenario = RandomInputs({"run": 1, "i": 8}, ["o"], cycles=150)
    native.run(Design(Summed), scenario, waves=path, wave_cycles=100, wave_from=20)
    return path


needs_library = pytest.mark.skipif(
    not INSTALLED.exists(), reason="no library of cells (Debian: apt install qflow-tech-osu018)"
)


@needs_library
@pytest.mark.parametrize("depth", [0, 1])
def test_a_design_takes_the_same_whole_and_in_units(window, depth):
    library = Liberty.read(INSTALLED)
    found = activity(Block("summed", Summed, "", depth), library, [window], 1)
    assert found.cycles == 100
    assert len(found.units) == 1 + 2 * depth
    assert found.registers == 16
    assert not [name for unit in found.units for name in unit.unseen]
    # A word written and one read in each cycle.
    assert found.memory_bits_a_cycle == 16
    for kind in ("logic", "flip_flops", "clock"):
        low, middle, high = found.picojoules_a_cycle(kind)
        assert 0 < low < middle < high
    # Eight registers run always, eight while the sum does: about half of the time.
    always = 8 * 100
    clock = found.cycles * found.picojoules_a_cycle("clock")[0]
    assert 1.3 * always < clock / clock_energy(library) < 1.7 * always


def clock_energy(library):
    """The least energy of a flip-flop's clock pin in a cycle."""
    cell = read_cells(parse(library.text))["DFFPOSX1"]
    return 2 * cell.input_energies["CLK"][0] + cell.loads["CLK"] * library.volts**2


@needs_library
def test_waves_of_another_design_and_of_no_place_are_refused(window):
    library = Liberty.read(INSTALLED)
    with pytest.raises(WavesError, match=r"has no scope TOP\.nowhere"):
        activity(Block("summed", Summed, "", 1), library, [window], 1, "TOP.nowhere")

    class Backwards(Summed):
        """It waits for a count below 4."""

        def elaborate(self, platform):
            m = super().elaborate(platform)
            m.submodules.count.run = ~self.run
            return m

    with pytest.raises(SynthesisError, match="is not what was simulated"):
        activity(Block("another", Backwards, "backwards", 1), library, [window], 1)
