import json

import pytest

SMALL = ("--topology", "line", "--size", 2)


def measured(neardecode, *options):
    result = neardecode("bench", "fabric", *options, "--json", "-")
    assert (result.status, result.err) == (0, "")
    return json.loads(result.out)


def test_numbers_are_written_as_json(neardecode):
    numbers = measured(neardecode, *SMALL, "--load", 0.2, "--packet", 2)
    assert numbers["offered"] == pytest.approx(0.2, abs=0.02)
    assert numbers["accepted"] == pytest.approx(0.2, abs=0.02)
    # Half of the packets go a hop, and the tail comes a cycle after the head.
    assert numbers["zero_load_latency"] == 1.5 * 2 + 1 + 1
    assert numbers["hops_mean"] == pytest.approx(0.5, abs=0.05)
    assert numbers["latency_mean"] >= numbers["zero_load_latency"] - 0.1
    assert numbers["latency_p50"] <= numbers["latency_p99"] <= numbers["latency_max"]
    assert numbers["missing"] == 0
    assert 0.5 < numbers["saturation"] <= 1
    assert numbers["cycles_a_second"] > 0


def test_the_hot_share_goes_to_the_middle(neardecode):
    few, all_ = (
        measured(neardecode, *SMALL, "--pattern", "hotspot", "--hot-share", share)["saturation"]
        for share in (0.01, 1)
    )
    # One of two nodes takes a flit a cycle.
    assert all_ == pytest.approx(0.5, abs=0.01)
    assert few > 0.6


def test_tokens_and_bulk_are_told_apart(neardecode):
    numbers = measured(neardecode, *SMALL, "--token-share", 0.25, "--load", 0.4)
    assert numbers["token"]["accepted"] == pytest.approx(0.1, abs=0.02)
    assert numbers["bulk"]["accepted"] == pytest.approx(0.3, abs=0.03)
    assert numbers["token"]["latency_mean"] < numbers["bulk"]["latency_mean"]


def test_a_sweep_draws_its_curve(neardecode, in_folder):
    numbers = measured(
        neardecode, *SMALL, "--load", 0.4, "--sweep", "--plot", "c.png", "--plot", "c.svg"
    )
    assert len(numbers["sweep"]) == 20
    assert [run["load"] for run in numbers["sweep"]][-1] == 0.4
    assert (in_folder / "c.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (in_folder / "c.svg").read_bytes()


def test_the_bound_of_tokens_is_held(neardecode):
    numbers = measured(neardecode, *SMALL, "--guarantee", "--seeds", 4, "--flits", 2000)
    assert numbers["token_flits"] >= 2000
    assert numbers["missing"] == 0
    assert 0 < numbers["worst"] <= numbers["bound"]
    assert numbers["share"] >= numbers["worst_adversarial"] / numbers["bound"]


def test_every_flit_of_a_soak_is_compared(neardecode):
    assert measured(neardecode, *SMALL, "--soak", 3000)["flits"] >= 3000


def test_routers_are_proved(neardecode):
    numbers = measured(neardecode, *SMALL, "--vcs", 1, "--depth", 1, "--prove")
    assert [router["inputs"] for router in numbers["routers"]] == [[0, 1], [0, 2]]
    assert all(router["bounded_wait"] for router in numbers["routers"])


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--size", "4"), "--size: a mesh has 2 numbers, not '4'"),
        (("--size", "4xa"), "--size: '4xa' is not like 4x4 or 8"),
        (("--size", "17x2"), "--size: at most 16 routers in a row, not 17"),
        (("--size", "1x4"), "sizes must be one or two numbers of at least 2"),
        (("--topology", "torus", "--vcs", 3), "a torus needs an even number of virtual channels"),
        (("--vcs", 1, "--token-share", 0.5), "--vcs: tokens and bulk need a multiple of 1"),
        (("--size", "4x2", "--pattern", "transpose"), "transpose needs a square, not 4x2"),
        (("--size", "3x2", "--pattern", "allreduce"), "allreduce needs a power of two of nodes"),
        (("--plot", "c.svg"), "--plot draws the curve of --sweep, which was not asked for"),
        (("--sweep", "--plot", "c.pdf"), "--plot: c.pdf does not end in .png or .svg"),
        (("--topology", "ring", "--size", 4, "--vcs", 4, "--guarantee"), "for open topologies"),
        (("--guarantee", "--depth", 2), "buffer_flits must be at least"),
        (("--guarantee", "--window", 5), "too fast for a bound"),
        (("--json", "/nowhere/f.json"), "its folder does not exist"),
    ],
)
def test_what_cannot_be_is_refused(neardecode, options, complaint):
    result = neardecode("bench", "fabric", *options)
    assert complaint in result.complaint
    assert result.out == ""
