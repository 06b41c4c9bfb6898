"""The flash channel with its dies: bytes, order, and the cycle of every beat."""

from pathlib import Path

import numpy as np
import pytest

import neardecode.flash
from neardecode.config import ChannelCause, Flash
from neardecode.flash.channel import FlashChannel
from neardecode.lib.page import PageRequest
from neardecode_testbench.benches.amaranth_sim import play, play_after_reset
from neardecode_testbench.devices.channel_bench import ChannelBench
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Play, Sink, Source, Storage, StuckError
from neardecode_testbench.scenarios.blocks.edge import CutOff, Pacing, Recorder, read_counts
from neardecode_testbench.scenarios.blocks.flash_channel import (
    STREAMS,
    ChannelReads,
    Read,
    random_reads,
)
from neardecode_testbench.scenarios.packing import Packer


def configuration(banks=4, page_beats=4, rows=8, beat_bytes=64):
    return Flash(
        dies=1,
        banks_a_die=banks,
        page_bytes=beat_bytes * page_beats,
        beat_bytes=beat_bytes,
        pages_a_bank=rows,
    )


FLASH = configuration()
SENSE = 20


def run(*plays, flash=FLASH, sense_cycles=SENSE, **options):
    scenario = ChannelReads(flash, sense_cycles, plays, **options)
    return play(ChannelBench(flash, sense_cycles), scenario)


def reads(*addresses, fresh=()):
    return tuple(Read(address, fresh=index in fresh) for index, address in enumerate(addresses))


@pytest.mark.parametrize("page_beats", [4, 16])
@pytest.mark.parametrize("sense_cycles", [3, 20, 77])
@pytest.mark.parametrize("banks", [1, 2, 8])
def test_a_sensed_page_begins_a_miss_latency_and_tr_after_its_request(
    banks, sense_cycles, page_beats
):
    flash = configuration(banks, page_beats)
    result = run(reads(3), flash=flash, sense_cycles=sense_cycles)
    first = FlashChannel.miss_latency + sense_cycles
    assert FlashChannel.miss_latency == 6
    assert result.requests == [0]
    assert result.beats == list(range(first, first + page_beats))


@pytest.mark.parametrize("page_beats", [4, 16])
@pytest.mark.parametrize("banks", [1, 2, 8])
def test_a_buffered_page_begins_a_hit_latency_after_its_request(banks, page_beats):
    result = run(reads(3), reads(3), flash=configuration(banks, page_beats))
    first = result.requests[1] + FlashChannel.hit_latency
    assert FlashChannel.hit_latency == 3
    assert result.beats[page_beats:] == list(range(first, first + page_beats))
    assert result.events == {"SENSES": 1, "HITS": 1, "PAGES": 2, "BEATS": 2 * page_beats}


@pytest.mark.parametrize(("banks", "page_beats"), [(1, 4), (2, 4), (2, 8), (4, 4), (8, 4)])
@pytest.mark.parametrize("sense_cycles", [3, 9, 33])
def test_every_beat_and_cycle_is_predicted_at_full_rate(banks, page_beats, sense_cycles):
    flash = configuration(banks, page_beats)
    plays = (random_reads(1, flash, 40), random_reads(2, flash, 25))
    result = run(*plays, flash=flash, sense_cycles=sense_cycles)
    assert result.events["HITS"] > 0


@pytest.mark.parametrize("share", [0.2, 0.6])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("banks", "sense_cycles"), [(1, 5), (2, 9), (4, 20), (4, 3)])
def test_every_beat_and_cycle_is_predicted_under_random_stalls(banks, sense_cycles, seed, share):
    flash = configuration(banks)
    plays = (random_reads(seed, flash, 30), random_reads(seed + 10, flash, 20))
    run(*plays, flash=flash, sense_cycles=sense_cycles, seed=seed, pacing=Pacing(seed, share))


@pytest.mark.parametrize("stream", STREAMS)
def test_one_stalled_stream_alone(stream):
    free = tuple(other for other in STREAMS if other != stream)
    run(random_reads(4, FLASH, 60), pacing=Pacing(4, 0.7, free))


def test_a_stalled_reader_holds_the_beats_and_not_the_bus():
    pages = 2 * FLASH.banks
    free = run((Read(0, pages),))
    slow = run((Read(0, pages),), pacing=Pacing(1, 0.8, ("requests",)))
    # Every buffer is filled whatever the reader does.
    assert slow.accesses == free.accesses
    assert slow.beats[-1] > free.beats[-1] + 4 * pages


def test_pages_beyond_the_channel_are_answered_with_errors_and_not_sensed():
    last = FLASH.pages - 1
    outside = (Read(FLASH.pages), Read(2 * FLASH.pages - 1, 3), Read(last), Read(FLASH.pages + 3))
    result = run(outside)
    assert result.events == {"SENSES": 1, "HITS": 0, "PAGES": 6, "BEATS": 6 * 4}
    # The first three pages need no bank.
    first = FlashChannel.hit_latency
    assert result.beats[:16] == list(range(first, first + 16))


