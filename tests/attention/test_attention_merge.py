"""The merge by itself: every word against the integer reference, and its cycle."""

import pytest

from neardecode.attention.merge import AttentionMerge
from neardecode_testbench.benches.amaranth_sim import Bench
from neardecode_testbench.benches.attention_merge import CONFIG, PARTS, some_parts
from neardecode_testbench.scenarios.blocks.edge import CutOff, Held, Pacing


@pytest.fixture(scope="module")
def merge():
    return Bench(AttentionMerge(CONFIG, PARTS))


@pytest.mark.parametrize("used", [1, 2, 3])
def test_a_command_takes_its_parts_times_two_more_than_its_elements(merge, used):
    size = CONFIG.compute.head_elements
    words = merge.play(some_parts((used, used)))
    assert words[size] - words[0] == used * (size + 2)
    assert words[size - 1] + 1 == used * (size + 2) + 4


@pytest.mark.parametrize("seed", range(6))
def test_every_word_is_the_reference_s(merge, seed):
    merge.play(some_parts(seed=seed))


@pytest.mark.parametrize("seed", range(1, 7))
def test_words_of_parts_that_come_late_come_in_their_cycle(merge, seed):
    pacing = Pacing(seed, 0.12 * seed, free=("words",))
    merge.play(some_parts((1, 3, 2, 2), seed, pacing))


@pytest.mark.parametrize("seed", range(1, 5))
def test_random_stalls_change_no_word(merge, seed):
    merge.play(some_parts((2, 3, 1), seed, Pacing(seed, 0.2 * seed)))


def test_a_word_that_is_not_taken_holds_all_that_come(merge):
    merge.play(some_parts((1, 1, 2), 3, Held(cycles={"words": range(5, 90)})))


@pytest.mark.parametrize("cycles", [1, 4, 9, 60])
def test_nothing_is_left_of_what_a_reset_cut_off(merge, cycles):
    merge.play(CutOff(some_parts(), cycles), some_parts((2, 1), 5))


@pytest.mark.parametrize("parts", [0, 1.5])
def test_refuses_fewer_parts_than_one(parts):
    with pytest.raises(ValueError, match="parts must be a positive integer"):
        AttentionMerge(CONFIG, parts)
