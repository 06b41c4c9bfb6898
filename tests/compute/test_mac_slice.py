"""The MAC slice: values against the integer reference, cycles against its stated formula."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import neardecode.compute
from neardecode.compute.command import ActivationBlock, SliceCommand
from neardecode.compute.slice import MacSlice
from neardecode.config import Compute, Config, Flash, SliceCause
from neardecode_testbench.benches.amaranth_sim import play, play_after_reset
from neardecode_testbench.drive.stimulus import Play, Sink, Source, StuckError
from neardecode_testbench.scenarios.blocks.edge import CutOff, Held, Pacing, Recorder, read_counts
from neardecode_testbench.scenarios.blocks.mac_slice import STREAMS, Job, SliceRows
from neardecode_testbench.scenarios.packing import Packer

ADDRESS_BITS = 6


def configuration(page_bytes=512, beat_bytes=64, **compute):
    return Config(
        flash=Flash(
            dies=1, banks_a_die=4, page_bytes=page_bytes, beat_bytes=beat_bytes, pages_a_bank=16
        ),
        compute=Compute(**{"blocks_a_row": 8, "rows": 64, "accumulator_bits": 40, **compute}),
    )


# 7 element beats a page: no row but the narrowest divides them, so that rows straddle pages.
CONFIG = configuration()
JOBS = (
    Job(9, 2),
    Job(5, 4, 3, True),
    Job(4, 6, 7),
    Job(6, 8, 1, True),
    Job(1, 8),
    Job(3, 2, 60, True),
    Job(20, 4),
    Job(2, 6, appended=True),
)


def run(scenario):
    return play(MacSlice(scenario.config, scenario.address_bits), scenario)


def test_beats_follow_each_other_from_the_loading_of_the_first_vector_on():
    result = run(SliceRows(CONFIG, ADDRESS_BITS, JOBS))
    # The command takes a cycle, its vector a cycle a block; nothing else ever costs one.
    first = max(1, JOBS[0].blocks)
    assert result.beats == list(range(first, first + len(result.beats)))
    assert result.counts["MEMORY"] == result.counts["RESULTS"] == 0
    assert result.counts["ACTIVATION"] == first - 1


@pytest.mark.parametrize("blocks", [2, 4, 6, 8])
def test_a_result_appears_four_cycles_after_its_last_beat(blocks):
    job = Job(13, blocks)
    scenario = SliceRows(CONFIG, ADDRESS_BITS, (job,))
    result = run(scenario)
    assert MacSlice.latency == 4
    assert result.results == [blocks + end + MacSlice.latency for end in scenario.row_ends(job)]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("seed", range(4))
def test_values_and_cycles_hold_under_random_stalls(seed, share):
    run(SliceRows(CONFIG, ADDRESS_BITS, JOBS, seed=seed, pacing=Pacing(seed, share)))


@pytest.mark.parametrize("stream", STREAMS)
def test_one_stalled_stream_alone_holds_the_slice(stream):
    free = tuple(other for other in STREAMS if other != stream)
    run(SliceRows(CONFIG, ADDRESS_BITS, JOBS, pacing=Pacing(7, 0.6, free)))


def random_jobs(seed, count=30):
    random = np.random.default_rng(seed)
    return tuple(
        Job(
            int(random.integers(1, 12)),
            2 * int(random.integers(1, 5)),
            int(random.integers(64)),
            bool(random.integers(2)),
        )
        for _ in range(count)
    )


@pytest.mark.parametrize("pacing", [Pacing(), Pacing(3, 0.4)], ids=["full rate", "stalls"])
@pytest.mark.parametrize("magnitudes", ["common", "any"])
def test_random_commands_give_the_reference_s_values(magnitudes, pacing):
    jobs = random_jobs(5)
    scenario = SliceRows(CONFIG, ADDRESS_BITS, jobs, 5, pacing, magnitudes)
    result = run(scenario)
    rows = sum(job.rows for job in jobs)
    assert len(result.results) == rows
    if magnitudes == "common":
        assert result.saturated == 0
    else:
        assert rows / 10 < result.saturated < rows


@pytest.mark.parametrize("activation_bits", [4, 8, 12, 16])
def test_single_products_at_the_ends_of_a_term_s_range_and_of_every_shift(activation_bits):
    config = configuration(activation_bits=activation_bits, rows=128)
    # 80 cases, then again in another block of the row.
    scenario = SliceRows(config, ADDRESS_BITS, (Job(128, 4), Job(128, 2)), magnitudes="edges")
    assert run(scenario).saturated > 20


@pytest.mark.parametrize(
    "config",
    [
        configuration(page_bytes=256),
        configuration(page_bytes=2048, beat_bytes=32),
        configuration(accumulator_bits=64, fraction_bits=48),
        configuration(accumulator_bits=24, fraction_bits=0),
        configuration(activation_bits=16),
        configuration(activation_bits=4),
    ],
    ids=[
        "three element beats a page",
        "two scale beats a page",
        "widest accumulator",
        "narrowest accumulator",
        "widest activations",
        "narrowest activations",
    ],
)
def test_other_widths(config):
    jobs = (Job(9, 4), Job(30, 8), Job(7, 2, appended=True))
    result = run(SliceRows(config, ADDRESS_BITS, jobs, 2, Pacing(2, 0.3)))
    assert result.counts["SCALES"] == len(result.beats) * config.kv_layout.scale_beats // (
        config.kv_layout.beats
    )


def test_a_slice_of_one_beat_a_row_and_one_row():
    config = configuration(blocks_a_row=2, rows=1)
    run(SliceRows(config, ADDRESS_BITS, (Job(1, 2), Job(1, 2, 5, True), Job(1, 2, 9)), 1))


def test_a_bad_page_marks_the_rows_that_touch_it_and_no_other():
    bad = frozenset({1, 3})
    # Rows of four beats in pages of seven: a row has a part in one or two pages.
    job = Job(9, 8, bad_pages=bad)
    scenario = SliceRows(
        CONFIG, ADDRESS_BITS, (job, Job(3, 8), Job(2, 2, bad_pages=frozenset({0})))
    )
    assert scenario.pages(job) == 6
    run(scenario)
    run(replace(scenario, pacing=Pacing(1), recorder=Recorder(STREAMS)))


def test_pages_past_the_last_address_are_asked_for_and_not_wrapped():
    # The scenario expects every request by its address; 63 is the last that exists.
    run(SliceRows(CONFIG, ADDRESS_BITS, (Job(9, 8, base=62),)))


class Offered:
    """A play that gets stuck or not, with whatever it is given, and the counters after it."""

    def __init__(self, commands=0, vectors=0, beats=0, results=True, cycles=200):
        self.recorder = Recorder(())
        self.counts = {}
        self.given = (commands, vectors, beats, results)
        self.cycles = cycles

    def __call__(self, step):
        commands, vectors, beats, results = self.given
        command = Packer(SliceCommand(CONFIG.compute, ADDRESS_BITS)).pack({"rows": 14, "blocks": 2})
        block = Packer(ActivationBlock(CONFIG.compute))
        vector = [block.pack({"last": last}) for last in (0, 1)]
        try:
            step(
                Play(
                    sources=[
                        Source("commands", [command] * commands),
                        Source("activations", vector * vectors),
                        Source("beats", [0] * beats),
                    ],
                    # One more than will ever come.
                    sinks=[Sink("requests", 1000)] + [Sink("results", 1000)] * results,
                    levels={"counting": 1},
                    limit=self.cycles,
                )
            )
        except StuckError as error:
            self.counts = read_counts(step, "cycles", SliceCause)
            return str(error)
        return ""


def test_pages_of_four_commands_are_asked_for_ahead():
    stuck = play(MacSlice(CONFIG, ADDRESS_BITS), Offered(commands=6))
    # Two pages a command.
    assert "commands gave 4 of 6; activations gave 0 of 0" in stuck
    assert "requests took 8 of 1000" in stuck
    assert MacSlice.commands_ahead == 4


def test_two_vectors_are_held():
    assert "activations gave 4 of 10" in play(MacSlice(CONFIG, ADDRESS_BITS), Offered(vectors=5))


@pytest.mark.parametrize(
    ("given", "counts"),
    [
        # A command is open from the cycle after it was taken on.
        (Offered(), {"IDLE": 200}),
        (Offered(beats=3), {"IDLE": 200}),
        (Offered(vectors=2), {"IDLE": 200}),
        (Offered(commands=1), {"IDLE": 1, "MEMORY": 199}),
        (Offered(commands=1, beats=3), {"IDLE": 1, "ACTIVATION": 199}),
        # The vector is loaded in cycle 2; scales, element, result after 4 cycles more.
        (
            Offered(commands=1, vectors=1, beats=3),
            {"IDLE": 1, "ACTIVATION": 1, "SCALES": 1, "BUSY": 2, "MEMORY": 195},
        ),
        (
            Offered(commands=1, vectors=1, beats=8, results=False),
            {"IDLE": 1, "ACTIVATION": 1, "SCALES": 1, "BUSY": 4, "RESULTS": 193},
        ),
    ],
    ids=[
        "nothing comes",
        "only beats come",
        "only vectors come",
        "no beat comes",
        "no vector comes",
        "beats end early",
        "no result is taken",
    ],
)
def test_a_stall_has_its_cause(given, counts):
    assert play(MacSlice(CONFIG, ADDRESS_BITS), given)
    assert {name: count for name, count in given.counts.items() if count} == counts


def test_beats_behind_the_last_row_are_tail():
    # Ten element beats in pages of seven: four are left over.
    result = run(SliceRows(CONFIG, ADDRESS_BITS, (Job(10, 2),)))
    assert (result.counts["SCALES"], result.counts["BUSY"], result.counts["TAIL"]) == (2, 10, 4)


@pytest.mark.parametrize("cycles", [1, 9, 10, 11, 24, 37, 60])
def test_a_reset_in_the_middle_leaves_nothing_behind(cycles):
    scenario = SliceRows(CONFIG, ADDRESS_BITS, JOBS, 3)
    cut = CutOff(SliceRows(CONFIG, ADDRESS_BITS, JOBS, 4, Pacing(1, 0.3)), cycles)
    after = play_after_reset(MacSlice(CONFIG, ADDRESS_BITS), cut, scenario)
    assert cut.recorder.cycles == cycles
    assert after == run(SliceRows(CONFIG, ADDRESS_BITS, JOBS, 3))


def test_the_waveform_of_the_readme():
    recorder = Recorder(
        STREAMS,
        (
            *("commands__valid", "activations__valid", "beats__valid", "beats__ready"),
            *("results__valid", "results__ready"),
        ),
    )
    config = configuration(page_bytes=256)
    # The result of the first row is held in cycles 10 and 11.
    pacing = Held(cycles={"results": (10, 11)})
    run(SliceRows(config, ADDRESS_BITS, (Job(3, 4),), pacing=pacing, recorder=recorder))
    drawn = recorder.waveform(20)
    readme = (Path(neardecode.compute.__path__[0]) / "README.md").read_text()
    for line in drawn:
        assert f"    {line}\n" in readme
