"""Registers assigned where they change do what they did."""

import random

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neardecode import verilog
from neardecode.registers import write_registers
from neardecode_testbench.drive import amaranth_sim, native
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Probe

KEPT = """module kept(clk, enable, value, q);
  input clk;
  wire clk;
  input enable;
  wire enable;
  input [3:0] value;
  wire [3:0] value;
  output [3:0] q;
  reg [3:0] q = 4'h5;
  reg [3:0] \\$1 ;
  always_ff @(posedge clk)
    q <= \\$1 ;
  always_comb begin
    \\$1  = q;
    if (enable) begin
      \\$1 [1:0] = value[1:0];
    end
  end
endmodule
"""


class Registers(wiring.Component):
    """One of each kind: kept, always assigned, in parts, without reset, read as it becomes."""

    enable: In(1)
    value: In(8)
    kept: Out(8)
    always: Out(8)
    parts: Out(8)
    unreset: Out(8)
    nested: Out(8)

    def elaborate(self, platform):
        """A register an output."""
        m = Module()
        unreset = Signal(8, reset_less=True)
        m.d.sync += [self.always.eq(self.value + self.parts), unreset.eq(self.value)]
        m.d.comb += self.unreset.eq(unreset)
        with m.If(self.enable):
            m.d.sync += [self.kept.eq(self.value), self.parts[2:5].eq(self.value)]
        with m.Switch(self.value[:2]):
            with m.Case(1), m.If(self.enable):
                m.d.sync += self.nested.eq(self.nested + 1)
            with m.Case(2, 3):
                m.d.sync += [self.nested.eq(self.value), self.nested[0].eq(1)]
        return m


OUTPUTS = ["kept", "always", "parts", "unreset", "nested"]


def scenario(step):
    """What the outputs are, cycle by cycle, under random inputs."""
    rng = random.Random(4)
    return [
        step(Probe({"enable": rng.randrange(2), "value": rng.randrange(256)}, OUTPUTS)).outputs
        for _ in range(300)
    ]


def test_a_register_is_assigned_at_its_edge():
    written = write_registers(KEPT)
    assert "\\$1" not in written
    assert "always_comb" not in written
    assert (
        "  always_ff @(posedge clk) begin\n"
        "    if (enable) begin\n"
        "      q[1:0] <= value[1:0];\n"
        "    end\n"
        "  end\n"
    ) in written


def test_what_is_read_as_it_becomes_stays():
    read = KEPT.replace("endmodule", "  assign next = \\$1 ;\nendmodule")
    assert write_registers(read) == read


def test_registers_do_in_verilog_what_amaranth_says():
    compiled = native.run(Design(Registers), scenario, waves=None, wave_cycles=0)
    assert compiled == amaranth_sim.run(Registers(), scenario)


def test_no_register_of_it_is_copied():
    text = verilog.to_verilog(Registers(), "registers")
    assert "always_comb" not in text
    assert text.count("always_ff") == len(OUTPUTS)
