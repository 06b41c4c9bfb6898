"""Softmax: values against the integer reference, cycles against its stated formula."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import neardecode.compute.softmax
from neardecode.compute.softmax.softmax import Softmax
from neardecode.config import Compute, Config, Flash, Vector
from neardecode_testbench.benches.amaranth_sim import play, play_after_reset
from neardecode_testbench.devices.softmax_bench import SoftmaxBench
from neardecode_testbench.scenarios.blocks.edge import CutOff, Held, Pacing, Recorder
from neardecode_testbench.scenarios.blocks.softmax import STREAMS, SoftmaxRows, random_tiles


def configuration(vector=None, **compute):
    return Config(
        flash=Flash(dies=1, banks_a_die=4, page_bytes=512, pages_a_bank=16),
        compute=Compute(**{"blocks_a_row": 8, "rows": 64, **compute}),
        vector=Vector(**{"tile_rows": 8, "tokens": 256, **(vector or {})}),
    )


CONFIG = configuration()
ROWS = ([8, 8, 3], [1], [8], [1, 1, 1, 1], [5, 8, 8, 8, 2], [2, 7], [8, 1, 8], [4])


def run(scenario):
    return play(SoftmaxBench(scenario.config), scenario)


def scenario(config=CONFIG, rows=ROWS, seed=1, pacing=None):
    return SoftmaxRows(config, random_tiles(config, rows, seed), pacing or Pacing())


def test_a_tile_s_first_probability_stands_four_cycles_after_its_last_score():
    result = run(scenario(rows=([8],)))
    assert Softmax.latency == 4
    assert result.taken["scores"] == list(range(8))
    assert result.taken["rescales"] == [7 + 2]
    assert result.taken["probabilities"] == list(range(7 + 4, 7 + 4 + 8))
    assert result.taken["partials"] == [7 + 4 + 8]


def test_between_tiles_lies_one_cycle_and_between_rows_three():
    result = run(scenario(rows=([8] * 6, [8] * 6)))
    probabilities = result.taken["probabilities"]
    gaps = np.diff(probabilities) - 1
    assert gaps.tolist() == ([0] * 7 + [1]) * 5 + [0] * 7 + [3] + ([0] * 7 + [1]) * 5 + [0] * 7
    assert result.counts["BUSY"] == 96
    assert result.counts["OUTPUT"] == 0


@pytest.mark.parametrize("seed", range(12))
def test_random_rows_give_the_reference_s_values_at_full_rate(seed):
    random = np.random.default_rng(seed)
    rows = [random.integers(1, 9, random.integers(1, 6)).tolist() for _ in range(10)]
    run(scenario(rows=rows, seed=seed))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("seed", range(4))
def test_values_and_cycles_hold_under_random_stalls(seed, share):
    run(scenario(seed=seed, pacing=Pacing(seed, share)))


@pytest.mark.parametrize("stream", STREAMS)
def test_one_stalled_stream_alone_holds_the_softmax(stream):
    free = tuple(other for other in STREAMS if other != stream)
    run(scenario(pacing=Pacing(7, 0.6, free)))


@pytest.mark.parametrize(
    "config",
    [
        configuration(activation_bits=4),
        configuration(activation_bits=8),
        configuration(activation_bits=16),
        configuration(accumulator_bits=64, fraction_bits=48),
        configuration(accumulator_bits=24, fraction_bits=0),
        configuration(accumulator_bits=24, fraction_bits=15),
        configuration(fraction_bits=10),
        configuration({"score_fraction_bits": 12, "score_bits": 14}),
        configuration({"score_fraction_bits": 6, "score_bits": 32, "sum_fraction_bits": 30}),
        configuration({"tile_rows": 1, "tokens": 1}),
        configuration({"tile_rows": 5}),
    ],
    ids=lambda config: f"{config.compute.activation_bits}-{config.compute.accumulator_bits}",
)
def test_other_widths(config):
    rows = [[min(length, config.vector.tile_rows) for length in row] for row in ROWS]
    if config.vector.tokens == 1:
        rows = [[1]] * 12
    run(scenario(config, rows, 3, Pacing(2, 0.3)))


def test_the_buffer_holds_two_tiles_and_the_second_s_last_score_waits():
    held = Held(cycles={"rescales": range(200), "probabilities": range(200)})
    result = run(scenario(rows=([8, 8, 8, 8],), pacing=held))
    # The first tile has started and two of its scores are in the pipeline.
    assert sum(cycle < 200 for cycle in result.taken["scores"]) == 8 + 8 + 3 - 1


def test_a_reset_in_the_middle_leaves_nothing_behind():
    stalls = Pacing(5, 0.5)
    cut = CutOff(scenario(pacing=stalls, seed=4), 60)
    play_after_reset(SoftmaxBench(CONFIG), cut, scenario(seed=9))


def test_the_same_scenario_twice_goes_on_where_it_stopped():
    twice = scenario(seed=3)
    both = replace(twice, tiles=[*twice.tiles, *twice.tiles], recorder=Recorder(STREAMS))
    run(both)


def test_the_waveform_of_the_readme():
    recorder = Recorder(
        STREAMS,
        (
            *("scores__valid", "scores__ready", "rescales__valid"),
            *("probabilities__valid", "probabilities__ready", "partials__valid"),
        ),
    )
    pacing = Held(cycles={"probabilities": (9, 10)})
    run(replace(scenario(rows=([4, 3], [2]), pacing=pacing), recorder=recorder))
    readme = (Path(neardecode.compute.softmax.__path__[0]) / "README.md").read_text()
    for line in recorder.waveform(26):
        assert f"    {line}\n" in readme
