"""Attention where keys and values lie in flash, or in flash and a vault."""

import pytest

from neardecode.attention.evict import PageEvictor
from neardecode.config import load
from neardecode_testbench.benches.attention_tiers import DESIGN, HEAD, configuration, some_rows
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.scenarios.attention_context import random_context
from neardecode_testbench.scenarios.attention_tiers import TieredLayer
from neardecode_testbench.scenarios.blocks.edge import Pacing


def run(*arguments):
    # What is kept where changes no hardware.
    return simulate(DESIGN, some_rows(*arguments), "native")


@pytest.mark.parametrize("tokens", [5, 7, 30])
def test_all_in_flash_gives_the_reference_s_values(tokens):
    measured, endurance = run("flash", tokens)
    pages = 2 * 2 * -(-tokens // 7)
    assert measured.values == 2 * (2 + 2 * HEAD)
    assert measured.beats == pages * 8
    assert endurance.pages == pages
    # Four banks; a block of a bank is erased with its first page.
    assert endurance.erases == min(pages, 4)


@pytest.mark.parametrize("tokens", [9, 30, 33])
def test_the_newest_pages_in_a_vault_and_the_others_in_flash(tokens):
    measured, endurance = run("tiered", tokens)
    assert measured.values == 2 * (2 * (2 + HEAD) + HEAD)
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
