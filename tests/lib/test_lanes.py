"""Spare lanes: bits led around the faulty ones, and the test that finds those."""

import random
import shutil
from itertools import combinations

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from neardecode.lib.lanes import LaneGather, LaneSpread, LaneTest
from neardecode_testbench.drive.prove import ProofError, prove, with_bug
from neardecode_testbench.scenarios.properties.lanes import LaneRepairProperties


def spread_all(component, pairs):
    """The lanes of each (bits, faulty)."""
    return settle(component, "bits", "lanes", pairs)


def gather_all(component, pairs):
    """The bits of each (lanes, faulty)."""
    return settle(component, "lanes", "bits", pairs)


def settle(component, source, sink, pairs):
    seen = []

    async def bench(context):
        for value, faulty in pairs:
            context.set(getattr(component, source), value)
            context.set(component.faulty, faulty)
            seen.append(context.get(getattr(component, sink)))

    simulator = Simulator(component)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


def good_lanes(width, groups, spares, faulty):
    """For each bit its lane: the i-th bit of a group has the i-th good lane."""
    size = width // groups
    places = []
    for group in range(groups):
        lanes = range(group * (size + spares), (group + 1) * (size + spares))
        places += [lane for lane in lanes if not faulty >> lane & 1][:size]
    return places


def fault_maps(width, groups, spares):
    """Every choice of faulty lanes, up to the spares of a group, in one group and in all alike."""
    size = width // groups + spares
    for count in range(spares + 1):
        for lanes in combinations(range(size), count):
            mask = sum(1 << lane for lane in lanes)
            yield mask << (groups - 1) * size
            yield sum(mask << group * size for group in range(groups))


SHAPES = [(6, 1, 1), (6, 2, 1), (12, 2, 2), (8, 2, 3), (1, 1, 1), (2, 2, 4)]


@pytest.mark.parametrize(("width", "groups", "spares"), SHAPES)
def test_every_bit_takes_the_next_good_lane_of_its_group(width, groups, spares):
    source = random.Random(width)
    cases = [
        (source.getrandbits(width), faulty) for faulty in fault_maps(width, groups, spares)
    ] * 2
    for (bits, faulty), lanes in zip(
        cases, spread_all(LaneSpread(width, groups, spares), cases), strict=True
    ):
        places = good_lanes(width, groups, spares, faulty)
        assert [lanes >> lane & 1 for lane in places] == [bits >> bit & 1 for bit in range(width)]

    noise = [(source.getrandbits(width + groups * spares), faulty) for _, faulty in cases]
    for (lanes, faulty), bits in zip(
        noise, gather_all(LaneGather(width, groups, spares), noise), strict=True
    ):
        places = good_lanes(width, groups, spares, faulty)
        assert [bits >> bit & 1 for bit in range(width)] == [lanes >> lane & 1 for lane in places]


@pytest.mark.parametrize("spares", [1, 2])
def test_a_beat_of_568_bits_arrives_whatever_its_faulty_lanes_carry(spares):
    width, groups = 568, 8
    source = random.Random(spares)
    size = width // groups + spares
    cases = []
    for _ in range(12):
        faulty = sum(
            1 << group * size + lane
            for group in range(groups)
            for lane in source.sample(range(size), source.randint(0, spares))
        )
        cases.append((source.getrandbits(width), faulty))
    sent = spread_all(LaneSpread(width, groups, spares), cases)
    received = [
        ((lanes & ~faulty) | (source.getrandbits(groups * size) & faulty), faulty)
        for lanes, (_, faulty) in zip(sent, cases, strict=True)
    ]
    assert gather_all(LaneGather(width, groups, spares), received) == [bits for bits, _ in cases]


@pytest.mark.parametrize(
    ("width", "groups", "spares"),
    [*SHAPES, (71, 1, 1), (16, 1, 4), (32, 2, 2)],
)
def test_every_bit_arrives_with_any_faulty_lanes_that_there_are_spares_for(width, groups, spares):
    spread, gather = LaneSpread(width, groups, spares), LaneGather(width, groups, spares)
    prove(LaneRepairProperties(spread, gather, groups, spares), 1)


def stays_on_the_first_lane(gather, m):
    with m.If(gather.faulty[0]):
        m.d.comb += gather.bits[0].eq(gather.lanes[0])


def takes_the_lane_below(gather, m):
    with m.If(gather.faulty[2]):
        m.d.comb += gather.bits[3].eq(gather.lanes[3])


def does_not_move_in_the_second_group(gather, m):
    m.d.comb += gather.bits[4:].eq(gather.lanes[5:9])


@pytest.mark.parametrize(
    "bug",
    [stays_on_the_first_lane, takes_the_lane_below, does_not_move_in_the_second_group],
)
def test_a_broken_gather_breaks_its_proof(bug):
    gather = with_bug(LaneGather(8, 2, 1), bug)
    with pytest.raises(ProofError) as caught:
        prove(LaneRepairProperties(LaneSpread(8, 2, 1), gather, 2, 1), 2, "bmc")
    assert caught.value.messages == ("every bit arrives",)
    assert caught.value.trace is not None
    shutil.rmtree(caught.value.trace.parents[2])


