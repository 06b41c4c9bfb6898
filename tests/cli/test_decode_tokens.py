"""``neardecode decode`` with a token decoder."""

import json

from neardecode_testbench.cli.changes import config_of


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


def test_keys_of_the_configuration_can_be_set(neardecode, tmp_path):
    file = tmp_path / "run.json"
    arguments = ("decode", "--config", "decoder-tiny", "--backend", "native", "--json", file)
    few = neardecode(*arguments, "--set", "decode.context=4", "--prompt", "Hel", "--tokens", "3")
    assert "do not fit the context of 4 tokens" in few.complaint
    enough = neardecode(*arguments, "--set", "decode.context=5", "--prompt", "Hel", "--tokens", "3")
    assert enough.status == 0, enough.err
    found = json.loads(file.read_text())
    assert found["set"] == ["decode.context=5"]
    assert config_of(found).decode.context == 5


def test_prompts_are_decoded_side_by_side(neardecode, tmp_path):
    """The simulator is that of `tests/decoder/test_sequences.py`."""
    file = tmp_path / "run.json"
    prompts = ("Hel", "Th", "Once ")
    result = neardecode(
        *("decode", "--config", "decoder-tiny", "--backend", "native"),
        *(part for prompt in prompts for part in ("--prompt", prompt)),
        *("--tokens", "2", "--json", file),
    )
    assert result.status == 0, result.err
    found = json.loads(file.read_text())
    assert [each["prompt"] for each in found["sequences"]] == list(prompts)
    assert all(len(each["tokens"]) == 2 for each in found["sequences"])
    assert found["tokens"] == found["sequences"][0]["tokens"]
    assert found["mismatches"] == 0
    assert found["positions"] == len("Once ") + 1
    assert 3 * found["cycles_a_token"] * found["positions"] == found["cycles"]


def test_more_prompts_than_a_decoder_has_room_for_are_refused(neardecode):
    result = neardecode("decode", "--config", "decoder-tiny", *(("--prompt", "a") * 9))
    assert result.status != 0
    assert "--prompt: 9 side by side: " in result.err
    assert result.err.count("\n") == 1


def test_a_model_that_the_hardware_is_too_small_for_is_one_line(neardecode):
    result = neardecode(
        *("decode", "--config", "decoder-tiny", "--backend", "native"),
        *("--model", "smollm2-135m", "--tokens", "2"),
    )
    assert result.status != 0
    assert "decoder.group must be 3 for this model, not 2" in result.err
    assert result.err.count("\n") == 1


def test_two_threads_decode_what_one_does(neardecode, tmp_path):
    """The simulators are those of `tests/drive/test_halves.py`."""
    found = []
    for threads in (1, 2):
        file = tmp_path / f"{threads}.json"
        result = neardecode(
            *("decode", "--config", "decoder-tiny", "--threads", threads),
            *("--prompt", "Hel", "--tokens", "2", "--json", file),
        )
        assert result.status == 0, result.err
        found.append(json.loads(file.read_text()))
    assert [each["threads"] for each in found] == [1, 2]
    for key in ("tokens", "cycles", "blocks", "events", "values_compared", "mismatches"):
        assert found[0][key] == found[1][key]


def test_threads_are_those_of_a_token_decoder(neardecode):
    result = neardecode("decode", "--config", "tiny", "--threads", "2")
    assert "--threads: only with a token decoder, not tiny" in result.complaint
    arguments = ("decode", "--config", "decoder-tiny", "--threads", "2")
    result = neardecode(*arguments, "--backend", "amaranth")
    assert "--threads 2: only on the native backend, and without --waves" in result.complaint
