import enum
import random

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from neardecode.lib import CycleCounters, EventCounters


class Cause(enum.Enum):
    BUSY = 0
    NO_CREDIT = 2
    NO_INPUT = 1


class Only(enum.Enum):
    BUSY = 0


class Event(enum.IntEnum):
    SENSE = 0
    HIT = 1
    RETRY = 2


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()


def counts(ctx, dut):
    return [ctx.get(dut.counts[index]) for index in range(len(dut.names))]


def test_the_counts_of_causes_add_up_to_the_counted_cycles():
    dut = CycleCounters(Cause)
    source = random.Random(1)

    async def bench(ctx):
        expected = [0, 0, 0]
        counted = 0
        for _ in range(300):
            cause, counting = source.randrange(3), source.random() < 0.7
            ctx.set(dut.cause, cause)
            ctx.set(dut.counting, counting)
            expected[cause] += counting
            counted += counting
            await ctx.tick()
            assert counts(ctx, dut) == expected
        assert sum(counts(ctx, dut)) == counted

    simulate(dut, bench)


def test_every_event_counts_on_its_own():
    dut = EventCounters(Event)
    source = random.Random(1)

    async def bench(ctx):
        expected = [0, 0, 0]
        for _ in range(300):
            strobes, counting = source.getrandbits(3), source.random() < 0.7
            ctx.set(dut.strobes, strobes)
            ctx.set(dut.counting, counting)
            for index in range(3):
                expected[index] += counting and strobes >> index & 1
            await ctx.tick()
            assert counts(ctx, dut) == expected

    simulate(dut, bench)


@pytest.mark.parametrize("width", [1, 3])
def test_a_count_stays_at_its_largest_value(width):
    cycles, events = CycleCounters(Cause, width), EventCounters(Event, width)
    most = 2**width - 1

    async def count_cycles(ctx):
        ctx.set(cycles.counting, 1)
        ctx.set(cycles.cause, 1)
        for cycle in range(most + 3):
            assert counts(ctx, cycles) == [0, min(cycle, most), 0]
            await ctx.tick()

    async def count_events(ctx):
        ctx.set(events.counting, 1)
        ctx.set(events.strobes, 0b101)
        for cycle in range(most + 3):
            assert counts(ctx, events) == [min(cycle, most), 0, min(cycle, most)]
            await ctx.tick()

    simulate(cycles, count_cycles)
    simulate(events, count_events)


def test_names_stand_in_the_order_of_the_counts():
    assert CycleCounters(Cause).names == ("BUSY", "NO_INPUT", "NO_CREDIT")
    assert EventCounters(Event).names == ("SENSE", "HIT", "RETRY")


def test_one_cause_needs_no_bits():
    dut = CycleCounters(Only)
    assert len(dut.cause) == 0

    async def bench(ctx):
        ctx.set(dut.counting, 1)
        for _ in range(3):
            await ctx.tick()
        assert counts(ctx, dut) == [3]

    simulate(dut, bench)


def test_counts_have_48_bits_unless_told():
    assert CycleCounters(Cause).width == EventCounters(Event).width == 48
    assert len(CycleCounters(Cause).counts.as_value()) == 3 * 48


@pytest.mark.parametrize(
    "dut", [CycleCounters(Cause), EventCounters(Event)], ids=["cycles", "events"]
)
def test_reset_clears_the_counts(dut):
    reset = Signal()

    async def bench(ctx):
        ctx.set(dut.counting, 1)
        if isinstance(dut, EventCounters):
            ctx.set(dut.strobes, 1)
        for _ in range(4):
            await ctx.tick()
        assert counts(ctx, dut) == [4, 0, 0]
        ctx.set(reset, 1)
        await ctx.tick()
        assert counts(ctx, dut) == [0, 0, 0]

    simulate(ResetInserter(reset)(dut), bench)


def test_a_cycle_without_a_known_cause_is_an_error():
    dut = CycleCounters(Cause)

    async def bench(ctx):
        ctx.set(dut.cause, 3)
        await ctx.tick()
        ctx.set(dut.counting, 1)
        await ctx.tick()

    with pytest.raises(AssertionError, match="a cycle went to no known cause"):
        simulate(dut, bench)


Gap = enum.Enum("Gap", {"A": 0, "B": 2})
FromOne = enum.Enum("FromOne", {"A": 1, "B": 2})
Words = enum.Enum("Words", {"A": "a"})
Empty = enum.Enum("Empty", {})


@pytest.mark.parametrize("counters", [CycleCounters, EventCounters])
@pytest.mark.parametrize("members", [Gap, FromOne, Words, Empty])
def test_refuses_an_enumeration_of_other_values(counters, members):
    with pytest.raises(ValueError, match="must be an enumeration of the values 0 to n - 1, not"):
        counters(members)


@pytest.mark.parametrize("counters", [CycleCounters, EventCounters])
@pytest.mark.parametrize("members", [None, 3, ["A"], int, Cause.BUSY])
def test_refuses_what_is_no_enumeration(counters, members):
    with pytest.raises(ValueError, match="must be an enumeration, not"):
        counters(members)


@pytest.mark.parametrize("counters", [CycleCounters, EventCounters])
@pytest.mark.parametrize("width", [0, -1, 1.5, "4", None])
def test_refuses_a_width_that_is_no_positive_integer(counters, width):
    with pytest.raises(ValueError, match=f"width must be a positive integer, not {width!r}"):
        counters(Cause, width)
