import json

import pytest


def test_in_the_network_two_nodes_take_a_cycle_a_word_and_the_way(neardecode):
    result = neardecode(
        *("bench", "allreduce", "--nodes", 2, "--bytes", 256),
        *("--algorithm", "network", "--json", "-"),
    )
    assert (result.status, result.err) == (0, "")
    (run,) = json.loads(result.out)["runs"]
    assert run["cycles"] == 32 + 2 * 1 * 2 + 2
    assert run["bound"] == 32 + 2
    assert run["ratio"] == run["bound"] / run["cycles"]


def test_at_the_ends_sums_take_longer_than_in_the_network_and_than_their_bound(neardecode):
    result = neardecode("bench", "allreduce", "--nodes", 2, "--bytes", 256, "--json", "-")
    assert (result.status, result.err) == (0, "")
    runs = {run["algorithm"]: run for run in json.loads(result.out)["runs"]}
    assert list(runs) == ["network", "ring", "doubling"]
    for run in runs.values():
        assert run["bound"] <= run["cycles"]
    assert runs["network"]["cycles"] < min(runs["ring"]["cycles"], runs["doubling"]["cycles"])


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--nodes", 3), "--nodes must be 2, 4, 8 or 16, not 3"),
        (("--nodes", 0), "--nodes must be 2, 4, 8 or 16, not 0"),
        (("--nodes", 4, "--bytes", 40), "--bytes must be a multiple of 32 for 4 nodes, not 40"),
        (("--json", "/nowhere/f.json"), "its folder does not exist"),
    ],
)
def test_what_cannot_be_is_refused(neardecode, options, complaint):
    result = neardecode("bench", "allreduce", *options)
    assert complaint in result.complaint
    assert result.out == ""
