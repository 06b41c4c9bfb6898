"""Attention of a layer: appended, attended, merged and finished, against the integer reference."""

import numpy as np
import pytest

from neardecode.attention.append import KvAppender
from neardecode.attention.merge import AttentionMerge
from neardecode.attention.unit import AttentionUnit
from neardecode.config import Config, HeatConstants, load
from neardecode_testbench.benches.attention_unit import configuration
from neardecode_testbench.devices.attention_bench import AttentionBench
from neardecode_testbench.reference.integer.attention import ContextSplit
from neardecode_testbench.scenarios.attention_context import random_context
from neardecode_testbench.scenarios.attention_layer import AttentionLayer, measure_attention
from neardecode_testbench.scenarios.attention_reference import RULES, choose_tiles
from neardecode_testbench.scenarios.blocks.edge import CheckError, Pacing

CONFIG = configuration()


def layer(tokens, parts=2, turn=1, seed=1, pacing=None, rounds=1, number=0):
    return AttentionLayer(
        CONFIG,
        ContextSplit(parts, turn),
        random_context(CONFIG, 2, tokens, seed),
        number,
        rounds,
        pacing=pacing or Pacing(),
    )


@pytest.mark.parametrize("tokens", [2, 3, 13, 14, 15, 29, 56])
def test_two_vaults_give_the_reference_s_values(tokens):
    measured = measure_attention(layer(tokens, seed=tokens))
    heads = 2 * CONFIG.compute.vectors
    assert measured.values == heads * (2 * (2 + 64) + 64)


@pytest.mark.parametrize("seed", range(1, 9))
def test_random_stalls_of_every_stream_change_no_value(seed):
    pacing = Pacing(seed, 0.2 + 0.08 * seed)
    measure_attention(layer(10 + 7 * seed, turn=seed, seed=seed, pacing=pacing, rounds=2))


def test_a_vault_that_holds_no_tokens_is_not_waited_for():
    measured = measure_attention(layer(1))
    assert measured.values == 2 * CONFIG.compute.vectors * (2 + 64 + 64)


def test_commands_follow_each_other_and_layers_have_regions_of_their_own():
    one = measure_attention(layer(28, number=1))
    three = measure_attention(layer(28, number=1, rounds=3))
    assert three.beats == 3 * one.beats
    # The last values of a command are weighed behind the next one's first keys.
    assert three.cycles < 3 * one.cycles


def test_every_cycle_of_a_unit_has_one_owner():
    measured = measure_attention(layer(28))
    pages = 2 * 2 * 2 * 4
    assert measured.causes["BUSY"] == measured.beats == 2 * pages // 2 * 8
    assert measured.slice_causes["BUSY"] == 2 * 2 * 2 * 14 * 2
    assert measured.causes["QUERIES"] == 0


def test_queries_that_come_late_are_told():
    pacing = Pacing(3, 0.9, free=("commands__0", "commands__1", "words", "places__0"))
    measured = measure_attention(layer(4, pacing=pacing))
    assert measured.causes["QUERIES"] > 0


def test_a_sum_that_is_not_taken_is_told():
    pacing = Pacing(5, 0.9, free=("queries__0", "queries__1", "places__0", "blocks__0"))
    measured = measure_attention(layer(28, pacing=pacing, rounds=3))
    assert measured.causes["OUTPUT"] > 0


@pytest.mark.parametrize("rule", RULES)
def test_tiles_that_are_not_selected_are_not_read(rule):
    scenario = layer(120, seed=3)
    scenario.choice = choose_tiles(CONFIG, scenario.members, scenario.context, rule, 0.4)
    measured = measure_attention(scenario)
    # Nine tiles of two pages a part and head; the last is always read.
    read = [len(tiles | {8}) for tiles in scenario.choice.values()]
    assert max(read) <= 5
    assert measured.beats == sum(2 * 8 * 2 * tiles for tiles in read)


def test_a_selection_of_any_tiles_gives_the_reference_s_values():
    for seed in range(6):
        pacing = Pacing(seed, 0.5) if seed % 2 else Pacing()
        scenario = layer(60 + 7 * seed, seed=seed, pacing=pacing, rounds=2)
        scenario.choice = choose_tiles(
            CONFIG, scenario.members, scenario.context, "random", seed / 5, seed
        )
        measure_attention(scenario)


def test_a_layer_that_overheats_slows_and_says_so_and_stays_right():
    cool = measure_attention(layer(28, rounds=6))
    hot = layer(28, rounds=6)
    hot.heat = HeatConstants((1 << 21, 0, 0), 64, 160, hot=170, throttle=176, step=2, hysteresis=2)
    measured = measure_attention(hot)
    assert measured.values == cool.values
    assert measured.beats == cool.beats
    assert measured.cycles > 1.05 * cool.cycles
    assert measured.slice_causes["HEAT"] > 0 == cool.slice_causes["HEAT"]
    assert measured.causes["PACE"] > 0 == cool.causes["PACE"]
    assert measured.heat is not None
    assert measured.heat.temperature_c > 88
    assert measured.heat.throttle > 0
    assert measured.heat.hot_cycles > 0


def test_a_wrong_value_is_told():
    scenario = layer(14)
    keys = scenario.context.keys
    asks = scenario.asks

    def other():
        keys._elements[0, 3, 0, 0] ^= 64
        return asks()

    scenario.asks = other
    expected = scenario.expected
    scenario.expected = lambda: (other(), expected())[1]
    with pytest.raises(CheckError, match="differ"):
        measure_attention(scenario)


def test_tiles_must_be_whole_pages():
    tables = CONFIG.model_dump()
    tables["vector"]["tile_rows"] = 8
    with pytest.raises(ValueError, match="tile_rows must be rows of"):
        AttentionUnit(Config.model_validate(tables), 6)
    with pytest.raises(ValueError, match="head_elements"):
        AttentionUnit(load("tiny"), 6)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="ahead must be"):
        AttentionUnit(CONFIG, 6, 1)
    with pytest.raises(ValueError, match="parts must be"):
        AttentionMerge(CONFIG, 0)
    with pytest.raises(ValueError, match="there is none"):
        AttentionBench(load("tiny"), 1, 2)
    with pytest.raises(ValueError, match="do not fit"):
        AttentionLayer(CONFIG, ContextSplit(), random_context(CONFIG, 2, 120, 1))
    assert KvAppender(CONFIG, 6).idle.shape().width == 1


def test_a_tile_of_the_presets_is_two_pages_of_rows():
    config = load("stack").attending(3, 64)
    assert config.vector.tile_rows == 124
    assert np.isclose(config.kv_layout.blocks, 124)
