"""Bench of a protected link whose frames are hit."""

import cocotb

from neardecode.config import Protection
from neardecode_testbench.benches.play import leave_standing, play
from neardecode_testbench.devices.link_bench import ProtectedLinkBench
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.edge import FULL_RATE, Pacing
from neardecode_testbench.scenarios.blocks.protected_link import ProtectedLinkUnits

__all__ = ["DESIGN"]

WIDTH = 12
PROTECTION = Protection(latency=2, window=16, buffer_units=15, checksum_bits=16)
DESIGN = Design(ProtectedLinkBench, (WIDTH, PROTECTION))
BENCH = ProtectedLinkBench(WIDTH, PROTECTION)
NONE = frozenset()


def units(hits=(NONE, NONE), pacing: Pacing = FULL_RATE, count: int = 40) -> ProtectedLinkUnits:
    """Units both ways, with frames that are damaged in given cycles."""
    training = BENCH.ends["near"].training_cycles
    return ProtectedLinkUnits(PROTECTION, WIDTH, count, BENCH.lanes, training, hits, pacing=pacing)


@cocotb.test()
async def units_at_full_rate(dut):
    """A unit a cycle each way, each at the link's latency."""
    near, far = await play(dut, units())
    assert far.taken == [cycle + PROTECTION.unit_latency for cycle in near.sent]


@cocotb.test()
async def units_of_frames_that_are_hit(dut):
    """Every unit, cycle and counter as the model has it, both ends held back at random."""
    for every in ((7, 11), (200, 2), (2, 3)):
        hits = tuple(frozenset(range(step, 900, step)) for step in every)
        await play(dut, units(hits, Pacing(every[0], 0.3)))


@cocotb.test()
async def units_through_an_outage(dut):
    """Nothing comes for a while, either way or both."""
    outage = frozenset(range(30, 120))
    for hits in ((outage, NONE), (NONE, outage), (outage, outage)):
        await play(dut, units(hits))


@cocotb.test()
async def reset_in_the_middle(dut):
    """Nothing is left of what was cut off, on its way neither."""
    await leave_standing(dut, units(), 25)
    await play(dut, units(count=20))
