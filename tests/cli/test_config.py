import json
import tomllib

import pytest

from neardecode.config import PRESETS, dumps


@pytest.mark.parametrize("name", PRESETS)
def test_show_prints_toml_that_gives_the_same_configuration(neardecode, tmp_path, name):
    result = neardecode("config", "show", name)
    assert (result.status, result.err) == (0, "")
    assert result.out == dumps(PRESETS[name])
    path = tmp_path / "mine.toml"
    path.write_text(result.out)
    assert neardecode("config", "show", path).out == result.out


def test_show_as_json_has_every_key_and_what_follows(neardecode):
    result = neardecode("config", "show", "hbf16", "--json", "-")
    shown = json.loads(result.out)
    assert shown.pop("derived") == {
        "bandwidth_gbs": pytest.approx(1638.4),
        "capacity_gib": 512.0,
        "sense_cycles": 6400,
        "utilisation_bound": pytest.approx(0.64),
    }
    assert shown == tomllib.loads(dumps(PRESETS["hbf16"]))


def test_show_writes_json_to_a_file(neardecode, tmp_path):
    path = tmp_path / "c.json"
    result = neardecode("config", "show", "tiny", "--json", path)
    assert (result.status, result.out) == (0, "")
    assert json.loads(path.read_text())["flash"]["channels"] == 2


def test_check_says_what_follows(neardecode):
    result = neardecode("config", "check", "hbf16")
    assert (result.status, result.err) == (0, "")
    assert result.out == (
        "hbf16: valid; 1638.4 GB/s, 512 GiB, tR 6400 cycles, a read stream fills at most 64.0% of"
        " the bus\n"
    )


def test_check_as_json_is_alone(neardecode):
    checked = json.loads(neardecode("config", "check", "tiny", "--json", "-").out)
    assert checked["source"] == "tiny"
    assert checked["valid"] is True
    assert checked["sense_cycles"] == 80
