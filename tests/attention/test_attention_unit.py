"""The attention unit by itself: every partial and sum, and the cycle of each."""

from pathlib import Path

import numpy as np
import pytest

import neardecode.attention
from neardecode.attention.unit import AttentionUnit
from neardecode_testbench.benches.amaranth_sim import Bench, play
from neardecode_testbench.benches.attention_unit import ADDRESS_BITS, CONFIG, some_rows
from neardecode_testbench.scenarios.blocks.attention_unit import STREAMS
from neardecode_testbench.scenarios.blocks.edge import CutOff, Held, Pacing, Recorder


@pytest.fixture(scope="module")
def unit():
    return Bench(AttentionUnit(CONFIG, ADDRESS_BITS))


@pytest.mark.parametrize("rows", [1, 3, 7, 15])
@pytest.mark.parametrize("heads", [1, 3])
def test_every_value_comes_in_its_cycle(unit, rows, heads):
    unit.play(some_rows(rows, heads, seed=rows))


def test_long_tiles_take_a_beat_a_cycle(unit):
    beats = unit.play(some_rows(29, 2))
    # But for the last elements, which wait for the sums of the command before.
    assert beats[-8] - beats[0] == len(beats) - 8


def test_a_lone_command_s_last_values_wait_a_turn(unit):
    beats = unit.play(some_rows(7, 1))
    # Two pages of keys; the first beat of values is scales, their elements wait.
    assert beats[17] - beats[15] == AttentionUnit(CONFIG, ADDRESS_BITS).turn


@pytest.mark.parametrize("ahead", [2, 5])
def test_how_far_pages_are_asked_for_ahead_changes_no_cycle(ahead):
    play(AttentionUnit(CONFIG, ADDRESS_BITS, ahead), some_rows(15, 2))


@pytest.mark.parametrize("seed", range(1, 5))
def test_random_stalls_change_no_value(unit, seed):
    unit.play(some_rows(4 * seed, 2, seed, Pacing(seed, 0.12 * seed)))


@pytest.mark.parametrize("stream", ["partials", "sums", "queries", "requests", "beats"])
def test_a_stream_that_stands_for_long_changes_no_value(unit, stream):
    unit.play(some_rows(8, 2, 2, Held(cycles={stream: range(20, 250)})))


def test_rows_that_were_just_appended_are_read_afresh(unit):
    scenario = some_rows(15, 2)
    scenario.appended = True
    unit.play(scenario)


def test_a_beat_in_error_is_told_of_its_command_alone(unit):
    # The last beat of a tile is in order again: what was wrong with the first is kept.
    scenario = some_rows(8, 3)
    scenario.broken = (1,)
    unit.play(scenario)


def test_a_clamped_term_is_told_of_its_command_and_vector_alone(unit):
    scenario = some_rows(8, 3)
    # Two blocks at both ends of a term's range: their sum is none that softmax clamps.
    for head, row, vector in ((0, 0, 1), (2, 7, 0)):
        keys, queries = scenario.context.keys, scenario.context.queries
        keys._elements[head, row] = np.array([1, -1])[:, np.newaxis]
        keys._exponents[head, row] = 254
        for other in range(CONFIG.compute.vectors):
            queries.elements[0, head * CONFIG.compute.vectors + other] = int(other == vector)
    scenario.clamped = {0: 2, 2: 1}
    unit.play(scenario)


@pytest.mark.parametrize("cycles", [9, 40, 90])
def test_nothing_is_left_of_what_a_reset_cut_off(unit, cycles):
    unit.play(CutOff(some_rows(15), cycles), some_rows(3, 2, 5))


def test_the_waveform_of_the_readme(unit):
    scenario = some_rows(7, 1)
    scenario.recorder = recorder = Recorder(
        STREAMS,
        (
            *("commands__valid", "queries__valid", "requests__valid", "beats__valid"),
            *("beats__ready", "partials__valid", "sums__valid"),
        ),
    )
    unit.play(scenario)
    drawn = recorder.waveform(60)
    readme = (Path(neardecode.attention.__path__[0]) / "README.md").read_text()
    for line in drawn:
        assert f"    {line}" in readme, "\n".join(drawn)
