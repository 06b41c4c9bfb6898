"""New keys and values: every write, its cycle, and where a row lies, against numpy."""

import numpy as np
import pytest

from neardecode.attention.append import KvAppender
from neardecode.config import KvMap, load
from neardecode_testbench.benches.amaranth_sim import play, play_after_reset
from neardecode_testbench.benches.kv_append import ADDRESS_BITS, CONFIG, some_rows
from neardecode_testbench.reference.kv_image import kv_place
from neardecode_testbench.scenarios.blocks.edge import CutOff, Held, Pacing
from neardecode_testbench.scenarios.blocks.kv_append import AppendedRows


def appender():
    return KvAppender(CONFIG, ADDRESS_BITS)


def test_rows_are_written_at_full_rate():
    cycles = play(appender(), some_rows(3))
    # Two beats of one block each, their scales behind them: three cycles a beat.
    assert len(cycles) == 4 * 60
    assert np.diff(cycles).tolist() == [1, 2] * (len(cycles) // 2 - 1) + [1]


@pytest.mark.parametrize("seed", range(1, 7))
def test_random_stalls_change_no_write(seed):
    play(appender(), some_rows(seed, Pacing(seed, 0.15 * seed)))


def test_a_write_that_is_not_taken_holds_the_next_block():
    held = Held(cycles={"writes": range(40, 55), "blocks": range(80, 90)})
    play(appender(), some_rows(4, held))


@pytest.mark.parametrize("cycles", [3, 4, 5, 7, 20])
def test_nothing_is_left_of_what_a_reset_cut_off(cycles):
    play_after_reset(appender(), CutOff(some_rows(5), cycles), some_rows(6))


@pytest.mark.parametrize("head_size", [64, 128])
def test_rows_of_the_presets_are_written(head_size):
    config = load("stack").attending(3, head_size)
    rows = AppendedRows(config, 18, 3, 512, [(2, 1, True, row) for row in (0, 1, 61, 62, 511)])
    play(KvAppender(config, 18), rows)


def test_the_map_places_rows_where_the_reference_does():
    for config, heads, size, rows in (
        (CONFIG, 2, 64, 33),
        (load("stack").attending(3, 64), 3, 64, 512),
        (load("stack").attending(8, 128), 8, 128, 100),
    ):
        map_ = KvMap(config.kv_layout, size, heads, rows)
        for where in ((0, 0, False, 0), (1, heads - 1, True, rows - 1), (4, 1, False, rows // 2)):
            beats = map_.beats_a_row
            assert map_.place(*where) == kv_place(config.kv_layout, beats, heads, rows, where)
