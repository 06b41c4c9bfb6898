"""Bench of the merge of attention's parts."""

import cocotb

from neardecode.attention.merge import AttentionMerge
from neardecode.config import load
from neardecode_testbench.benches.play import leave_standing, play
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.attention_merge import MergedParts
from neardecode_testbench.scenarios.blocks.edge import FULL_RATE, Pacing

__all__ = ["CONFIG", "DESIGN", "PARTS", "some_parts"]

CONFIG = load("tiny").attending(2, 64)
PARTS = 3
DESIGN = Design(AttentionMerge, (CONFIG, PARTS))


def some_parts(
    used: tuple[int, ...] = (3, 3, 2, 1, 1, 3), seed: int = 1, pacing: Pacing = FULL_RATE
) -> MergedParts:
    """Commands of all parts, and of the first of them."""
    return MergedParts(CONFIG, PARTS, used, seed, pacing)


@cocotb.test()
async def words_at_full_rate(dut):
    """Every word in its cycle."""
    await play(dut, some_parts())


@cocotb.test()
async def words_of_parts_that_come_late(dut):
    """Every word in its cycle, partials and sums held back at random."""
    for seed, share in ((2, 0.3), (3, 0.7)):
        await play(dut, some_parts((3, 2, 1), seed, Pacing(seed, share, free=("words",))))


@cocotb.test()
async def words_under_random_stalls(dut):
    """Every word, all streams held back at random."""
    for seed, share in ((4, 0.3), (5, 0.7)):
        await play(dut, some_parts((3, 1, 2), seed, Pacing(seed, share)))


@cocotb.test()
async def reset_in_the_middle(dut):
    """Nothing is left of what was cut off."""
    for cycles in (2, 5, 40):
        await leave_standing(dut, some_parts(seed=6), cycles)
        await play(dut, some_parts((1, 3), 7))
