"""The protected link: nothing lost, nothing twice, whatever happens on the lanes."""

import pytest
from pydantic import ValidationError

from neardecode.config import Protection, Repair
from neardecode.fabric.landing import LandingBuffer
from neardecode.fabric.link_end import LinkEnd
from neardecode.fabric.replay import ReplaySender
from neardecode.lib.crc import CHECKED_BITS
from neardecode_testbench.benches.amaranth_sim import play, play_after_reset
from neardecode_testbench.devices.link_bench import ProtectedLinkBench
from neardecode_testbench.scenarios.blocks.edge import CutOff, Pacing
from neardecode_testbench.scenarios.blocks.protected_link import ProtectedLinkUnits

WIDTH = 12
NONE = frozenset()


def scenario(bench, protection, count=60, hits=(NONE, NONE), **options):
    training = bench.ends["near"].training_cycles
    return ProtectedLinkUnits(protection, WIDTH, count, bench.lanes, training, hits, **options)


def run(protection, count=60, hits=(NONE, NONE), **options):
    bench = ProtectedLinkBench(WIDTH, protection)
    return play(bench, scenario(bench, protection, count, hits, **options))


def full_rate(latency, **options):
    window = 1 << (2 * latency + 8).bit_length()
    # One unit of buffer more than full rate needs, for an answer that is lost.
    return Protection(
        **{"checksum_bits": 16, **options},
        latency=latency,
        window=window,
        buffer_units=2 * latency + 12,
    )


@pytest.mark.parametrize("latency", [0, 1, 5])
def test_without_errors_every_cycle_takes_a_unit_and_gives_one_a_latency_later(latency):
    protection = full_rate(latency)
    near, far = run(protection)
    first = near.sent[0]
    assert near.sent == list(range(first, first + 60))
    assert far.taken == [cycle + protection.unit_latency for cycle in near.sent]


@pytest.mark.parametrize(
    ("latency", "window", "buffer_units"),
    [(2, 8, 15), (1, 16, 12), (0, 2, 11), (0, 16, 3)],
)
def test_a_small_window_or_buffer_sets_the_rate(latency, window, buffer_units):
    protection = Protection(
        latency=latency, window=window, buffer_units=buffer_units, checksum_bits=16
    )
    near, _ = run(protection, 20 * min(window, buffer_units) + 1)
    rate = min(1, window / protection.full_rate_window, buffer_units / protection.full_rate_buffer)
    first = near.sent[0]
    round_trip = min(window, buffer_units) / rate
    assert near.sent[-1] - first == 20 * round_trip


@pytest.mark.parametrize("latency", [0, 3])
def test_a_frame_that_was_hit_costs_a_replay(latency):
    protection = full_rate(latency)
    _, quiet = run(protection)
    near, far = run(protection, hits=(frozenset([40]), NONE))
    assert far.taken[-1] == quiet.taken[-1] + protection.replay_cycles
    assert (far.events["ERRORS"], near.events["REPLAYS"]) == (1, 1)
    # An answer that was hit costs nothing: the next one says the same.
    _, far = run(protection, hits=(NONE, frozenset([40])))
    assert far.taken == quiet.taken


def test_the_last_unit_is_replayed_though_none_comes_behind_it():
    protection = full_rate(1)
    near, _ = run(protection, 10)
    # Its frame is checked five registers after it was taken.
    due = near.sent[-1] + protection.latency + 2
    near, far = run(protection, 10, (frozenset([due]), NONE))
    assert near.events["REPLAYS"] == 1
    assert near.causes["REPLAY"] == 1
    assert len(far.delivered) == 10


@pytest.mark.parametrize("every", [(7, 11), (3, 200), (200, 2), (2, 3)])
@pytest.mark.parametrize(
    "options",
    [
        {"latency": 2, "window": 16, "buffer_units": 15, "checksum_bits": 16},
        {"latency": 0, "window": 2, "buffer_units": 3, "checksum_bits": 16},
        {"latency": 3, "window": 32, "buffer_units": 5, "checksum_bits": 24, "timeout": 9},
    ],
)
def test_units_and_cycles_hold_under_hits_and_stalls(options, every):
    hits = tuple(frozenset(range(step, 900, step)) for step in every)
    run(Protection(**options), 40, hits, pacing=Pacing(every[0], 0.3))


