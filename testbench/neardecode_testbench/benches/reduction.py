"""Bench of a reduction tree."""

import cocotb

from neardecode.config.topology import Topology
from neardecode.fabric.reduction_tree import ReductionTree, depths, spanning_tree
from neardecode_testbench.benches.play import leave_standing, play
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.edge import FULL_RATE, Pacing
from neardecode_testbench.scenarios.blocks.reduction import (
    Reductions,
    all_gather,
    all_reduce,
    broadcast,
)

__all__ = ["DESIGN"]

WIDTH = 16
LINK_LATENCY = 1
TOPOLOGY = Topology((3, 2))
NODES = TOPOLOGY.nodes


def tree() -> ReductionTree:
    """The tree."""
    return ReductionTree(TOPOLOGY, width=WIDTH, link_latency=LINK_LATENCY)


DESIGN = Design(tree)


def messages(seed: int, pacing: Pacing = FULL_RATE) -> Reductions:
    """A sum, some of it beyond a word, what one node has, and what each has."""
    return Reductions(
        WIDTH,
        depths(spanning_tree(TOPOLOGY)),
        LINK_LATENCY,
        [
            all_reduce(NODES, 20, WIDTH, seed),
            broadcast(NODES, 9, WIDTH, seed, source=NODES - 1),
            all_gather(NODES, 2 * NODES + 1, WIDTH, seed),
        ],
        pacing,
    )


@cocotb.test()
async def words_at_full_rate(dut):
    """Every result at every node in its cycle, one a cycle."""
    await play(dut, messages(1))


@cocotb.test()
async def words_under_random_stalls(dut):
    """Every result at every node, all streams held back at random."""
    for seed, share in ((2, 0.3), (3, 0.7)):
        await play(dut, messages(seed, Pacing(seed, share)))


@cocotb.test()
async def reset_in_the_middle(dut):
    """Nothing is left of what was cut off."""
    await leave_standing(dut, messages(4), 20)
    await play(dut, messages(5))
