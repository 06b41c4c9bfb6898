"""``neardecode decode`` with a token decoder."""

import json


def test_the_command_says_that_the_host_computed_nothing(neardecode, tmp_path):
    file = tmp_path / "run.json"
    result = neardecode(
        *("decode", "--config", "decoder-tiny", "--backend", "native"),
        *("--prompt", "Hel", "--tokens", "3", "--json", file),
    )
    assert result.status == 0, result.err
    found = json.loads(file.read_text())
    assert found["host_arithmetic"] is False
    assert found["mismatches"] == 0
    assert len(found["tokens"]) == 3
    assert found["positions"] == 5


def test_a_model_that_the_hardware_is_too_small_for_is_one_line(neardecode):
    result = neardecode(
        *("decode", "--config", "decoder-tiny", "--backend", "native"),
        *("--model", "smollm2-135m", "--tokens", "2"),
    )
    assert result.status != 0
    assert "decoder.group must be 3 for this model, not 2" in result.err
    assert result.err.count("\n") == 1