def test_a_run_that_leaves_the_channel_goes_on_with_errors():
    result = run((Read(FLASH.pages - 2, 255),))
    assert result.events == {"SENSES": 2, "HITS": 0, "PAGES": 255, "BEATS": 255 * 4}


def test_a_third_page_evicts_the_older_of_two():
    banks = FLASH.banks
    a, b, c, d = (1 + banks * row for row in range(4))
    # c takes the buffer of a although a was read last; d that of b.
    result = run(reads(a, b, a, c, b, d, c, b, d))
    hits = "a b A c B d C b D"
    assert result.events["HITS"] == sum(letter.isupper() for letter in hits)
    assert result.events["SENSES"] == 5


def test_fresh_pages_are_sensed_again_and_leave_no_old_copy():
    banks = FLASH.banks
    a, b, c, d = (2 + banks * row for row in range(4))
    # Between plays all pages are rewritten; the scenario knows which copy must come.
    result = run(
        reads(a, b),
        reads(a, b),  # old copies
        # b lies in the younger buffer: its new copy goes to the other one.
        reads(b, b, fresh={0}),
        # The new copy hits; c takes the old one's buffer, d the new one's.
        reads(b, c, d),
        # Neither may be found any more.
        reads(b, a),
    )
    assert result.events["HITS"] == 2 + 1 + 1
    assert result.events["SENSES"] == 2 + 1 + 2 + 2


def test_a_fresh_page_is_sensed_even_while_its_old_copy_is_on_its_way():
    result = run(reads(5, 5, 5, 5, fresh={1, 3}))
    assert result.events["SENSES"] == 3
    assert result.events["HITS"] == 1


def test_a_hit_on_a_page_being_sensed_follows_it_without_a_gap():
    result = run(reads(5, 5, 5))
    first = FlashChannel.miss_latency + SENSE
    assert result.beats == list(range(first, first + 12))
    assert result.events["SENSES"] == 1


def test_a_hit_waits_for_a_miss_before_it():
    result = run(reads(1), reads(2, 1))
    miss = result.requests[1] + FlashChannel.miss_latency + SENSE
    assert result.beats[4:] == list(range(miss, miss + 8))


def test_banks_sense_at_the_same_time():
    result = run((Read(0, FLASH.banks),))
    first = FlashChannel.miss_latency + SENSE
    assert result.beats == list(range(first, first + 4 * FLASH.banks))


