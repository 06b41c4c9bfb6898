import json

import pytest
from tests.cli.conftest import SMALL

from neardecode_testbench.model.shapes import SHAPES, Shape

PROJECT = ("project", "--config", "decoder-tiny", "--context", "64")
MAC = ("bench", "mac", "--config", "tiny", "--mode", "accumulate", "--rows", "64")
RTL = ("--backend", "amaranth")
RUNS = {
    "prefetch window": (
        *PROJECT,
        *("--set", "decoder.prefetch = 1"),
        *("--set", "flash.sense_ns = 600.0", "--set", "flash.banks_a_die = 64"),
    ),
    "heat": (*MAC, "--throttle", "8", *RTL),
    "TSV bandwidth": (
        *(*PROJECT[:-1], "1000"),
        *("--set", "stack.vaults = 1", "--set", "stack.banks_a_group = 8"),
    ),
    "irregular sparsity": (*MAC, "--pattern", "random-pages", "--share", "0.25", *RTL),
    "fabric": (*PROJECT, "--chips", "2", "--hop-ns", "5000"),
}
"""Commands by what limits what they run."""


@pytest.fixture
def model(in_folder):
    path = in_folder / "config.json"
    path.write_text(json.dumps(SMALL))
    return path


@pytest.mark.parametrize("limit", RUNS)
def test_names_what_limits_a_run(neardecode, model, limit):
    command = RUNS[limit]
    given = ("--model", model) if command[0] == "project" else ()
    assert neardecode(*command, *given, "--json", "run.json").err == ""
    told_path = model.with_name("told.json")
    result = neardecode("explain", "run.json", "--jobs", "1", "--json", told_path)
    assert result.err == ""
    assert result.out.startswith(f"Limited by {limit}: ")
    told = json.loads(told_path.read_text())
    assert told["limit"] == limit
    assert not told["at_bound"]
    if command[0] == "project":
        assert told["changes"][0]["gain"] > 0
        assert sum(cost["cycles"] for cost in told["costs"]) == pytest.approx(told["cycles"])


def test_explains_a_decode(neardecode, in_folder):
    blocks = {
        "flash0": {"busy": 64, "stalls": {"sense": 320, "idle": 72}},
        "slice0": {"busy": 12, "stalls": {"memory": 331, "idle": 113}},
    }
    run = {
        "blocks": blocks,
        "events": {},
        "positions": 1,
        "cycles": 456,
        "flash": {"utilisation": 64 / 456, "bound": 0.8},
    }
    (in_folder / "run.json").write_text(json.dumps(run))
    assert neardecode("explain", "run.json").out.startswith("Limited by tR and banks: ")


@pytest.mark.parametrize(
    ("text", "what"),
    [("{", "is not what a command wrote"), ("{}", "no command that is explained")],
)
def test_refuses_in_one_line(neardecode, in_folder, text, what):
    (in_folder / "run.json").write_text(text)
    assert what in neardecode("explain", "run.json").complaint


def test_needs_a_run_or_questions(neardecode):
    assert "give a RUN" in neardecode("explain").complaint


def test_a_decode_of_a_known_model_is_told_by_the_model_and_by_counters(
    neardecode, in_folder, monkeypatch
):
    shape = Shape("small", 2, 128, 4, 2, 64, 256, 256)
    monkeypatch.setitem(SHAPES, "small", shape)
    cycles = 10_000
    run = {
        "model": "small",
        "config": "decoder-tiny",
        "chips": 1,
        "positions": 2,
        "steps": [{}, {}],
        "cycles": cycles,
        "cycles_a_token": cycles / 2,
        "ratio": 0.8,
        "blocks": {"attention0": {"busy": 1000, "stalls": {"pace": 9000}}},
        "events": {"vault0": {"throttled": 4000}},
        "flash": {"utilisation": 0.5, "bound": 0.8},
    }
    (in_folder / "run.json").write_text(json.dumps(run))
    result = neardecode("explain", "run.json", "--jobs", "1", "--json", "told.json")
    assert result.err == ""
    assert result.out.startswith("Limited by heat: ")
    told = json.loads((in_folder / "told.json").read_text())
    assert told["costs"][0]["cycles"] == 4500
    assert told["cycles"] == 5000
    assert any(cost["limit"] == "flash buses" for cost in told["costs"])
    assert told["changes"]
