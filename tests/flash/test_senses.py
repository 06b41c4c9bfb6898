"""A bank senses one page at a time, and a page stays buffered as long as somebody reads it."""

import pytest

from neardecode.config import Flash
from neardecode_testbench.drive.prove import prove
from neardecode_testbench.scenarios.properties.senses import (
    SenseSchedulerProperties,
    SensesProperties,
)


@pytest.mark.parametrize("banks", [1, 2, 16, 64])
def test_a_bank_never_has_two_senses_in_flight(banks):
    assert prove(SenseSchedulerProperties(banks), 2).mode == "prove"


def test_every_bank_senses_at_the_same_time():
    assert prove(SenseSchedulerProperties(4), 6, "cover").mode == "cover"


def test_no_sequence_of_nine_cycles_takes_a_page_from_its_readers():
    config = Flash(dies=1, banks_a_die=2, page_bytes=1024, pages_a_bank=8)
    assert prove(SensesProperties(config, 2), 9, "bmc").depth == 9
