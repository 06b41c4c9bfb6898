"""Clock gates: a block that sleeps keeps its state, and gives what it would give awake."""

from itertools import pairwise

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neardecode.lib.clock_gate import Gated
from neardecode.verilog import to_rtlil, to_verilog
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Probe

STEPS = (1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 1)


class Count(wiring.Component):
    """Counts steps, and edges of its clock."""

    step: In(1)
    steps: Out(8)
    edges: Out(8)
    awake: Out(1)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.d.comb += self.awake.eq(self.step)
        m.d.sync += self.edges.eq(self.edges + 1)
        with m.If(self.step):
            m.d.sync += self.steps.eq(self.steps + 1)
        return m


class Gating(wiring.Component):
    """A gated count, with what it counted at the edge."""

    step: In(1)
    steps: Out(8)
    edges: Out(8)

    def elaborate(self, platform) -> Module:
        m = Module()
        count = Count()
        m.submodules.count = Gated(count)
        step = Signal()
        m.d.sync += step.eq(self.step)
        m.d.comb += [
            count.step.eq(step),
            self.steps.eq(count.steps),
            self.edges.eq(count.edges),
        ]
        return m


def counts(step):
    """Steps and edges in every cycle."""
    seen = []
    for value in (*STEPS, 0, 0):
        outputs = step(Probe({"step": value}, ("steps", "edges"))).outputs
        seen.append((outputs["steps"], outputs["edges"]))
    return seen


def test_a_gated_block_gives_the_same_with_the_edges_that_it_needs():
    ungated = simulate(Design(Gating), counts, "amaranth")
    expected = [0, 0]
    for value in STEPS:
        expected.append(expected[-1] + value)
    assert [steps for steps, _ in ungated] == expected
    # Nothing is gated in Amaranth's simulator: every cycle has an edge.
    assert [after - before for (_, before), (_, after) in pairwise(ungated)] == [1] * 12
    gated = simulate(Design(Gating), counts, "native")
    assert [steps for steps, _ in gated] == expected
    assert [edges - gated[0][1] for _, edges in gated] == expected


def test_only_verilog_has_gates():
    text = to_verilog(Gating(), "top")
    assert text.count("module clock_gate(") == 1
    assert "clock_gate" not in to_rtlil(Gating(), "top")


def test_verilog_without_a_gated_block_has_no_gate():
    assert "clock_gate" not in to_verilog(Count(), "top")
