"""Bench of the attention unit, its memory played from outside."""

import cocotb
from amaranth.utils import exact_log2

from neardecode.attention.unit import AttentionUnit
from neardecode.config import Config, Stack, load
from neardecode_testbench.benches.play import leave_standing, play
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.attention_context import random_context
from neardecode_testbench.scenarios.blocks.attention_unit import AttendedRows
from neardecode_testbench.scenarios.blocks.edge import FULL_RATE, Pacing

__all__ = ["ADDRESS_BITS", "CONFIG", "DESIGN", "configuration", "some_rows"]

STACK = Stack(
    bank_groups=2,
    banks_a_group=2,
    page_bytes=256,
    beat_bytes=32,
    pages_a_bank=64,
    buffer_beats=32,
)


def configuration(vectors: int = 2, head_size: int = 64, most_rows: int = 7) -> Config:
    """Rows of 64 elements straddle its pages of 7 blocks; a tile is two pages."""
    tables = load("tiny").model_dump()
    tables["flash"] |= {"page_bytes": 256, "beat_bytes": 32}
    tables["stack"] = STACK.model_dump()
    return Config.model_validate(tables).attending(vectors, head_size, most_rows)


CONFIG = configuration()
ADDRESS_BITS = exact_log2(STACK.pages)
DESIGN = Design(AttentionUnit, (CONFIG, ADDRESS_BITS))


def some_rows(rows: int, heads: int = 3, seed: int = 1, pacing: Pacing = FULL_RATE) -> AttendedRows:
    """Heads of so many rows, attended to one behind the other."""
    return AttendedRows(CONFIG, random_context(CONFIG, heads, rows, seed), pacing)


@cocotb.test()
async def rows_at_full_rate(dut):
    """Every value in its cycle: a tile and a row, of two heads."""
    await play(dut, some_rows(8, 2))


@cocotb.test()
async def rows_under_random_stalls(dut):
    """Every value, all streams but the commands held back at random."""
    await play(dut, some_rows(8, 2, 2, Pacing(2, 0.3)))


@cocotb.test()
async def reset_in_the_middle(dut):
    """Nothing is left of what was cut off."""
    await leave_standing(dut, some_rows(15), 60)
    await play(dut, some_rows(1, 2, 5))
