"""Bench of a softmax, its scores fed directly."""

import cocotb

from neardecode.config import Compute, Config, Flash, Vector
from neardecode_testbench.benches.play import leave_standing, play
from neardecode_testbench.devices.softmax_bench import SoftmaxBench
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.edge import Pacing
from neardecode_testbench.scenarios.blocks.softmax import SoftmaxRows, random_tiles

__all__ = ["DESIGN"]

CONFIG = Config(
    flash=Flash(dies=1, banks_a_die=4, page_bytes=512, pages_a_bank=16),
    compute=Compute(blocks_a_row=8, rows=128, accumulator_bits=40),
    vector=Vector(tile_rows=8, tokens=256),
)
DESIGN = Design(SoftmaxBench, (CONFIG,))

ROWS = ([8, 8, 3], [1], [8], [1, 1, 1, 1], [5, 8, 8, 8, 2], [2, 7])
"""Whole and short tiles, rows of one tile, tiles of one score."""


@cocotb.test()
async def rows_at_full_rate(dut):
    """Every value in its cycle, a probability a cycle but for one between tiles."""
    run = await play(dut, SoftmaxRows(CONFIG, random_tiles(CONFIG, ROWS)))
    assert run.counts["OUTPUT"] == 0


@cocotb.test()
async def rows_under_random_stalls(dut):
    """Every value in its cycle, all four streams held back at random."""
    for seed, share in ((1, 0.3), (2, 0.7)):
        tiles = random_tiles(CONFIG, ROWS, seed)
        await play(dut, SoftmaxRows(CONFIG, tiles, Pacing(seed, share)))


@cocotb.test()
async def reset_in_the_middle(dut):
    """Nothing is left of what was cut off."""
    for cycles in (5, 14, 33):
        cut = SoftmaxRows(CONFIG, random_tiles(CONFIG, ROWS, 3))
        await leave_standing(dut, cut, cycles)
        await play(dut, SoftmaxRows(CONFIG, random_tiles(CONFIG, ROWS[:3], 4)))
