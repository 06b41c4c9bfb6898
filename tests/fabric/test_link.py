"""The link: order, latency, and the rate that its credits allow."""

import numpy as np
import pytest

from neardecode.config import LinkCause
from neardecode.fabric.link import Link
from neardecode.lib.flit import FlitLayout
from neardecode_testbench.benches.amaranth_sim import play, play_after_reset
from neardecode_testbench.devices.fabric_bench import LinkBench
from neardecode_testbench.drive.stimulus import Play, Sink, Source, StuckError
from neardecode_testbench.scenarios.blocks.edge import CutOff, Pacing, Recorder, read_counts
from neardecode_testbench.scenarios.blocks.link import LinkFlits

FLIT = FlitLayout(64, 4)


def run(latency, credits, count=120, **options):
    scenario = LinkFlits(FLIT, latency, credits, count, **options)
    return play(LinkBench(FLIT, latency, credits), scenario)


@pytest.mark.parametrize("latency", [0, 1, 2, 7])
def test_a_flit_arrives_a_latency_and_the_receiver_s_cycle_after_it_was_sent(latency):
    bench = LinkBench(FLIT, latency, 4)
    assert bench.link.latency == latency
    result = play(bench, LinkFlits(FLIT, latency, 4, 1))
    assert (result.sent, result.arrived) == ([0], [latency + 1])


@pytest.mark.parametrize("credits", [1, 2, 3, 4, 6, 7, 12, 13])
@pytest.mark.parametrize("latency", [0, 1, 2, 5])
def test_the_rate_is_credits_over_the_round_trip(latency, credits):
    round_trip = 2 * latency + 2
    result = run(latency, credits, count=10 * round_trip + 1)
    window = 5 * round_trip
    begin = result.arrived[0]
    flits = sum(begin <= cycle < begin + window for cycle in result.arrived)
    assert flits == window * min(1, credits / round_trip)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize(
    ("latency", "credits"), [(0, 1), (0, 2), (1, 3), (1, 4), (5, 12), (5, 4), (3, 1)]
)
def test_order_and_cycles_hold_under_random_stalls(latency, credits, share):
    run(latency, credits, seed=credits, pacing=Pacing(latency, share))


@pytest.mark.parametrize("stream", ["flits", "arrived"])
def test_one_stalled_stream_alone(stream):
    free = ("arrived" if stream == "flits" else "flits",)
    run(2, 6, pacing=Pacing(3, 0.7, free))


class Blocked:
    """Flits whose receiver never gives them up."""

    def __init__(self, count):
        self.recorder = Recorder(())
        self.count = count

    def __call__(self, step):
        with pytest.raises(StuckError):
            step(
                Play(
                    sources=[Source("flits", [5] * self.count)],
                    sinks=[Sink("arrived", 100, stalls=np.array([True]))],
                    levels={"counting": 1},
                    limit=100,
                )
            )
        counts = read_counts(step, "cycles", LinkCause)
        return {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize(
    ("count", "counts"),
    [(0, {"IDLE": 100}), (3, {"BUSY": 3, "IDLE": 97}), (9, {"BUSY": 3, "CREDIT": 97})],
)
def test_a_stall_has_its_cause(count, counts):
    assert play(LinkBench(FLIT, 2, 3), Blocked(count)) == counts


@pytest.mark.parametrize("cycles", [1, 4, 9])
def test_a_reset_in_the_middle_leaves_nothing_behind(cycles):
    cut = CutOff(LinkFlits(FLIT, 2, 3, 50), cycles)
    after = play_after_reset(LinkBench(FLIT, 2, 3), cut, LinkFlits(FLIT, 2, 3, 50, seed=2))
    assert after == run(2, 3, 50, seed=2)


@pytest.mark.parametrize("credits", [0, -1, 1.5])
def test_refuses_credits_that_are_no_positive_integer(credits):
    with pytest.raises(ValueError, match=f"credits must be a positive integer, not {credits}"):
        Link(FLIT, latency=1, credits=credits)


@pytest.mark.parametrize("latency", [-1, 0.5])
def test_refuses_a_latency_that_is_no_integer_from_zero(latency):
    with pytest.raises(ValueError, match=f"latency must be a non-negative integer, not {latency}"):
        Link(FLIT, latency=latency, credits=2)