def stuck(lane, value):
    """A lane that carries one value."""
    return lambda lanes: lanes & ~(1 << lane) | value << lane


def inverted(lane):
    return lambda lanes: lanes ^ 1 << lane


def bridged(lane, other):
    """Two lanes that both carry the lower of their values."""

    def carry(lanes):
        both = lanes >> lane & lanes >> other & 1
        return lanes & ~(1 << lane | 1 << other) | both << lane | both << other

    return carry


def find(test, *faults, latency=1, cycles=None, resets=()):
    """What a test shows in each cycle, with lanes that fail like that."""
    seen = []
    reset = Signal()

    async def bench(context):
        way = [0] * latency
        for cycle in range(cycles or latency + 9):
            context.set(reset, cycle in resets)
            drive = context.get(test.drive)
            for fault in faults:
                drive = fault(drive)
            context.set(test.returned, way[-1])
            way = [drive, *way[:-1]]
            seen.append(
                tuple(
                    context.get(getattr(test, name))
                    for name in ("done", "loopback", "faulty", "repaired", "failed")
                )
            )
            await context.tick()

    simulator = Simulator(ResetInserter(reset)(test))
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


@pytest.mark.parametrize("latency", [1, 2, 5])
def test_good_lanes_pass_after_the_latency_and_seven_cycles(latency):
    seen = find(LaneTest(2, 5, 1, latency), latency=latency)
    assert seen == [(0, 1, 0, 0, 0)] * (latency + 7) + [(1, 0, 0, 0, 0)] * 2


@pytest.mark.parametrize("latency", [1, 3])
def test_every_lane_that_is_stuck_or_inverted_is_found(latency):
    lanes = 10
    for lane in range(lanes):
        for fault in (stuck(lane, 0), stuck(lane, 1), inverted(lane)):
            seen = find(LaneTest(2, 5, 1, latency), fault, latency=latency)
            assert [each[0] for each in seen] == [0] * (latency + 7) + [1] * 2
            assert seen[latency + 7] == seen[-1] == (1, 0, 1 << lane, 1, 0)


@pytest.mark.parametrize("spares", [1, 2])
def test_every_pair_of_stuck_lanes_is_found_and_told_from_what_can_be_repaired(spares):
    size = 4 + spares
    for first, second in combinations(range(2 * size), 2):
        seen = find(LaneTest(2, size, spares, 1), stuck(first, 0), stuck(second, 1))
        failed = int(spares == 1 and first // size == second // size)
        assert seen[8] == seen[-1] == (1, 0, 1 << first | 1 << second, 1 - failed, failed)


def test_neighbours_that_are_bridged_are_both_found():
    for lane in range(9):
        seen = find(LaneTest(2, 5, 2, 1), bridged(lane, lane + 1))
        assert seen[8][2] == 3 << lane


def test_a_lane_fails_if_any_pattern_fails():
    """Each of the four is looked at, each against its own."""
    for cycle in range(4):
        calls = iter(range(100))
        seen = find(
            LaneTest(1, 5, 1, 1),
            lambda lanes, c=calls, at=cycle: lanes ^ (4 if next(c) == 2 + at else 0),
        )
        assert seen[8] == (1, 0, 4, 1, 0)


def test_what_returns_outside_the_test_is_not_looked_at():
    for cycle in (0, 1, 6, 7, 8):
        calls = iter(range(100))
        seen = find(
            LaneTest(1, 5, 1, 1), lambda lanes, c=calls, at=cycle: 31 if next(c) == at else lanes
        )
        assert seen[8] == seen[-1] == (1, 0, 0, 0, 0)


def test_a_reset_tests_again():
    seen = find(LaneTest(1, 5, 1, 1), stuck(3, 1), cycles=25, resets=(10,))
    assert [cycle for cycle, each in enumerate(seen) if each[0]] == [8, 9, 10, *range(19, 25)]
    assert seen[11] == (0, 1, 0, 0, 0)
    assert seen[-1] == (1, 0, 8, 1, 0)


@pytest.mark.parametrize("cell", [LaneSpread, LaneGather])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 1), "width must be a positive integer, not 0"),
        ((8.0, 1, 1), r"width must be a positive integer, not 8\.0"),
        ((8, 0, 1), "groups must be a positive integer, not 0"),
        ((8, 3, 1), "groups must divide the width 8, not 3"),
        ((8, 2, 0), "spares must be a positive integer, not 0"),
    ],
)
def test_lanes_refuse_wrong_numbers(cell, arguments, message):
    with pytest.raises(ValueError, match=message):
        cell(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, 5, 1, 0), "latency must be a positive integer, not 0"),
        ((2, 1, 1, 1), "width must be a positive integer, not 0"),
        ((0, 5, 1, 1), "must be a positive integer, not 0"),
        ((2, 5, 0, 1), "spares must be a positive integer, not 0"),
    ],
)
def test_the_test_refuses_wrong_numbers(arguments, message):
    with pytest.raises(ValueError, match=message):
        LaneTest(*arguments)
