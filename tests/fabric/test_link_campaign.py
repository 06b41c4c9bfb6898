"""The campaign on a protected link, short: faults of every kind, nothing lost, nothing twice."""

import pytest

from neardecode.config import ProtectedLinkEvent, Protection, Repair
from neardecode.fabric.link_training import ROUNDS
from neardecode_testbench.benches.amaranth_sim import play_after_reset
from neardecode_testbench.devices.link_bench import ProtectedLinkBench
from neardecode_testbench.drive import amaranth_sim
from neardecode_testbench.drive.stimulus import Play, Probe, Sink, Source
from neardecode_testbench.scenarios.blocks.edge import Recorder, read_counts
from neardecode_testbench.scenarios.link_campaign import LinkCampaign

WIDTH = 12
UNITS = 300


def campaign(protection, **options):
    bench = ProtectedLinkBench(WIDTH, protection, options.get("seed", 1))
    return amaranth_sim.run(bench, LinkCampaign(protection, WIDTH, bench.lanes, UNITS, **options))


def link(**options):
    return Protection(latency=2, window=16, buffer_units=16, **options)


@pytest.mark.parametrize(
    "faults",
    [
        {"error_rate": 2e-3},
        {"burst_rate": 0.02, "burst_cycles": 5},
        {"outage_rate": 0.02, "outage_cycles": 60},
    ],
)
def test_every_flit_arrives_once_in_order_and_unchanged(faults):
    report = campaign(link(), **faults)
    assert report.passed
    assert min(report.hits.values()) > 0
    # Frames are hit in both directions and seen at the other end, but for those on their way.
    assert abs(report.events["ERRORS"] - sum(report.hits.values())) <= 16
    assert report.events["REPLAYS"] > 0


def test_dead_lanes_are_found_and_spared_under_bit_errors():
    repair = Repair(groups=3, spares=1)
    protection = link(repair=repair)
    bench = ProtectedLinkBench(WIDTH, protection)
    group = bench.lanes // 3
    dead = ((0, group, 3 * group - 1), (group - 1, 2 * group - 1, 2 * group))
    # With this seed every dead lane carries 0, so that the majority is not theirs by chance.
    report = campaign(protection, dead_lanes=dead, error_rate=5e-4, seed=214)
    assert report.passed
    assert report.training_cycles == bench.ends["near"].training_cycles
    assert report.training_cycles == (
        ROUNDS * (protection.latency + 9) + bench.lanes + 2 * protection.latency + 4
    )


def test_two_channels_share_the_lanes_and_the_first_goes_first():
    protection = link(channels=2)
    bench = ProtectedLinkBench(WIDTH, protection)
    units = [list(range(first, first + 40)) for first in (100, 200)]

    def both(step):
        step(Probe({"near_faults__error_rate": 2000}, []))
        return step(
            Play(
                sources=[Source(f"near_units__{index}", of) for index, of in enumerate(units)],
                sinks=[Sink(f"far_delivered__{index}", 40) for index in range(2)],
                limit=20_000,
            )
        )

    outcome = amaranth_sim.run(bench, both)
    logs = [outcome.sinks[f"far_delivered__{index}"] for index in range(2)]
    assert [log.payloads for log in logs] == units
    assert logs[0].cycles[-1] < logs[1].cycles[-1]


class DyingLanes:
    """A link that runs when three of its lanes die, which damages most frames from then on."""

    def __init__(self, campaign, dead):
        self.recorder = Recorder(())
        self.campaign = campaign
        self.dead = dead
        self.errors = 0

    def __call__(self, step):
        self.campaign(step)
        stuck = sum(1 << lane for lane in self.dead)
        faults = {"near_faults__stuck": stuck, "near_faults__stuck_value": stuck}
        for _ in range(200):
            step(Probe({"counting": 1, **faults}, []))
        self.errors = read_counts(step, "far_events", ProtectedLinkEvent)["ERRORS"]


def test_lanes_that_die_later_are_spared_after_a_reset():
    protection = link(repair=Repair(groups=3, spares=1))
    bench = ProtectedLinkBench(WIDTH, protection)
    group = bench.lanes // 3
    dead = (0, group, 3 * group - 1)
    before = DyingLanes(LinkCampaign(protection, WIDTH, bench.lanes, 20), dead)
    after = LinkCampaign(protection, WIDTH, bench.lanes, UNITS, dead_lanes=(dead, ()), seed=214)
    after.recorder = before.recorder
    report = play_after_reset(bench, before, after)
    assert before.errors > 50
    assert report.passed
    assert report.events["ERRORS"] == 0


def test_more_dead_lanes_than_spares_are_told():
    protection = link(repair=Repair(groups=3, spares=1))
    bench = ProtectedLinkBench(WIDTH, protection)

    stuck = {"near_faults__stuck": 0b101, "near_faults__stuck_value": 0b100}

    def failed(step):
        while not step(Probe(stuck, ["running"])).outputs["running"]:
            pass
        return step(Probe({}, ["failed"])).outputs["failed"]

    assert amaranth_sim.run(bench, failed) == 1


@pytest.mark.parametrize("round_", [0, ROUNDS - 1])
def test_flips_during_one_round_of_the_test_cost_no_lane(round_):
    protection = link(repair=Repair(groups=3, spares=1))
    bench = ProtectedLinkBench(WIDTH, protection)

    def failed(step):
        # Two lanes of a group, throughout a round.
        cycles = protection.latency + 9
        for _ in range(round_ * cycles):
            step(Probe({}, []))
        for _ in range(cycles):
            step(Probe({"near_masks__valid": 1, "near_masks__payload": 0b11}, []))
        while not step(Probe({"near_masks__valid": 0}, ["running"])).outputs["running"]:
            pass
        return step(Probe({}, ["failed"])).outputs["failed"]

    assert amaranth_sim.run(bench, failed) == 0
