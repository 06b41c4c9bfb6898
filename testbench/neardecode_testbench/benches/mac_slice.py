"""Bench of a MAC slice, its pages fed directly."""

import cocotb

from neardecode.compute.slice import MacSlice
from neardecode.config import BlockFormat, Compute, Config, Fabric, Flash
from neardecode_testbench.benches.play import leave_standing, play
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.edge import Pacing
from neardecode_testbench.scenarios.blocks.mac_slice import Job, SliceRows

__all__ = ["DESIGN"]

FORMATS = (BlockFormat.Q4_1, BlockFormat.Q8_0, BlockFormat.MXINT8)
CONFIG = Config(
    flash=Flash(dies=1, banks_a_die=4, page_bytes=256, beat_bytes=32, pages_a_bank=16),
    fabric=Fabric(payload_bits=256),
    # Everything that a slice can have, of one vector: Icarus takes seconds a hundred cycles.
    compute=Compute(
        formats=tuple(format_.name for format_ in FORMATS),
        head_elements=64,
        selection=True,
        skip_zeros=True,
        blocks_a_row=32,
        rows=128,
        accumulator_bits=40,
    ),
)
ADDRESS_BITS = 6
DESIGN = Design(MacSlice, (CONFIG, ADDRESS_BITS))

JOBS = (
    Job(9, 2),
    Job(5, 4, 3, appended=True),
    Job(4, 6, 7, bad_pages=frozenset({1})),
    Job(6, 8, 62, appended=True),
    Job(1, 8),
    Job(6, 4),
)
"""Every number of blocks, rows that straddle pages, a page that cannot be read."""
MIXED = (
    Job(9, 4, format=BlockFormat.Q4_1),
    Job(9, 2, sums=True),
    Job(7, 5, format=BlockFormat.Q4_1),
    Job(5, 3, format=BlockFormat.Q8_0),
    Job(5, 2, sums=True, deliver=False),
    Job(4, 6),
    Job(12, 2, sums=True, keep=True, rescale=(2,)),
)
"""Every mode and format in turn."""
GAPPED = (
    Job(12, 7, format=BlockFormat.Q4_1, sparse=0.8, gaps=True),
    Job(5, 3, format=BlockFormat.Q8_0),
    Job(9, 8, sparse=0.9, gaps=True),
    Job(9, 8, sparse=0.9, gaps=True, bad_pages=frozenset({1})),
    Job(4, 6),
)
"""Commands whose pages leave beats of zeros out, one of which cannot be read."""
SELECTED = (
    Job(14, 2, page_rows=3, selection=frozenset({0, 2, 4})),
    Job(14, 2, page_rows=3, selection=frozenset({1, 3}), sums=True),
    Job(6, 2, page_rows=3),
    Job(5, 4),
)
"""Commands that read some of their pages, one that reads none."""


@cocotb.test()
async def commands_at_full_rate(dut):
    """Every result in its cycle, and no bubble once the first vector is loaded."""
    run = await play(dut, SliceRows(CONFIG, ADDRESS_BITS, JOBS))
    first = CONFIG.compute.vectors * JOBS[0].blocks
    assert run.beats == list(range(first, first + len(run.beats)))


@cocotb.test()
async def every_mode_and_format(dut):
    """Every result and sum in its cycle, streams held back and not, with a throttle and without."""
    await play(dut, SliceRows(CONFIG, ADDRESS_BITS, MIXED))
    await play(dut, SliceRows(CONFIG, ADDRESS_BITS, MIXED, 2, Pacing(2, 0.4)))
    await play(dut, SliceRows(CONFIG, ADDRESS_BITS, MIXED, 3, throttle=5))


@cocotb.test()
async def selected_pages(dut):
    """Pages that do not matter are not asked for, and their rows give nothing."""
    await play(dut, SliceRows(CONFIG, ADDRESS_BITS, SELECTED))
    await play(dut, SliceRows(CONFIG, ADDRESS_BITS, SELECTED, 2, Pacing(2, 0.4)))


@cocotb.test()
async def pages_without_beats_of_zeros(dut):
    """Every result in its cycle; rows that are lost with a page have theirs too."""
    await play(dut, SliceRows(CONFIG, ADDRESS_BITS, GAPPED))
    await play(dut, SliceRows(CONFIG, ADDRESS_BITS, GAPPED, 2, Pacing(2, 0.4)))


@cocotb.test()
async def commands_under_random_stalls(dut):
    """Every result in its cycle, all five streams held back at random."""
    await play(dut, SliceRows(CONFIG, ADDRESS_BITS, JOBS, 2, Pacing(2, 0.4)))


@cocotb.test()
async def ends_of_the_range(dut):
    """Products at the ends of a term's range and of every shift."""
    run = await play(dut, SliceRows(CONFIG, ADDRESS_BITS, (Job(80, 4),), magnitudes="edges"))
    assert run.saturated


@cocotb.test()
async def reset_in_the_middle(dut):
    """Nothing is left of what was cut off."""
    for cycles in (2, 17):
        await leave_standing(dut, SliceRows(CONFIG, ADDRESS_BITS, JOBS, 3), cycles)
        await play(dut, SliceRows(CONFIG, ADDRESS_BITS, JOBS[:2], 4))
