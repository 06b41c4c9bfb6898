"""A slice beside its memory and across the stack's edge: the same values, other cycles."""

from functools import cache

import pytest

from neardecode.config import PRESETS, BlockFormat, Compute, Config, Fabric, Flash, OffStack
from neardecode_testbench.devices.board import Board
from neardecode_testbench.drive import native
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.mac_numbers import Job
from neardecode_testbench.scenarios.decode import DecodeScenario
from neardecode_testbench.scenarios.model import ModelSource
from neardecode_testbench.scenarios.near_load import NearLoad, measure_near

JOBS = (
    Job(9, 2),
    Job(12, 2, sums=True),
    Job(14, 1, page_rows=7, selection=frozenset({1})),
    Job(5, 6, format=BlockFormat.Q4_1),
    Job(7, 2, sums=True, deliver=False),
    Job(6, 2, sums=True, keep=True),
    Job(8, 4),
)
"""Every mode, both widths of elements, pages that are not read."""


def configuration(near_memory, pins, **compute):
    return Config(
        flash=Flash(
            channels=1, dies=1, banks_a_die=4, page_bytes=256, beat_bytes=32, pages_a_bank=16
        ),
        fabric=Fabric(payload_bits=256),
        compute=Compute(
            **{
                "formats": ("Q4_1", "MXINT8"),
                "head_elements": 64,
                "selection": True,
                "blocks_a_row": 32,
                "rows": 128,
                "near_memory": near_memory,
                **compute,
            }
        ),
        # Four bits a pin and cycle.
        off_stack=OffStack(pins=pins),
    )


@cache
def measured(near_memory, pins, divider=1, seed=1):
    config = configuration(near_memory, pins, clock_divider=divider)
    return measure_near(NearLoad(config, JOBS, seed), "amaranth")


@pytest.mark.parametrize(
    ("near_memory", "pins", "divider"),
    [(True, 64, 1), (True, 64, 4), (True, 16, 1), (False, 16, 1), (False, 64, 1)],
)
def test_values_are_the_same_on_both_sides_of_the_edge(near_memory, pins, divider):
    # The load itself compares every value, and accounts for every cycle and every byte.
    result = measured(near_memory, pins, divider)
    assert result.values == 9 + 64 + 7 + 5 + 64 + 8
    assert result.cycles >= result.bound


@pytest.mark.parametrize("pins", [16, 64])
def test_every_beat_crosses_where_the_slice_lies_outside(pins):
    result = measured(False, pins)
    assert result.bytes_out == 32 * result.beats
    # A request for each page, of a 7 bit address, a count, a flag and a tag.
    assert result.bytes_in == result.beats // 8 * 4


def test_a_wide_edge_costs_nothing_but_its_latency():
    near, far = measured(True, 64), measured(False, 64)
    assert abs(far.cycles - near.cycles) < 4 * 10 * len(JOBS)
    assert far.bytes_out > 2 * near.bytes_out


def test_a_narrow_edge_is_the_limit_of_a_slice_outside():
    far = measured(False, 16)
    assert far.limit == "pins"
    assert 4 * (far.beats - 8) < far.bound <= far.cycles < 1.05 * far.bound
    assert far.bound <= far.pins["BUSY"] < 1.05 * far.bound
    # What it takes more than with pins enough is waiting for its memory, but for the overlap.
    wide = measured(False, 64)
    more = {cause: far.causes[cause] - wide.causes[cause] for cause in far.causes}
    assert sum(more.values()) == far.cycles - wide.cycles
    assert more["MEMORY"] >= far.cycles - wide.cycles


def test_a_slower_clock_beside_the_memory_is_a_cause_of_its_own():
    fast, slow = measured(True, 64), measured(True, 64, 4)
    assert slow.limit == "slice"
    assert fast.causes["CLOCK"] == 0
    assert slow.causes["CLOCK"] > 2 * slow.beats


def test_the_share_of_a_port_is_whole_bits_and_at_least_one():
    assert configuration(True, 16).off_stack_bits == 64
    assert PRESETS["hbf16"].off_stack_bits == 1024 * 4 // 16
    with pytest.raises(ValueError, match="must carry a bit a cycle for each of 1 memory ports"):
        Config(off_stack=OffStack(pins=1, pin_gbit_s=1.0))


def test_a_chip_decodes_the_same_with_its_slices_outside():
    tables = PRESETS["tiny"].model_dump()
    tables["compute"]["near_memory"] = False
    tables["off_stack"]["pins"] = 64
    config = Config.model_validate(tables)
    scenario = DecodeScenario(config, ModelSource(), list(b"n"), 1)
    decoded = native.run(Design(Board, (config,)), scenario, waves=None, wave_cycles=0)
    assert decoded.mismatches == decoded.errors == 0
