"""What is measured of a flash channel's stream, and when a measurement is refused."""

import pytest

from neardecode.config import Config, Flash
from neardecode_testbench.scenarios.flash_stream import FlashStream, stream_measure

CONFIG = Config(
    clock_ghz=1.0,
    flash=Flash(channels=1, dies=1, banks_a_die=2, pages_a_bank=64, sense_ns=256.0),
)
"""Two banks of 64 beats a page and 256 cycles a sense: half of the bus."""
ROUNDS = {"warmup": 1, "rounds": 2}
BEATS = 4 * 2 * 64


def measured(cycles, *, total=1000, stalls=None, **options):
    causes = {"BUSY": BEATS, "SENSE": 1000 - BEATS} if stalls is None else stalls
    return stream_measure(CONFIG, cycles, total, causes, **ROUNDS, **options)


def test_whole_rounds_after_the_warm_up_are_measured():
    one = measured([2 * beat for beat in range(BEATS)])
    assert (one.utilisation, one.bound, one.ratio) == (0.5, 0.5, 1.0)
    assert one.cycles == 2 * 2 * 2 * 64
    assert one.total_cycles == 1000


def test_a_stream_faster_than_its_bound_is_an_error_of_measurement():
    # One cycle of 512 less than the bound allows.
    cycles = [2 * beat - (beat >= 3 * 128) for beat in range(BEATS)]
    with pytest.raises(ValueError, match=r"measured 1.00195\d of the bound, which cannot be"):
        measured(cycles)
    assert measured(cycles, bounded=False).ratio > 1.0001


def test_every_cycle_has_one_cause():
    with pytest.raises(ValueError, match="999 cycles have a cause, of 1000"):
        measured([2 * beat for beat in range(BEATS)], stalls={"BUSY": 512, "SENSE": 487})


def test_the_patterns_ask_for_as_many_pages_as_are_measured():
    for pattern in ("sequential", "weights", "random"):
        runs = FlashStream(CONFIG, pattern, **ROUNDS).requests()
        assert sum(pages for _, pages in runs) == 2 * (1 + 2 + 1)
