"""Answers keep their order within an id, and none is lost or given twice."""

import random
import shutil

import pytest
from amaranth.sim import Simulator

from neardecode.lib.response_order import ResponseOrder
from neardecode_testbench.drive.prove import ProofError, prove, with_bug
from neardecode_testbench.scenarios.properties.response_order import (
    ObservedResponseOrder,
    ResponseOrderProperties,
)


def simulate(order, bench):
    simulator = Simulator(order)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def traffic(id_bits, entries, seed, cycles=3000, take=0.7, offer=0.8, finish=0.5, urgent=0.3):
    """Random openings and ends; every release is checked, and counted with the openings."""
    order = ResponseOrder(id_bits, entries)
    counts = {"opened": 0, "released": 0, "most": 0}

    async def bench(ctx):
        draw = random.Random(seed)
        waiting: dict[int, list[int]] = {}
        # By entry: its id, whether it is done, the cycle of its opening.
        opened: dict[int, tuple[int, bool, int]] = {}
        for cycle in range(cycles):
            # At the end everything is finished and taken.
            draining = cycle > cycles - 20 * entries
            ready = draining or draw.random() < take
            offered = not draining and draw.random() < offer
            name, done = draw.randrange(1 << id_bits), draw.random() < 0.3
            ctx.set(order.releases.ready, ready)
            ctx.set(order.opens.valid, offered)
            ctx.set(
                order.opens.payload,
                {"id": name, "done": done, "urgent": draw.random() < urgent},
            )
            unfinished = [
                e for e, (_, done_, since) in opened.items() if not done_ and since < cycle
            ]
            ctx.set(order.done, 0)
            if unfinished and (draining or draw.random() < finish):
                entry = draw.choice(unfinished)
                opened[entry] = (opened[entry][0], True, opened[entry][2])
                ctx.set(order.done, 1)
                ctx.set(order.done_entry, entry)
            assert ctx.get(order.level) == len(opened)
            released = None
            if ctx.get(order.releases.valid):
                released = ctx.get(order.releases.payload)
                its_id, its_done, _ = opened[released]
                assert its_done
                assert waiting[its_id][0] == released
            if offered and ctx.get(order.opens.ready):
                entry = ctx.get(order.entry)
                assert entry not in opened
                opened[entry] = (name, done, cycle)
                waiting.setdefault(name, []).append(entry)
                counts["opened"] += 1
            if released is not None and ready:
                waiting[opened.pop(released)[0]].pop(0)
                counts["released"] += 1
            counts["most"] = max(counts["most"], len(opened))
            await ctx.tick()
        assert not opened

    simulate(order, bench)
    return counts


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("id_bits", "entries"), [(1, 2), (1, 8), (2, 4), (3, 16), (5, 32)])
def test_releases_come_in_order_within_an_id_and_each_once(id_bits, entries, seed):
    counts = traffic(id_bits, entries, seed)
    assert counts["opened"] == counts["released"] > 500


def test_all_entries_are_used_when_nobody_takes():
    assert traffic(2, 8, seed=1, take=0.05)["most"] == 8


def test_one_command_a_cycle_goes_through():
    counts = traffic(4, 16, seed=1, cycles=3000, take=1, offer=1, finish=1)
    assert counts["opened"] > 0.95 * (3000 - 20 * 16 - 16)


def test_an_urgent_answer_goes_before_one_that_is_not():
    order = ResponseOrder(2, 4)
    seen = []

    async def bench(ctx):
        await ctx.tick().repeat(8)
        for name, urgent in ((0, 0), (1, 0), (2, 0), (3, 1)):
            ctx.set(order.opens.valid, 1)
            ctx.set(order.opens.payload, {"id": name, "done": 1, "urgent": urgent})
            await ctx.tick()
        ctx.set(order.opens.valid, 0)
        await ctx.tick().repeat(4)
        ctx.set(order.releases.ready, 1)
        for _ in range(8):
            if ctx.get(order.releases.valid):
                seen.append(ctx.get(order.releases.payload))
            await ctx.tick()

    simulate(order, bench)
    # The first stands at the output already.
    assert seen == [0, 3, 1, 2]


def test_the_table_of_ids_is_cleared_before_the_first_command():
    order = ResponseOrder(3, 4)
    ready = []

    async def bench(ctx):
        for _ in range(12):
            ready.append(ctx.get(order.opens.ready))
            await ctx.tick()

    simulate(order, bench)
    assert ready == [0] * 8 + [1] * 4


@pytest.mark.parametrize("entries", [0, 1, 3, 6, 2.0])
def test_refuses_entries_that_are_no_power_of_two(entries):
    with pytest.raises(ValueError, match="entries must be a power of two"):
        ResponseOrder(2, entries)


def properties(id_bits, entries, bug=None):
    order = ObservedResponseOrder(id_bits, entries)
    if bug is not None:
        with_bug(order, bug)
    return ResponseOrderProperties(order, entries)


@pytest.mark.parametrize(("id_bits", "entries"), [(1, 2), (2, 4)])
def test_the_order_of_an_id_holds_for_all_time_and_nothing_is_lost_or_given_twice(id_bits, entries):
    assert prove(properties(id_bits, entries), 4).mode == "prove"


def test_all_entries_of_the_proof_are_opened():
    assert prove(properties(1, 4), 9, "cover").mode == "cover"


def follower_forgotten(order, m):
    m.d.comb += m.submodules.followers.write_ports[0].en.eq(0)


def newest_forgotten(order, m):
    with m.If(~order.clearing):
        m.d.comb += m.submodules.newest.write_ports[0].en.eq(0)


def id_forgotten(order, m):
    m.d.comb += m.submodules.ids.write_ports[0].en.eq(0)


def always_first(order, m):
    m.d.sync += order._first.eq(order._live)


def entry_given_twice(order, m):
    m.d.sync += order.supply[2].eq(0)


def answer_lost(order, m):
    with m.If(order.releases.valid & order.opens.valid):
        m.d.sync += order.releases.valid.eq(0)


def released_before_it_is_done(order, m):
    m.d.sync += order._done.eq(-1)


def level_forgets_releases(order, m):
    with m.If(order.releases.valid & order.releases.ready):
        m.d.sync += order.level.eq(order.level)


@pytest.mark.parametrize(
    ("bug", "message"),
    [
        (follower_forgotten, "who comes next is kept"),
        (newest_forgotten, "the last of an id is its newest"),
        (id_forgotten, "its id is kept"),
        (always_first, "the first of an id has none before it"),
        (entry_given_twice, "the list has its length"),
        (answer_lost, "an open entry is in one place"),
        (released_before_it_is_done, "that it is done is kept"),
        (level_forgets_releases, "the level counts what is open"),
    ],
)
def test_a_broken_order_breaks_its_proof(bug, message):
    with pytest.raises(ProofError) as caught:
        prove(properties(1, 4, bug), 12, "bmc")
    assert caught.value.trace is not None
    shutil.rmtree(caught.value.trace.parents[2])
    assert message in caught.value.messages
