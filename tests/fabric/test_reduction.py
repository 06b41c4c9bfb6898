"""The reduction tree: exact at every node, in any order, and in the cycle that is due."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from neardecode.config import Protection
from neardecode.config.topology import Topology
from neardecode.fabric.reduction import ReductionNode
from neardecode.fabric.reduction_tree import ReductionTree, depths, spanning_tree
from neardecode_testbench.benches.amaranth_sim import play, play_after_reset
from neardecode_testbench.drive.stimulus import Play
from neardecode_testbench.scenarios.blocks.edge import CutOff, Held, Pacing
from neardecode_testbench.scenarios.blocks.reduction import (
    Message,
    Reductions,
    all_gather,
    all_reduce,
    broadcast,
)

WIDTH = 16
SHAPES = [((2,), False), ((5,), False), ((4,), True), ((3, 2), False), ((3, 3), True)]


def tree(sizes=(3, 2), closed=False, **options):
    return ReductionTree(Topology(sizes, closed), width=WIDTH, **options)


def scenario(of, messages, link_latency=1, **options):
    return Reductions(WIDTH, depths(of.parents), link_latency, messages, **options)


def run(of, messages, link_latency=1, **options):
    return play(of, scenario(of, messages, link_latency, **options))


@pytest.mark.parametrize("link_latency", [0, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_node_has_every_sum_in_the_cycle_that_is_due(shape, link_latency):
    of = tree(*shape, link_latency=link_latency)
    nodes = len(of.parents)
    messages = [
        all_reduce(nodes, 20, WIDTH - 4, 1),
        broadcast(nodes, 9, WIDTH, 2, source=nodes - 1),
        all_gather(nodes, 2 * nodes + 1, WIDTH, 3),
        all_reduce(nodes, 1, WIDTH - 4, 4),
    ]
    run(of, messages, link_latency)


class OverLanes(wiring.Component):
    """A tree over protected links whose lanes carry everything, some cycles later."""

    def __init__(self, topology, latency):
        protection = Protection(latency=latency, window=32, buffer_units=32)
        self.tree = ReductionTree(topology, width=WIDTH, protection=protection)
        self._latency = latency
        members = dict(self.tree.signature.members)
        lanes = ("lanes_out", "lanes_in", "failed", "link_cycles", "link_events")
        super().__init__({name: of for name, of in members.items() if name not in lanes})

    def elaborate(self, platform):
        m = Module()
        m.submodules.tree = tree = self.tree
        for name in self.signature.members:
            inner, outer = getattr(tree, name), getattr(self, name)
            if name == "counting":
                m.d.comb += inner.eq(outer)
            elif name == "cycles":
                m.d.comb += [there.eq(here) for here, there in zip(inner, outer, strict=True)]
            else:
                for here, there in zip(inner, outer, strict=True):
                    connect(m, here, flipped(there))
        for end, lanes in enumerate(tree.lanes_out):
            carried = lanes
            for stage in range(self._latency):
                delayed = Signal(len(lanes), name=f"lanes_{end}_{stage}")
                m.d.sync += delayed.eq(carried)
                carried = delayed
            m.d.comb += tree.lanes_in[end ^ 1].eq(carried)
        return m


class Trained:
    """A scenario that begins when links have heard of each other."""

    def __init__(self, scenario):
        self.recorder, self._scenario = scenario.recorder, scenario

    def __call__(self, step):
        step(Play([], [], trailing=20))
        return self._scenario(step)


@pytest.mark.parametrize("latency", [0, 3])
@pytest.mark.parametrize("sizes", [(2,), (3, 2)])
def test_over_protected_links_every_sum_comes_in_the_cycle_that_is_due(sizes, latency):
    of = OverLanes(Topology(sizes, False), latency)
    hop, nodes = of.tree.hop_cycles, len(of.tree.parents)
    assert hop == latency + 8
    messages = [all_reduce(nodes, 20, WIDTH - 4, 1), broadcast(nodes, 9, WIDTH, 2, source=0)]
    play(of, Trained(Reductions(WIDTH, depths(of.tree.parents), hop - 1, messages)))


@pytest.mark.parametrize("share", [0.2, 0.6])
@pytest.mark.parametrize("landing_words", [3, 16])
def test_results_hold_under_random_stalls(share, landing_words):
    of = tree(landing_words=landing_words)
    messages = [all_reduce(6, 25, WIDTH, 1), all_gather(6, 20, WIDTH, 2)]
    run(of, messages, pacing=Pacing(landing_words, share))


def test_a_sum_beyond_a_word_is_its_limit_at_every_node_and_says_so():
    most, least = (1 << WIDTH - 1) - 1, -(1 << WIDTH - 1)
    values = [(most, least, most, least), (most, least, 1, -1), (least + 1, most, 0, 0)]
    message = Message(4, tuple((0, own) for own in (*values, *values)))
    assert [beyond for _, beyond in message.results(WIDTH)] == [True, True, True, True]
    exact = Message(2, tuple((0, (value, -value)) for value in (most, most, 1, -most, -most, -1)))
    # The same addends overflow a word on their way in some orders, and in none at the root.
    assert exact.results(WIDTH) == [(0, False), (0, False)]
    run(tree(), [message, exact, Message(1, tuple((0, (most // 6,)) for _ in range(6)))])


@pytest.mark.parametrize("late", range(6))
def test_a_node_whose_words_are_late_holds_up_all_and_loses_none(late):
    of = tree()
    pacing = Held(cycles={f"contributions__{late}": range(20, 60)})
    result = run(of, [all_reduce(6, 40, WIDTH - 3, 1)], pacing=pacing)
    # In step with the others it sends word k in cycle k + 2 * height; that of cycle 20 is held.
    hops = depths(of.parents)
    height = max(hops) - hops[late]
    last = 60 + 39 - (20 - 2 * height)
    for node in range(6):
        assert result.taken[node][-1] == last + (hops[late] + hops[node]) * 2 + 2
    assert result.counts[late]["OWN"] == 40
    parent = of.parents[late]
    if parent is not None:
        assert result.counts[parent]["CHILD"] >= 40


def test_a_reader_that_does_not_read_stops_the_tree_when_its_landing_buffer_is_full():
    of = tree(landing_words=5)
    result = run(
        of,
        [all_reduce(6, 40, WIDTH - 3, 1)],
        pacing=Held(cycles={"results__3": range(0, 200)}),
    )
    assert sum(cycle < 200 for cycle in result.taken[3]) == 0
    assert all(sum(cycle < 200 for cycle in result.taken[node]) <= 5 + 3 * 4 for node in range(6))
    root = of.parents.index(None)
    assert result.counts[root]["CREDIT"] > 100


@pytest.mark.parametrize("cycles", [3, 9, 20])
def test_a_reset_in_the_middle_leaves_nothing_behind(cycles):
    messages = [all_reduce(6, 30, WIDTH - 3, 1)]
    of = tree()
    cut = CutOff(scenario(of, messages), cycles)
    after = play_after_reset(of, cut, scenario(of, messages))
    assert after.counts == run(tree(), messages).counts


@pytest.mark.parametrize(
    ("sizes", "closed", "depth"),
    [((2,), False, 1), ((4, 4), False, 4), ((16,), True, 8), ((4, 4), True, 4), ((5,), False, 2)],
)
def test_a_tree_is_as_shallow_as_the_topology_allows(sizes, closed, depth):
    topology = Topology(sizes, closed)
    parents = spanning_tree(topology)
    assert max(depths(parents)) == depth
    assert parents.count(None) == 1
    for node, parent in enumerate(parents):
        if parent is not None:
            assert topology.hops(node, parent) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width must be a positive integer, not 0"),
        ({"nodes": 0}, "nodes must be a positive integer, not 0"),
        ({"credits": 1.5}, "credits must be a positive integer, not 1.5"),
        ({"children": 4}, "children must be from 0 to 3, not 4"),
        ({"children": -1}, "children must be from 0 to 3, not -1"),
        ({"landing_words": 2}, "depth must be an integer from 3 on, not 2"),
    ],
)
def test_refuses_wrong_arguments(options, message):
    arguments = {"nodes": 4, "children": 1, "root": True, "credits": 4, "landing_words": 4}
    with pytest.raises(ValueError, match=message):
        ReductionNode(**{**arguments, **options})


def test_drawn_values_use_every_bit():
    values = np.array(all_reduce(2, 500, WIDTH, 1).own[0][1])
    assert values.min() < -(1 << WIDTH - 2)
    assert values.max() >= 1 << WIDTH - 2
