"""Bench of a link into a receiver."""

import cocotb

from neardecode.lib.flit import FlitLayout
from neardecode_testbench.benches.play import leave_standing, play
from neardecode_testbench.devices.fabric_bench import LinkBench
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.edge import Pacing
from neardecode_testbench.scenarios.blocks.link import LinkFlits

__all__ = ["DESIGN"]

LATENCY = 3
CREDITS = 5
ARGUMENTS = (FlitLayout(64, 4), LATENCY, CREDITS)
DESIGN = Design(LinkBench, ARGUMENTS)


@cocotb.test()
async def flits_at_full_rate(dut):
    """Every flit in its cycle, as many a round trip as there are credits."""
    run = await play(dut, LinkFlits(*ARGUMENTS, count=80))
    begin = run.arrived[0]
    round_trip = 2 * LATENCY + 2
    assert sum(cycle < begin + 10 * round_trip for cycle in run.arrived) == 10 * CREDITS


@cocotb.test()
async def flits_under_random_stalls(dut):
    """Every flit in its cycle, both ends held back at random."""
    for seed, share in ((1, 0.3), (2, 0.7)):
        await play(dut, LinkFlits(*ARGUMENTS, 80, seed, Pacing(seed, share)))


@cocotb.test()
async def reset_in_the_middle(dut):
    """No credit is lost and no flit invented."""
    await leave_standing(dut, LinkFlits(*ARGUMENTS, count=80), 12)
    await play(dut, LinkFlits(*ARGUMENTS, count=40, seed=3))
