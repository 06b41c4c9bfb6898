import json

import pytest


def test_projects_a_model(neardecode, tmp_path):
    path = tmp_path / "out.json"
    text = neardecode("project", "--context", "64", "--json", path).out
    results = json.loads(path.read_text())
    assert results["ratio"] < 1
    assert results["request"]["context"] == 64
    assert f"{results['cycles_a_token']:,.0f} cycles" in text
    assert results["tokens_a_second"] * results["cycles_a_token"] == pytest.approx(1.6e9)
    assert results["energy_a_token"]["low"] < results["energy_a_token"]["high"]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--model", "nothing"], "neither a model"),
        (["--weights", "fp7"], "--weights must be one of"),
        (["--set", "flash.channels = 99"], "flash.channels"),
        (["--chips", "64"], "64 chips are more than the 18 blocks"),
        (["--validate", "--points", "0"], "--points"),
        (["--json", "/no/such/folder/x.json"], "its folder does not exist"),
    ],
)
def test_refuses_in_one_line(neardecode, options, what):
    assert what in neardecode("project", *options).complaint