def test_senses_of_a_bank_are_in_order_and_a_tr_apart():
    banks = FLASH.banks
    addresses = [3 + banks * row for row in (5, 0, 7, 2, 6, 1)]
    result = run(reads(*addresses))
    assert [address // 4 for _, address in result.accesses] == addresses
    cycles = [cycle for cycle, _ in result.accesses]
    # The second sense goes out as the first is done, two cycles and tR after the request.
    assert cycles[0] == 2 + SENSE + 1
    assert cycles[1] == cycles[0] + SENSE


class Offered:
    """One page asked for, or none, and its beats taken or not; then the counters."""

    def __init__(self, pages, *, taken, cycles=200):
        self.recorder = Recorder(())
        self.given = (pages, taken, cycles)

    def __call__(self, step):
        pages, taken, cycles = self.given
        request = Packer(PageRequest((FLASH.pages - 1).bit_length())).pack({"pages": 1})
        memory = np.zeros(FLASH.pages * FLASH.page_bytes, np.uint8)
        with pytest.raises(StuckError):
            step(
                Play(
                    sources=[Source("requests", [request] * pages)],
                    sinks=[Sink("beats", 1000, stalls=np.array([not taken]))],
                    storages=[Storage("storage", memory, FLASH.beat_bytes)],
                    levels={"counting": 1},
                    limit=cycles,
                )
            )
        counts = read_counts(step, "cycles", ChannelCause)
        return {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize(
    ("given", "counts"),
    [
        # A request is looked up in the cycle after it came, sensed from the next one on; its
        # page is scheduled for two cycles, crosses, and is read two cycles behind.
        (Offered(1, taken=False), {"IDLE": 1, "BUFFERED": 1, "OUTPUT": 200 - 8 - SENSE}),
        (Offered(1, taken=True), {"IDLE": 1 + 200 - 10 - SENSE, "BUFFERED": 1 + 2}),
    ],
    ids=["no beat is taken", "every beat is taken"],
)
def test_a_stall_has_its_cause(given, counts):
    seen = play(ChannelBench(FLASH, SENSE), given)
    assert seen == {"SENSE": SENSE, "SCHEDULE": 2, "BUSY": 4, **counts}


def test_without_a_request_every_cycle_is_idle():
    class Nothing(Offered):
        def __call__(self, step):
            step(Play(levels={"counting": 1}, trailing=50))
            return read_counts(step, "cycles", ChannelCause)

    counts = play(ChannelBench(FLASH, SENSE), Nothing(0, taken=False))
    assert {name: count for name, count in counts.items() if count} == {"IDLE": 50}


@pytest.mark.parametrize("cycles", [1, 3, 25, 26, 27, 29, 32, 50])
def test_a_reset_in_the_middle_leaves_nothing_behind(cycles):
    plays = (random_reads(1, FLASH, 30),)
    cut = CutOff(ChannelReads(FLASH, SENSE, ((Read(0, 20),),), seed=2), cycles)
    after = play_after_reset(
        ChannelBench(FLASH, SENSE), cut, ChannelReads(FLASH, SENSE, plays, seed=1)
    )
    assert cut.recorder.cycles == cycles
    assert after == run(*plays, seed=1)


def utilisation(result, flash, warm_up, rounds):
    """Beats a cycle over whole rounds of the stripe."""
    first = warm_up * flash.banks * flash.page_beats
    beats = rounds * flash.banks * flash.page_beats
    return beats / (result.beats[first + beats] - result.beats[first])


def stream_of_pages(flash, rounds):
    """All pages of some rounds, a request for each page as a slice makes them."""
    return tuple(Read(address) for address in range(flash.banks * rounds))


@pytest.mark.parametrize(
    ("banks", "sense_cycles"),
    [
        *((banks, tr) for banks in (2, 4, 16) for tr in (4 * banks, 8 * banks - 1, 8 * banks)),
        *((banks, tr) for banks in (2, 4, 16) for tr in (8 * banks + 1, 12 * banks, 24 * banks)),
        *((64, tr) for tr in (256, 512, 768)),
    ],
)
def test_a_stream_reaches_the_bound_of_its_banks(banks, sense_cycles):
    flash = configuration(banks, page_beats=8, rows=16, beat_bytes=32)
    warm_up, rounds = 4, 5
    result = run(
        stream_of_pages(flash, warm_up + rounds + 1), flash=flash, sense_cycles=sense_cycles
    )
    bound = min(1, banks * 8 / sense_cycles)
    assert 0.99 <= utilisation(result, flash, warm_up, rounds) / bound <= 1.0001


@pytest.mark.parametrize("sense_cycles", [3, 6, 7, 8, 9, 12, 20])
def test_two_banks_of_the_shortest_pages_reach_it_too(sense_cycles):
    flash = configuration(2, page_beats=4, rows=32, beat_bytes=32)
    result = run(stream_of_pages(flash, 30), flash=flash, sense_cycles=sense_cycles)
    bound = min(1, 8 / sense_cycles)
    assert 0.99 <= utilisation(result, flash, 8, 20) / bound <= 1.0001


@pytest.mark.parametrize("page_beats", [8, 64])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1, 1.1, 1.5, 3])
def test_a_single_bank_is_bound_by_its_register_and_its_buffers_too(page_beats, share):
    sense_cycles = max(3, round(share * page_beats))
    flash = configuration(1, page_beats, rows=32, beat_bytes=32)
    result = run(stream_of_pages(flash, 20), flash=flash, sense_cycles=sense_cycles)
    page_cycles = max(sense_cycles, page_beats + 1, (sense_cycles + page_beats + 3) / 2)
    measured = utilisation(result, flash, 6, 12)
    assert measured == pytest.approx(page_beats / page_cycles, rel=1e-9)
    assert measured <= 1.0001 * min(1, page_beats / sense_cycles)


@pytest.mark.parametrize(
    ("banks", "sense_cycles", "expected"),
    # The presets of a full stack, and a tR that sixty-four banks hide.
    [(64, 6400, 0.64), (16, 6400, 0.16), (64, 4000, 1)],
)
def test_whole_channels_reach_the_bound(banks, sense_cycles, expected):
    flash = configuration(banks, page_beats=64, rows=16)
    scenario = ChannelReads(flash, sense_cycles, (stream_of_pages(flash, 6),))
    result = simulate(Design(ChannelBench, (flash, sense_cycles)), scenario, "native")
    assert 0.99 <= utilisation(result, flash, 2, 3) / expected <= 1.0001


def test_the_waveform_of_the_readme():
    recorder = Recorder(
        STREAMS,
        (
            *("requests__valid", "requests__ready", "storage__valid"),
            *("beats__valid", "beats__ready"),
        ),
    )
    flash = configuration(2)
    run(reads(0, 1, 0), flash=flash, sense_cycles=6, recorder=recorder)
    drawn = recorder.waveform(28)
    readme = (Path(neardecode.flash.__path__[0]) / "README.md").read_text()
    for line in drawn:
        assert f"    {line}\n" in readme
