"""All-reduces of one vector a node, in the network or at its ends, every result checked."""

from dataclasses import dataclass

from amaranth.utils import ceil_log2

from neardecode.config.topology import Topology
from neardecode.fabric.reduction_tree import ReductionTree, depths, spanning_tree
from neardecode_testbench.devices.collective_bench import CollectiveBench
from neardecode_testbench.devices.collective_schedule import Algorithm
from neardecode_testbench.drive.backends import Backend, simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Play, Probe, Sink, Source, Step
from neardecode_testbench.scenarios.blocks.edge import check_sink
from neardecode_testbench.scenarios.blocks.reduction import Message, Reductions, all_reduce

__all__ = ["Bounds", "EndAllReduce", "bounds", "measure_ends", "measure_network"]

WIDTH = 64


@dataclass(frozen=True)
class Bounds:
    """The fewest cycles that an all-reduce can take, a word a cycle on every link.

    Attributes:
        network: Where sums are made on the way. Every node gives a word a cycle; its last one must
            be in a result at the farthest node: ``words + diameter * hop``.
        ends: Where the ends make them. Each of the words is added ``nodes - 1`` times, so some
            end receives ``(nodes - 1) / nodes`` of a vector to add and as much again of results
            that others made, a word a cycle: ``2 * words * (nodes - 1) / nodes + hop``.
    """

    network: int
    ends: int


def bounds(topology: Topology, words: int, link_latency: int) -> Bounds:
    """The bounds of a topology: a hop is a cycle in a router and the link's registers."""
    nodes = topology.nodes
    diameter = max(topology.hops(a, b) for a in range(nodes) for b in range(nodes))
    hop = link_latency + 1
    return Bounds(words + diameter * hop, -(-2 * words * (nodes - 1) // nodes) + hop)


def _message(nodes: int, words: int, seed: int) -> Message:
    # Small enough that no sum saturates, so that ends and network give the same.
    return all_reduce(nodes, words, WIDTH - ceil_log2(nodes), seed)


def measure_network(
    topology: Topology, words: int, link_latency: int, seed: int, backend: Backend
) -> int:
    """Cycles of an all-reduce in the network, from the first word given to the last result.

    Raises:
        CheckError: if a result is wrong, or not in its cycle.
    """
    design = Design(_tree, (topology, link_latency))
    scenario = Reductions(
        WIDTH,
        depths(spanning_tree(topology)),
        link_latency,
        [_message(topology.nodes, words, seed)],
    )
    run = simulate(design, scenario, backend)
    return max(cycles[-1] for cycles in run.taken) + 1


def _tree(topology: Topology, link_latency: int) -> ReductionTree:
    return ReductionTree(topology, width=WIDTH, link_latency=link_latency)


@dataclass
class EndAllReduce:
    """An all-reduce by the ends: vectors in, results out.

    Attributes:
        message: What each node gives.
    """

    message: Message

    def __call__(self, step: Step) -> int:
        """Gives the cycles between; every result is checked."""
        mask = (1 << WIDTH) - 1
        expected = [value & mask for value, _ in self.message.results(WIDTH)]
        nodes = range(len(self.message.own))
        outcome = step(
            Play(
                sources=[
                    Source(f"loads__{node}", [value & mask for value in values])
                    for node, (_, values) in zip(nodes, self.message.own, strict=True)
                ],
                sinks=[Sink(f"results__{node}", len(expected), expected) for node in nodes],
                limit=100 * self.message.words + 10_000,
                trailing=10,
            )
        )
        for stream, log in outcome.sinks.items():
            check_sink(stream, log)
        return step(Probe({}, ["elapsed"])).outputs["elapsed"]


def measure_ends(
    topology: Topology,
    algorithm: Algorithm,
    words: int,
    link_latency: int,
    seed: int,
    backend: Backend,
) -> int:
    """Cycles of an all-reduce at the ends, from all vectors there to all results there.

    Raises:
        CheckError: if a result is wrong.
    """
    design = Design(CollectiveBench, (topology, algorithm, words, WIDTH, link_latency))
    scenario = EndAllReduce(_message(topology.nodes, words, seed))
    return simulate(design, scenario, backend)
