import json

import pytest


def test_every_flit_arrives_under_faults(neardecode):
    result = neardecode(
        *("bench", "link", "--flits", 2000, "--payload-bits", 16, "--errors", "1e-3"),
        *("--bursts", "1e-3", "--dead-lanes", 1, "--json", "-"),
    )
    assert (result.status, result.err) == (0, "")
    numbers = json.loads(result.out)
    assert (numbers["flits"], numbers["wrong"], numbers["surplus"]) == (2000, 0, 0)
    assert numbers["passed"]
    assert not numbers["failed"]
    assert numbers["events"]["REPLAYS"] > 0
    assert numbers["flits_a_cycle"] == 2000 / numbers["cycles"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--errors", "nan"), "--errors must be from 0 to below 0.0256"),
        (("--errors", "0.5"), "--errors must be from 0 to below"),
        (("--bursts", "-1"), "--bursts must be from 0 to below 0.5, not -1"),
        (("--outages", "inf"), "--outages must be from 0 to below 0.5, not inf"),
        (("--window", "12"), "window must be a power of two, not 12"),
        (("--checksum-bits", "8"), "checksum_bits"),
        (("--json", "/nowhere/f.json"), "its folder does not exist"),
    ],
)
def test_what_cannot_be_is_refused(neardecode, options, complaint):
    result = neardecode("bench", "link", *options)
    assert complaint in result.complaint
    assert result.out == ""
