import os
from dataclasses import replace

import pytest

from neardecode.config import PRESETS, ConfigError
from neardecode_testbench.experiments.costs import USD_A_GB, memory_usd, tsv_mm2
from neardecode_testbench.experiments.pareto import pareto_front
from neardecode_testbench.experiments.points import evaluate, read_spec
from neardecode_testbench.experiments.runners import on_processes
from neardecode_testbench.experiments.store import read_rows, write_rows
from neardecode_testbench.model.shapes import Shape

SMALL = Shape("small", 2, 128, 4, 2, 64, 256, 256)
SPEC = """
model = "smollm2-135m"
config = ["decoder-tiny"]
context = [64, 128]
[axes]
"flash.sense_ns" = [50.0, 100.0]
decoder.prefetch = [1, 4]
"""


@pytest.fixture
def points(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(SPEC)
    return read_spec(path)


def test_a_point_is_one_choice_of_each(points):
    assert len(points) == len({point.key for point in points}) == 8
    assert dict(points[-1].values) == {
        "model": "smollm2-135m",
        "config": "decoder-tiny",
        "chips": 1,
        "context": 128,
        "flash.sense_ns": 100.0,
        "decoder.prefetch": 4,
    }


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("colour = 1", "colour is not known"),
        ("model = []", "model has no value"),
        ("= 1", "not TOML"),
        ('model = "nothing"', "neither a model"),
        (f"context = {list(range(1, 400))}\naxes.a = {list(range(400))}", "more than 100,000"),
    ],
)
def test_a_wrong_specification_is_refused_in_one_line(tmp_path, text, what):
    path = tmp_path / "spec.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=what):
        read_spec(path)


def test_a_point_that_cannot_be_says_why(points):
    row = evaluate(replace(points[0], changes=(("flash.channels", 99),)))
    assert "flash.channels" in row["error"]
    assert row["key"]


class Bomb:
    """Ends the process that it is unpacked in."""

    def __reduce__(self):
        return os._exit, (1,)


def test_a_process_that_dies_loses_no_other_point(points):
    small = [replace(point, shape=SMALL) for point in points[:3]]
    small[1] = replace(small[1], values=(("bomb", Bomb()),))
    rows = {row["key"]: row for row in on_processes(small, 1)}
    assert [rows[point.key]["error"] for point in small] == [
        None,
        "its process died 3 times",
        None,
    ]


def test_rows_are_kept_in_order_with_what_failed(tmp_path):
    path = tmp_path / "rows.parquet"
    assert read_rows(path) == []
    rows = [{"key": "b", "x": 1.5, "error": None}, {"key": "a", "error": "no"}]
    write_rows(path, rows, ["a", "b"])
    assert read_rows(path) == [
        {"key": "a", "error": "no", "x": None},
        {"key": "b", "error": None, "x": 1.5},
    ]


def test_what_is_no_parquet_is_refused(tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_text("no")
    with pytest.raises(ConfigError, match="no results of a sweep"):
        read_rows(path)


def test_the_front_is_what_no_other_beats():
    rows = [
        {"tokens_a_second": speed, "joules": joules}
        for speed, joules in ((10, 1), (20, 2), (15, 3), (20, 2), (5, 1))
    ]
    assert pareto_front(rows, ["tokens_a_second", "joules"]) == [0, 1, 3]


def test_prices_and_areas_have_their_range_in_order():
    for low, middle, high in USD_A_GB.values():
        assert 0 < low < middle < high
    config = PRESETS["decoder-demo"]
    for of_config in (memory_usd, tsv_mm2):
        low, middle, high = of_config(config, 1)
        assert 0 < low < middle < high
        assert of_config(config, 2)[1] == pytest.approx(2 * middle)
