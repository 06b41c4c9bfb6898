"""A slice behind a memory that gives less than a beat a cycle takes all that it gives."""

import pytest
from tests.compute.test_mac_slice import configuration

from neardecode_testbench.devices.page_memory import QUEUED_BEATS
from neardecode_testbench.scenarios.blocks.mac_numbers import Job
from neardecode_testbench.scenarios.mac_load import SliceLoad, measure_slice


@pytest.mark.parametrize("rate", [1, 5, 11, 15, 16])
def test_a_slice_takes_every_beat_at_the_rate_of_its_memory(rate):
    jobs = (Job(20, 4), Job(9, 6), Job(30, 4))
    measured = measure_slice(SliceLoad(configuration(), jobs, rate), "amaranth")
    assert measured.beats == 8 * (6 + 4 + 9)
    # Between the first beat and the last all others come, but those that waited at the start.
    due = (measured.beats - 1) * 16 / rate
    assert due - QUEUED_BEATS * 16 / rate <= measured.window <= due + 2
    assert 0.95 <= measured.utilisation <= 1
    assert measured.cycles["RESULTS"] == measured.cycles["CLOCK"] == 0
