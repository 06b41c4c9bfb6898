"""The model against the RTL on configurations drawn by chance: a few points of one small build."""

import json

import pytest

from neardecode_testbench.experiments.dealt import CONTEXTS, TIMES_US
from neardecode_testbench.experiments.validation import Validation, measure, validate
from neardecode_testbench.experiments.validation_heads import HEAD_RANGES, MeasuredHeads
from neardecode_testbench.experiments.validation_points import draw
from neardecode_testbench.experiments.validation_tokens import RANGES, Board, MeasuredTokens
from neardecode_testbench.model.shapes import Shape

SMALL = Board(
    (
        *(("banks", 8), ("channels", 1), ("chips", 1), ("lanes", 8), ("vaults", 1)),
        *(("page_bytes", 1024), ("head_elements", 64), ("group", 2), ("prefetch", 2)),
        *(("link_latency", 1), ("chip_link_latency", 1), ("block_format", "Q8_0")),
        ("split", "context"),
    )
)
SHAPE = Shape("random", 2, 128, 2, 1, 64, 96, 300)
ROW = {"failed": None, "error": 0.0}


def test_a_few_points_of_one_build_are_within_the_limits():
    points = [
        MeasuredTokens(SMALL, sense, context, SHAPE)
        for sense, context in ((1.0, 700), (6.5, 16), (20.0, 129))
    ]
    result = Validation(1, tuple(validate(points, 1)))
    assert result.failed == []
    assert result.holds, result.table()


HEADS = (("banks", 8), ("page_bytes", 1024), ("head_elements", 64), ("group", 2))


@pytest.mark.parametrize("ahead", [2, 16])
def test_heads_in_flash_take_as_many_cycles_as_the_model_says(ahead):
    board = (*HEADS, ("tiles_ahead", ahead))
    points = [
        MeasuredHeads(board, sense, context, kv_heads, layers)
        for sense, context, kv_heads, layers in (
            *((1.0, 700, 2, 3), (6.5, 16, 3, 2)),
            *((20.0, 129, 1, 3), (3.3, 500, 2, 2)),
        )
    ]
    rows = list(validate(points, 1))
    assert [row["failed"] for row in rows] == [None] * 4
    assert [row["model"] for row in rows] == [row["rtl"] for row in rows]


@pytest.mark.parametrize("seed", range(5))
def test_ends_of_all_ranges_are_drawn(seed):
    points = draw(seed, 60)
    assert len(points) == 60
    tokens = [point for point in points if isinstance(point, MeasuredTokens)]
    heads = [point for point in points if isinstance(point, MeasuredHeads)]
    assert (len(tokens), len(heads)) == (48, 12)
    for name in ("banks", "channels", "chips", "lanes", "page_bytes", "prefetch"):
        drawn = {point.board[name] for point in tokens}
        assert {RANGES[name][0], RANGES[name][-1]} <= drawn
    for name, values in HEAD_RANGES.items():
        assert {values[0], values[-1]} <= {point[name] for point in heads}
    for each in (tokens, heads):
        assert {point.sense_us for point in each} >= set(TIMES_US)
        assert {point.context for point in each} >= set(CONTEXTS)
    for point in tokens:
        assert point.config.chips == point.board["chips"]


def test_a_seed_draws_the_same_points_and_another_draws_others():
    assert draw(3, 10) == draw(3, 10)
    assert draw(3, 10) != draw(4, 10)


def test_a_point_that_cannot_be_is_a_row_with_its_reason():
    none = Board(tuple({**dict(SMALL.values), "channels": 0}.items()))
    row = measure(MeasuredTokens(none, 1.0, 16, SHAPE))
    assert "flash" in row["failed"]
    assert row["rtl"] is None
    result = Validation(1, (row, {**row, **ROW}))
    assert not result.holds
    assert result.mean_error == 0.0
    assert json.loads(json.dumps(result.table()))["failed"] == 1


def test_limits_are_of_the_mean_and_of_the_worst():
    def of(*errors: float) -> Validation:
        return Validation(1, tuple({**ROW, "error": error} for error in errors))

    assert of(0.0, 0.001).holds
    assert not of(0.0, 0.0, 0.0, 0.0, 0.0, 0.011).holds
    assert not of(0.003, 0.003).holds
    assert not Validation(1, ()).holds
