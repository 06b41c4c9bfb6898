"""Bench of the appender of keys and values."""

import cocotb
import numpy as np

from neardecode.attention.append import KvAppender
from neardecode.config import load
from neardecode_testbench.benches.play import leave_standing, play
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.edge import FULL_RATE, Pacing
from neardecode_testbench.scenarios.blocks.kv_append import AppendedRows

__all__ = ["ADDRESS_BITS", "CONFIG", "DESIGN", "some_rows"]

ADDRESS_BITS = 8
TINY = load("tiny")
CONFIG = TINY.model_copy(
    update={"flash": TINY.flash.model_copy(update={"page_bytes": 256, "beat_bytes": 32})}
).attending(
    2,
    64,
    7,
)
"""Rows of two beats; a page has seven."""
DESIGN = Design(KvAppender, (CONFIG, ADDRESS_BITS))


def some_rows(seed: int, pacing: Pacing = FULL_RATE) -> AppendedRows:
    """Sixty rows, in turn of a head's keys and values, some of which straddle pages."""
    random = np.random.default_rng(seed)
    rows = [
        (int(random.integers(2)), int(random.integers(2)), value, int(random.integers(33)))
        for _ in range(30)
        for value in (False, True)
    ]
    return AppendedRows(CONFIG, ADDRESS_BITS, 2, 33, rows, seed, pacing)


@cocotb.test()
async def rows_at_full_rate(dut):
    """Every write in its cycle, three cycles a beat."""
    await play(dut, some_rows(1))


@cocotb.test()
async def rows_under_random_stalls(dut):
    """Every write in its cycle, all three streams held back at random."""
    for seed, share in ((2, 0.3), (3, 0.7)):
        await play(dut, some_rows(seed, Pacing(seed, share)))


@cocotb.test()
async def reset_in_the_middle(dut):
    """Nothing is left of what was cut off."""
    for cycles in (4, 5, 20):
        await leave_standing(dut, some_rows(4), cycles)
        await play(dut, some_rows(5))
