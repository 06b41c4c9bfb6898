import random

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from neardecode.lib import RoundRobin

WIDTHS = [1, 2, 3, 4, 5, 8, 13, 64, 65]


def run(dut, cycles):
    """Feed (requests, advance[, reset]) cycle by cycle; return (grants, index) of each."""
    seen = []
    reset = Signal()

    async def bench(ctx):
        for requests, advance, *resets in cycles:
            ctx.set(dut.requests, requests)
            ctx.set(dut.advance, advance)
            ctx.set(reset, any(resets))
            *_, grants, index = await ctx.tick().sample(dut.grants, dut.index)
            seen.append((grants, index))

    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


def rule(width, cycles):
    """The rule of the docstring, index by index."""
    pointer = 0
    for requests, advance in cycles:
        order = [(pointer + step) % width for step in range(width)]
        granted = next((index for index in order if requests >> index & 1), None)
        yield (0, 0) if granted is None else (1 << granted, granted)
        if granted is not None:
            pointer = (granted + advance) % width


@pytest.mark.parametrize("share", [0.05, 0.5, 1.0])
@pytest.mark.parametrize("width", WIDTHS)
def test_follows_its_rule_under_random_requests(width, share):
    source = random.Random(width)
    cycles = [
        (
            sum((source.random() < share) << index for index in range(width)),
            source.random() < 0.7,
        )
        for _ in range(200)
    ]
    assert run(RoundRobin(width), cycles) == list(rule(width, cycles))


def test_serves_all_in_turn_when_all_request():
    assert [index for _, index in run(RoundRobin(4), [(0b1111, 1)] * 9)] == [
        *(0, 1, 2, 3),
        *(0, 1, 2, 3, 0),
    ]


def test_an_unused_grant_holds_when_a_nearer_request_comes():
    cycles = [(0b1000, 0), (0b1010, 0), (0b1111, 0), (0b1111, 1), (0b0111, 1)]
    assert [index for _, index in run(RoundRobin(4), cycles)] == [3, 3, 3, 3, 0]


def test_the_search_goes_on_from_a_withdrawn_request():
    cycles = [(0b0010, 0), (0b1001, 0), (0b1111, 1)]
    assert [index for _, index in run(RoundRobin(4), cycles)] == [1, 3, 3]


def test_advance_means_nothing_without_a_request():
    cycles = [(0b0010, 1), (0, 1), (0, 1), (0b1111, 1)]
    assert run(RoundRobin(4), cycles) == [(2, 1), (0, 0), (0, 0), (4, 2)]


@pytest.mark.parametrize("width", [2, 3, 8, 64])
def test_a_request_that_stays_waits_for_fewer_than_width_grants(width):
    source = random.Random(width)
    patient = width // 2
    cycles = [
        (1 << patient | source.getrandbits(width) | source.getrandbits(width), 1)
        for _ in range(20 * width)
    ]
    waited, longest = 0, 0
    for _, index in run(RoundRobin(width), cycles):
        waited = 0 if index == patient else waited + 1
        longest = max(longest, waited)
    assert 0 < longest < width


def test_reset_returns_the_pointer_to_zero():
    cycles = [(0b1111, 1), (0b1111, 1), (0b1111, 0, 1), (0b1111, 1)]
    assert [index for _, index in run(RoundRobin(4), cycles)] == [0, 1, 2, 0]


def test_the_index_of_one_requester_has_no_bits():
    assert len(RoundRobin(1).index) == 0


@pytest.mark.parametrize("width", [0, -1, 2.0, "4", None])
def test_refuses_a_width_that_is_no_positive_integer(width):
    with pytest.raises(ValueError, match=f"width must be a positive integer, not {width!r}"):
        RoundRobin(width)
