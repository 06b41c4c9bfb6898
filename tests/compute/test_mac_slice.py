"""The MAC slice: values against the integer reference, cycles against its stated formula."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import neardecode.compute
from neardecode.compute.command import ActivationBlock, SliceCommand
from neardecode.compute.slice import MacSlice
from neardecode.config import BlockFormat, Compute, Config, Fabric, Flash, SliceCause
from neardecode_testbench.benches.amaranth_sim import play, play_after_reset
from neardecode_testbench.drive.stimulus import Play, Sink, Source, StuckError
from neardecode_testbench.scenarios.blocks.edge import CutOff, Held, Pacing, Recorder, read_counts
from neardecode_testbench.scenarios.blocks.mac_slice import Job, SliceRows, slice_streams
from neardecode_testbench.scenarios.packing import Packer

ADDRESS_BITS = 6


def configuration(page_bytes=512, beat_bytes=64, **compute):
    return Config(
        flash=Flash(
            dies=1, banks_a_die=4, page_bytes=page_bytes, beat_bytes=beat_bytes, pages_a_bank=16
        ),
        # Room for the results of several vectors.
        fabric=Fabric(payload_bits=512),
        compute=Compute(**{"blocks_a_row": 8, "rows": 64, "accumulator_bits": 40, **compute}),
    )


# 7 element beats a page: no row but the narrowest divides them, so that rows straddle pages.
CONFIG = configuration()
STREAMS = slice_streams(CONFIG)
LATENCY = 4
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
    assert result.results == [blocks + end + LATENCY for end in result.stimuli[0].found.row_ends]


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
    assert len(run(scenario).stimuli[0].found.pages) == 6
    run(replace(scenario, pacing=Pacing(1), recorder=Recorder(())))


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


@pytest.mark.parametrize("ahead", [2, 4, 5])
def test_pages_of_so_many_commands_are_asked_for_ahead(ahead):
    config = configuration(commands_ahead=ahead)
    stuck = play(MacSlice(config, ADDRESS_BITS), Offered(commands=6))
    # Two pages a command.
    assert f"commands gave {ahead} of 6; activations gave 0 of 0" in stuck
    assert f"requests took {2 * ahead} of 1000" in stuck


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


FORMATS = list(BlockFormat)
ANY_ROWS = ((9, 4), (5, 8), (7, 5), (4, 6), (3, 7), (2, 4))
"""Rows and blocks: whole beats of every format, and rows that end within one."""


def jobs_of(formats, lengths=ANY_ROWS):
    return tuple(
        Job(rows, blocks, 3 * index, bool(index & 1), format=formats[index % len(formats)])
        for index, (rows, blocks) in enumerate(lengths * len(formats))
    )


@pytest.mark.parametrize("magnitudes", ["common", "any"])
@pytest.mark.parametrize("block_format", FORMATS)
def test_every_format_gives_the_reference_s_values(block_format, magnitudes):
    # 28 blocks are the seven that end in every place of a beat of four, four times over.
    config = configuration(formats=(block_format.name,), blocks_a_row=32)
    jobs = jobs_of([block_format])
    result = run(SliceRows(config, ADDRESS_BITS, jobs, 3, magnitudes=magnitudes))
    assert result.counts["MEMORY"] == result.counts["RESULTS"] == 0
    assert (result.saturated > 0) == (magnitudes == "any")
    run(SliceRows(config, ADDRESS_BITS, jobs, 4, Pacing(4, 0.4), magnitudes))


@pytest.mark.parametrize("block_format", FORMATS)
def test_scales_that_are_not_powers_of_two_cost_a_cycle(block_format):
    config = configuration(formats=(block_format.name,))
    result = run(SliceRows(config, ADDRESS_BITS, (Job(6, 4, format=block_format),)))
    latency = 4 + (block_format.scale_bytes > 1)
    ends = result.stimuli[0].found.row_ends
    assert result.results == [4 + end + latency for end in ends]


@pytest.mark.parametrize(
    "formats",
    [tuple(FORMATS), (BlockFormat.Q4_1, BlockFormat.Q8_0), (BlockFormat.MXINT8, BlockFormat.MXFP4)],
    ids=["all", "Q4_1 and Q8_0", "MXINT8 and MXFP4"],
)
def test_a_slice_of_several_formats_takes_them_in_turn(formats):
    names = tuple(format_.name for format_ in formats)
    # Two vectors where the slice is small.
    vectors = 2 if len(formats) == 2 else 1
    config = configuration(
        page_bytes=256, beat_bytes=32, formats=names, vectors=vectors, blocks_a_row=16
    )
    jobs = jobs_of(formats, ((9, 4), (5, 3), (7, 5), (4, 6)))
    run(SliceRows(config, ADDRESS_BITS, jobs, 5))
    run(SliceRows(config, ADDRESS_BITS, jobs, 6, Pacing(6, 0.4)))


@pytest.mark.parametrize("vectors", [2, 3, 8])
def test_several_vectors_meet_every_beat(vectors):
    config = configuration(beat_bytes=32, vectors=vectors)
    jobs = (Job(20, 2), Job(9, 3), Job(30, 8))
    result = run(SliceRows(config, ADDRESS_BITS, jobs, 2))
    assert len(result.results) == 59
    # Blocks of all vectors are loaded before the first beat, and behind those of other commands.
    assert result.counts["ACTIVATION"] > vectors
    run(SliceRows(config, ADDRESS_BITS, jobs, 3, Pacing(3, 0.4)))


@pytest.mark.parametrize("activation_bits", [4, 8, 16])
@pytest.mark.parametrize("block_format", [BlockFormat.Q4_1, BlockFormat.Q8_0])
def test_scaled_formats_at_other_widths(block_format, activation_bits):
    config = configuration(
        beat_bytes=32, formats=(block_format.name,), activation_bits=activation_bits
    )
    run(SliceRows(config, ADDRESS_BITS, (Job(30, 8, format=block_format),), activation_bits))


@pytest.mark.parametrize("block_format", [BlockFormat.Q4_0, BlockFormat.Q4_1, BlockFormat.Q8_0])
def test_scales_that_are_no_numbers_mark_their_rows_and_no_other(block_format):
    config = configuration(page_bytes=256, beat_bytes=32, formats=(block_format.name,))
    job = Job(40, 3, format=block_format, invalid=0.1)
    # Nothing else marks a row.
    result = run(SliceRows(config, ADDRESS_BITS, (job,), magnitudes="common"))
    assert 5 < result.saturated < 30


SUMS = configuration(page_bytes=256, beat_bytes=32, head_elements=64, vectors=2)
SUM_JOBS = (
    Job(9, 2, sums=True),
    Job(50, 2, 3, True, sums=True, rescale=(1, 2)),
    Job(5, 1, sums=True, deliver=False),
    Job(3, 2),
    # With this one more than 64 rows are added since the sums were begun.
    Job(57, 1, sums=True, keep=True, rescale=(3, 0)),
    Job(6, 1, sums=True, keep=True, rescale=(0, 39), bad_pages=frozenset({0})),
    Job(6, 1, sums=True, keep=True, deliver=False),
    Job(4, 8),
    Job(1, 1, sums=True),
    Job(1, 2, sums=True, bad_pages=frozenset({0})),
    Job(40, 2, sums=True),
)
"""Sums that begin, that go on from delivered ones and from others, with dot products between."""


@pytest.mark.parametrize("magnitudes", ["common", "any"])
def test_sums_give_the_reference_s_values(magnitudes):
    result = run(SliceRows(SUMS, ADDRESS_BITS, SUM_JOBS, 2, magnitudes=magnitudes))
    assert len(result.sums) == 3 * 32 + 4 * 64


@pytest.mark.parametrize("seed", range(3))
def test_sums_hold_under_random_stalls(seed):
    run(SliceRows(SUMS, ADDRESS_BITS, SUM_JOBS, seed, Pacing(seed, 0.4)))


@pytest.mark.parametrize("stream", ["probabilities", "sums", "beats", "results"])
def test_one_stalled_stream_alone_holds_the_sums(stream):
    free = tuple(other for other in slice_streams(SUMS) if other != stream)
    run(SliceRows(SUMS, ADDRESS_BITS, SUM_JOBS, pacing=Pacing(7, 0.6, free)))


def test_sums_of_one_command_leave_while_those_of_the_next_grow():
    jobs = tuple(Job(64, 2, sums=True) for _ in range(4))
    result = run(SliceRows(SUMS, ADDRESS_BITS, jobs))
    assert result.beats == list(range(result.beats[0], result.beats[0] + len(result.beats)))
    first = result.beats[result.stimuli[0].found.row_ends[-1]]
    assert result.sums[:64] == list(range(first + 4, first + 68))


def test_no_bubble_between_the_modes():
    jobs = (Job(40, 2, sums=True), Job(30, 3), Job(40, 2, sums=True), Job(9, 8), Job(20, 2))
    result = run(SliceRows(SUMS, ADDRESS_BITS, jobs))
    assert result.beats == list(range(result.beats[0], result.beats[0] + len(result.beats)))


def test_sums_beside_formats_of_nibbles():
    config = configuration(
        page_bytes=256, beat_bytes=32, head_elements=32, formats=("Q4_1", "MXINT8"), blocks_a_row=16
    )
    jobs = (
        Job(9, 1, sums=True), Job(7, 3, format=BlockFormat.Q4_1), Job(20, 1, sums=True), Job(5, 2)
    )  # fmt: skip
    run(SliceRows(config, ADDRESS_BITS, jobs, 1))
    run(SliceRows(config, ADDRESS_BITS, jobs, 2, Pacing(2, 0.4)))


@pytest.mark.parametrize("throttle", [1, 5, 8, 15])
def test_the_throttle_takes_cycles_away_evenly(throttle):
    result = run(SliceRows(CONFIG, ADDRESS_BITS, JOBS, throttle=throttle))
    share = result.counts["HEAT"] / (result.counts["HEAT"] + len(result.beats))
    assert share == pytest.approx(throttle / 16, abs=0.02)
    run(SliceRows(CONFIG, ADDRESS_BITS, JOBS, 2, Pacing(2, 0.4), throttle=throttle))


def test_a_throttle_of_all_cycles_stops_the_slice():
    scenario = SliceRows(CONFIG, ADDRESS_BITS, JOBS, throttle=16)
    with pytest.raises(StuckError, match="beats gave 0 of"):
        play(MacSlice(CONFIG, ADDRESS_BITS), CutOff(scenario, 100))


@pytest.mark.parametrize("divider", [2, 4])
def test_a_slower_clock_moves_in_one_of_so_many_cycles(divider):
    config = configuration(clock_divider=divider)
    result = run(SliceRows(config, ADDRESS_BITS, JOBS))
    first = result.beats[0]
    assert result.beats == list(range(first, first + divider * len(result.beats), divider))
    run(SliceRows(config, ADDRESS_BITS, JOBS, 3, Pacing(3, 0.4), throttle=3))


def test_a_slower_clock_with_sums():
    config = configuration(page_bytes=256, beat_bytes=32, head_elements=32, clock_divider=2)
    jobs = (Job(30, 1, sums=True), Job(5, 2), Job(30, 1, sums=True))
    run(SliceRows(config, ADDRESS_BITS, jobs, 3, Pacing(3, 0.3), throttle=3))


SELECTION = configuration(page_bytes=256, beat_bytes=32, selection=True, rows=512, head_elements=32)


def selected(pages, *numbers, **job):
    page_rows = job.pop("page_rows", 7)
    return Job(page_rows * pages - 2, 1, page_rows=page_rows, selection=frozenset(numbers), **job)


SELECTED_JOBS = (
    selected(5, 0, 2, 4),
    Job(4, 6),
    selected(6, 1, page_rows=5),
    selected(3, sums=True),
    selected(70, 0, 3, 60, 63, 64, 69, sums=True),
    selected(4),
    Job(3, 2),
    selected(65, 64, appended=True),
    selected(2, 0, 1, appended=True, bad_pages=frozenset({1})),
)


def test_pages_that_are_not_selected_are_neither_asked_for_nor_read():
    jobs = tuple(job for job in SELECTED_JOBS if job.selection or not job.sums)
    result = run(SliceRows(SELECTION, ADDRESS_BITS, jobs))
    assert [len(stimulus.requests) for stimulus in result.stimuli] == [3, 4, 1, 6, 0, 1, 1, 2]
    run(SliceRows(SELECTION, ADDRESS_BITS, jobs, 2, Pacing(2, 0.4)))


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_selection_of_any_density_runs_at_full_rate(share):
    random = np.random.default_rng(4)
    jobs = tuple(
        selected(60, *np.flatnonzero(random.random(60) < share).tolist(), page_rows=7)
        for _ in range(4)
    )
    result = run(SliceRows(SELECTION, ADDRESS_BITS, jobs))
    # A page is told of when the next one of its command is found, or the command's end is reached;
    # its beats follow, unless those of the page before still do.
    begins = []
    for start, job in zip(result.commands, jobs, strict=True):
        found = [start + 2 + page for page in sorted(job.selection)]
        for told in (*found[1:], start + 2 + 60):
            begins.append(max(told + 1, begins[-1] + 8 if begins else 0))
    assert result.beats == [first + beat for first in begins for beat in range(8)]
    # A page of eight beats lasts long enough to find the next one, but for long gaps.
    gaps = result.beats[-1] - result.beats[0] + 1 - len(result.beats)
    assert gaps == (75 if share == 0.1 else 0)


@pytest.mark.parametrize("block_format", FORMATS)
def test_blocks_of_zeros_are_counted(block_format):
    config = configuration(formats=(block_format.name,))
    job = Job(20, 8, format=block_format, sparse=0.5)
    result = run(SliceRows(config, ADDRESS_BITS, (job, replace(job, sparse=0.0))))
    assert 50 < result.stimuli[0].zero_blocks < 110


GAPS = configuration(page_bytes=512, beat_bytes=32, skip_zeros=True, blocks_a_row=32, rows=64)


@pytest.mark.parametrize("block_format", FORMATS)
@pytest.mark.parametrize("sparse", [0.0, 0.6, 0.95, 1.0])
def test_beats_of_zeros_that_pages_leave_out_take_no_cycle(block_format, sparse):
    config = configuration(
        page_bytes=512,
        beat_bytes=32,
        formats=(block_format.name,),
        skip_zeros=True,
        blocks_a_row=32,
    )
    # Rows that end within a beat and with one, and pages as they are without gaps in between.
    jobs = tuple(
        Job(rows, blocks, format=block_format, sparse=sparse, gaps=blocks != 5)
        for rows, blocks in ((60, 8), (9, 5), (33, 7), (1, 8))
    )
    result = run(SliceRows(config, ADDRESS_BITS, jobs, 3, magnitudes="common"))
    assert result.counts["MEMORY"] == result.counts["RESULTS"] == 0
    stored = -(-60 * 8 * block_format.element_bytes // 32)
    first = result.stimuli[0].found
    elements = sum(first.used) - len(first.used) * first.layout.head_beats
    # A row keeps the beat that it ends in.
    assert elements == (stored if sparse == 0 else 60 if sparse == 1 else elements)
    assert 60 <= elements <= stored
    run(SliceRows(config, ADDRESS_BITS, jobs, 4, Pacing(4, 0.4), "any"))


def test_gaps_and_straight_pages_of_several_formats_take_turns():
    config = configuration(
        page_bytes=512,
        beat_bytes=32,
        formats=[format_.name for format_ in FORMATS],
        skip_zeros=True,
        blocks_a_row=32,
    )
    jobs = tuple(
        Job(9 + n, 2 + n % 7, n, format=FORMATS[n % 5], sparse=0.8, gaps=bool(n % 3))
        for n in range(15)
    )
    run(SliceRows(config, ADDRESS_BITS, jobs, 1))
    run(SliceRows(config, ADDRESS_BITS, jobs, 2, Pacing(2, 0.4), throttle=3))


@pytest.mark.parametrize("bad", [{0}, {1}, {2}, {0, 1, 2}])
def test_from_a_page_with_gaps_that_cannot_be_read_on_all_rows_are_in_error(bad):
    job = Job(50, 32, sparse=0.97, gaps=True)
    scenario = SliceRows(
        GAPS, ADDRESS_BITS, (replace(job, bad_pages=frozenset(bad)), Job(9, 4), job), 6
    )
    result = run(scenario)
    found = result.stimuli[0].found
    assert len(found.pages) == 7
    assert 0 < found.errors.count(True) <= 50 if 0 in bad else 0 < found.errors.count(True) < 50
    # Some rows have no beat any more; each has its result all the same, and the next command too.
    assert len(found.row_ends) < 50
    assert len(result.results) == 50 + 9 + 50
    run(replace(scenario, pacing=Pacing(1), recorder=Recorder(())))


@pytest.mark.parametrize("page", [0, 1, 6])
def test_gaps_that_cannot_be_mark_the_rows_that_follow_and_lose_no_result(page):
    job = Job(50, 32, sparse=0.97, gaps=True, torn=frozenset({page}))
    jobs = (job, Job(9, 4))
    result = run(SliceRows(GAPS, ADDRESS_BITS, jobs, 6, magnitudes="common"))
    errors = result.stimuli[0].found.errors
    assert errors.count(True) > 0
    assert errors == sorted(errors)
    run(SliceRows(GAPS, ADDRESS_BITS, jobs, 6, Pacing(2, 0.4)))
