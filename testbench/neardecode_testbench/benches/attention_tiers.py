"""Bench of attention in two tiers: a flash channel, a vault, units, evictor and merge."""

from typing import Literal

import cocotb

from neardecode.config import Config, Stack
from neardecode_testbench.benches.play import leave_standing, play
from neardecode_testbench.devices.attention_tiers import AttentionTiers
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.attention_context import random_context
from neardecode_testbench.scenarios.attention_tiers import TieredLayer
from neardecode_testbench.scenarios.blocks.edge import FULL_RATE, Pacing
from neardecode_testbench.scenarios.flash.soak import VARIANTS

__all__ = ["DESIGN", "HEAD", "configuration", "some_rows"]

Placement = Literal["stack", "flash", "tiered"]


HEAD = 32


def configuration(placement: Placement, hot_pages: int = 1) -> Config:
    """Seven rows a page, which is a tile; blocks of eight pages a bank."""
    tables = VARIANTS["short pages"].config.model_dump()
    tables["flash"] |= {"page_bytes": 256, "beat_bytes": 32}
    tables["stack"] = Stack(
        bank_groups=2,
        banks_a_group=2,
        page_bytes=256,
        beat_bytes=32,
        pages_a_bank=64,
        queue=4,
        buffer_beats=32,
    ).model_dump()
    tables["compute"] |= {"blocks_a_row": 8, "rows": 256, "accumulator_bits": 40}
    tables = Config.model_validate(tables).attending(1, HEAD, 7).model_dump()
    tables["kv"] |= {"placement": placement, "hot_pages": hot_pages}
    return Config.model_validate(tables)


DESIGN = Design(AttentionTiers, (configuration("tiered"),))


def some_rows(
    placement: Placement,
    tokens: int,
    hot_pages: int = 1,
    seed: int = 1,
    pacing: Pacing = FULL_RATE,
    heads: int = 2,
) -> TieredLayer:
    """Random keys and values of a layer."""
    config = configuration(placement, hot_pages)
    return TieredLayer(config, random_context(config, heads, tokens, seed), pacing)


@cocotb.test()
async def cold_pages_in_flash(dut):
    """Appended, evicted, attended to in both tiers; every value, every word in its cycle."""
    measured, endurance = await play(dut, some_rows("tiered", 9, heads=1))
    assert endurance.pages == 2
    assert measured.causes["BUSY"] == measured.beats


@cocotb.test()
async def all_in_flash_under_random_stalls(dut):
    """Every value, all streams held back at random."""
    await play(dut, some_rows("flash", 8, seed=2, pacing=Pacing(2, 0.3), heads=1))


@cocotb.test()
async def reset_in_the_middle(dut):
    """Nothing is left of what was cut off."""
    await leave_standing(dut, some_rows("tiered", 9, seed=3, heads=1), 40)
    await play(dut, some_rows("tiered", 8, seed=4, heads=1))
