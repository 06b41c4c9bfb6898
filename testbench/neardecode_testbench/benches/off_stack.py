"""Bench of the stack's edge, three streams in both directions."""

import cocotb
from amaranth.hdl import unsigned

from neardecode.compute.off_stack import Crossing, OffStackLink
from neardecode_testbench.benches.play import leave_standing, play
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.edge import Pacing
from neardecode_testbench.scenarios.blocks.off_stack import EdgePayloads

__all__ = ["DESIGN"]

CROSSINGS = {
    "activations": Crossing(unsigned(45), outward=False),
    "results": Crossing(unsigned(11), outward=True),
    "beats": Crossing(unsigned(70), outward=True, beside=6),
}
LINK_BITS = 16
LATENCY = 3
ARGUMENTS = (CROSSINGS, LINK_BITS, LATENCY)
DESIGN = Design(OffStackLink, ARGUMENTS)
COUNTS = {"activations": 30, "results": 60, "beats": 40}


@cocotb.test()
async def payloads_at_full_rate(dut):
    """Every transfer and payload in its cycle, the pins busy until the last stream but one ends."""
    run = await play(dut, EdgePayloads(*ARGUMENTS, COUNTS))
    assert run.counts["CREDIT"] == 0


@cocotb.test()
async def payloads_under_random_stalls(dut):
    """Every transfer and payload in its cycle, all ends held back at random."""
    for seed, share in ((1, 0.3), (2, 0.7)):
        await play(dut, EdgePayloads(*ARGUMENTS, COUNTS, seed, Pacing(seed, share)))


@cocotb.test()
async def reset_in_the_middle(dut):
    """Nothing is left of a payload that was cut off between two transfers."""
    for cycles in (2, 12, 27):
        await leave_standing(dut, EdgePayloads(*ARGUMENTS, COUNTS, 3), cycles)
        await play(dut, EdgePayloads(*ARGUMENTS, COUNTS, 4))