@pytest.mark.parametrize("start", [20, 33])
def test_an_outage_of_either_direction_or_both_is_survived(start):
    protection = full_rate(2)
    outage = frozenset(range(start, start + 90))
    for hits in ((outage, NONE), (NONE, outage), (outage, outage)):
        run(protection, hits=hits)


@pytest.mark.parametrize("period", [1, 4])
@pytest.mark.parametrize("timeout", [1, 40])
def test_an_overdue_unit_is_replaced_by_that_of_the_message_before(timeout, period):
    protection = full_rate(2, policy="substitute", timeout=timeout, period=period)
    hits = frozenset(range(40, 44)) | frozenset(range(70, 200, 9))
    _, far = run(protection, 80, (hits, NONE))
    marked = [index for index, (_, substitute) in enumerate(far.delivered) if substitute]
    assert len(marked) == far.events["SUBSTITUTES"]
    assert len(far.delivered) == 80
    for index in marked:
        assert far.delivered[index][0] == far.delivered[index - period][0]
    assert bool(marked) == (timeout < protection.replay_cycles)


@pytest.mark.parametrize("early", range(6))
def test_a_unit_that_comes_when_it_is_overdue_is_given_itself(early):
    protection = full_rate(2)
    timeout = protection.replay_cycles - early
    protection = full_rate(2, policy="substitute", timeout=timeout, period=2)
    run(protection, 60, (frozenset([40]), NONE))


def test_before_a_whole_message_came_nothing_is_replaced():
    protection = full_rate(0, policy="substitute", timeout=1, period=10)
    first = 3 + protection.latency + 2
    _, far = run(protection, 40, (frozenset([first]), NONE))
    assert far.events["TIMEOUTS"] == 1
    assert far.events["SUBSTITUTES"] == 0


@pytest.mark.parametrize("cycles", [9, 40])
def test_a_reset_in_the_middle_leaves_nothing_behind(cycles):
    protection = full_rate(1)
    bench = ProtectedLinkBench(WIDTH, protection)
    hits = (frozenset([12, 30]), NONE)
    cut = CutOff(scenario(bench, protection, hits=hits), cycles)
    after = play_after_reset(bench, cut, scenario(bench, protection, hits=hits, seed=2))
    assert after == run(protection, hits=hits, seed=2)


def test_spare_lanes_change_no_cycle_but_those_of_the_test():
    protection = Protection(latency=1, checksum_bits=16, repair=Repair(groups=3, spares=1))
    bench = ProtectedLinkBench(WIDTH, protection)
    end = bench.ends["near"]
    near, far = play(bench, scenario(bench, protection, 30))
    assert near.sent[0] == end.training_cycles
    assert far.taken[0] == end.training_cycles + protection.unit_latency


@pytest.mark.parametrize("window", [0, 1, 3, 2.0])
def test_refuses_a_window_that_is_no_power_of_two(window):
    with pytest.raises(ValueError, match="window must be a power of two from 2 on, not"):
        ReplaySender(8, window, 9)


@pytest.mark.parametrize("settling", [0, -1, None])
def test_refuses_no_time_to_settle(settling):
    with pytest.raises(ValueError, match="settling must be a positive integer, not"):
        ReplaySender(8, 4, settling)


@pytest.mark.parametrize("depth", [2, 0, None])
def test_refuses_a_buffer_that_could_not_take_what_it_has_room_for(depth):
    with pytest.raises(ValueError, match="depth must be an integer from 3 on, not"):
        LandingBuffer(8, depth)


def test_refuses_a_frame_that_its_checksum_is_not_known_to_be_good_for():
    with pytest.raises(ValueError, match="data_bits must be from 1 to"):
        LinkEnd(CHECKED_BITS - 30, Protection())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 12}, "window must be a power of two, not 12"),
        ({"policy": "substitute", "channels": 2}, "needs one channel"),
        ({"policy": "drop"}, "policy"),
        ({"timeout": 0}, "timeout"),
        ({"checksum_bits": 8}, "checksum_bits"),
    ],
)
def test_refuses_a_configuration(options, message):
    with pytest.raises(ValidationError, match=message):
        Protection(**options)
