"""Bench of a MAC slice, its pages fed directly."""

import cocotb

from neardecode.compute.slice import MacSlice
from neardecode.config import Compute, Config, Flash
from neardecode_testbench.benches.play import leave_standing, play
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.edge import Pacing
from neardecode_testbench.scenarios.blocks.mac_slice import Job, SliceRows

__all__ = ["DESIGN"]

CONFIG = Config(
    flash=Flash(dies=1, banks_a_die=4, page_bytes=512, pages_a_bank=16),
    compute=Compute(blocks_a_row=8, rows=128, accumulator_bits=40),
)
ADDRESS_BITS = 6
DESIGN = Design(MacSlice, (CONFIG, ADDRESS_BITS))

JOBS = (
    Job(9, 2),
    Job(5, 4, 3, appended=True),
    Job(4, 6, 7, bad_pages=frozenset({1})),
    Job(6, 8, 62, appended=True),
    Job(1, 8),
    Job(20, 4),
)
"""Every number of blocks, rows that straddle pages, a page that cannot be read."""


@cocotb.test()
async def commands_at_full_rate(dut):
    """Every result in its cycle, and no bubble once the first vector is loaded."""
    run = await play(dut, SliceRows(CONFIG, ADDRESS_BITS, JOBS))
    first = JOBS[0].blocks
    assert run.beats == list(range(first, first + len(run.beats)))


@cocotb.test()
async def commands_under_random_stalls(dut):
    """Every result in its cycle, all five streams held back at random."""
    for seed, share in ((1, 0.3), (2, 0.7)):
        await play(dut, SliceRows(CONFIG, ADDRESS_BITS, JOBS, seed, Pacing(seed, share)))


@cocotb.test()
async def ends_of_the_range(dut):
    """Products at the ends of a term's range and of every shift."""
    run = await play(dut, SliceRows(CONFIG, ADDRESS_BITS, (Job(80, 4),), magnitudes="edges"))
    assert run.saturated


@cocotb.test()
async def reset_in_the_middle(dut):
    """Nothing is left of what was cut off."""
    for cycles in (2, 12, 27):
        await leave_standing(dut, SliceRows(CONFIG, ADDRESS_BITS, JOBS, 3), cycles)
        await play(dut, SliceRows(CONFIG, ADDRESS_BITS, JOBS[:3], 4))
