"""Attention where keys and values lie in flash, or in flash and a vault."""

import pytest

from neardecode.attention.evict import PageEvictor
from neardecode.config import Config, Stack, load
from neardecode_testbench.scenarios.attention_context import random_context
from neardecode_testbench.scenarios.attention_tiers import TieredLayer, measure_tiers
from neardecode_testbench.scenarios.blocks.edge import Pacing
from neardecode_testbench.scenarios.flash.soak import VARIANTS


def configuration(placement, hot_pages=1):
    """Seven rows of 64 elements a page, which is a tile; blocks of eight pages a bank."""
    tables = VARIANTS["short pages"].config.model_dump()
    tables["stack"] = Stack(
        bank_groups=2, banks_a_group=2, page_bytes=512, pages_a_bank=64, buffer_beats=64
    ).model_dump()
    tables["compute"] |= {"blocks_a_row": 8, "rows": 256, "accumulator_bits": 40}
    config = Config.model_validate(tables).attending(1, 64, 7)
    tables = config.model_dump()
    tables["kv"] |= {"placement": placement, "hot_pages": hot_pages}
    return Config.model_validate(tables)


def run(placement, tokens, hot_pages=1, seed=1, pacing=None):
    config = configuration(placement, hot_pages)
    context = random_context(config, 2, tokens, seed)
    return measure_tiers(TieredLayer(config, context, pacing or Pacing()))


@pytest.mark.parametrize("tokens", [5, 7, 30])
def test_all_in_flash_gives_the_reference_s_values(tokens):
    measured, endurance = run("flash", tokens)
    pages = 2 * 2 * -(-tokens // 7)
    assert measured.values == 2 * (2 + 64 + 64)
    assert measured.beats == pages * 8
    assert endurance.pages == pages
    # Four banks; a block of a bank is erased with its first page.
    assert endurance.erases == min(pages, 4)


@pytest.mark.parametrize("tokens", [9, 30, 33])
def test_the_newest_pages_in_a_vault_and_the_others_in_flash(tokens):
    measured, endurance = run("tiered", tokens)
    assert measured.values == 2 * (2 * (2 + 64) + 64)
    assert endurance.pages == 2 * 2 * (-(-tokens // 7) - 1)


def test_random_stalls_change_no_value():
    for seed in (1, 2):
        run("tiered", 30, 2, seed, Pacing(seed, 0.4))


def test_too_many_hot_pages_are_refused():
    config = configuration("tiered", 5)
    with pytest.raises(ValueError, match=r"kv\.hot_pages must leave"):
        TieredLayer(config, random_context(config, 2, 30, 1))
    config = configuration("stack")
    with pytest.raises(ValueError, match=r"kv\.placement must be"):
        TieredLayer(config, random_context(config, 2, 30, 1))
    with pytest.raises(ValueError, match=r"flash\.host"):
        PageEvictor(load("tiny"), 6, 6)
