"""A reduction tree over the links of a topology."""

from collections.abc import Sequence

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config.topology import Topology
from neardecode.fabric.reduction import ReducedWord, ReductionCommand, ReductionNode
from neardecode.lib.pipe import CreditPipe

__all__ = ["ReductionTree", "depths", "spanning_tree"]


def spanning_tree(topology: Topology) -> list[int | None]:
    """For each node its parent, none for the root: the least deep tree along the links.

    Every node is as near to the root as in the topology; the root is the first of those whose
    farthest node is nearest. Of several parents that are as near, the one with fewest children.
    """
    return min(
        (_tree_from(topology, root) for root in range(topology.nodes)),
        key=lambda parents: max(depths(parents)),
    )


def depths(parents: Sequence[int | None]) -> list[int]:
    """For each node its links to the root."""

    def depth(node: int) -> int:
        parent = parents[node]
        return 0 if parent is None else 1 + depth(parent)

    return [depth(node) for node in range(len(parents))]


def _tree_from(topology: Topology, root: int) -> list[int | None]:
    parents: list[int | None] = [None] * topology.nodes
    children = [0] * topology.nodes
    reached, level = {root}, [root]
    while level:
        nearer: dict[int, list[int]] = {}
        for node in level:
            for port in range(1, topology.ports):
                far = topology.neighbour(node, port)
                if far is not None and far[0] not in reached:
                    nearer.setdefault(far[0], []).append(node)
        for node, candidates in sorted(nearer.items()):
            parent = min(candidates, key=lambda candidate: (children[candidate], candidate))
            parents[node] = parent
            children[parent] += 1
        level = sorted(nearer)
        reached |= nearer.keys()
    return parents


class ReductionTree(wiring.Component):
    """All-reduce, broadcast and all-gather among the ends of a topology.

    Its links are beside those of the network's routers, with wires of their own. With every node's
    command and words there from cycle 0 on, result k of a node that lies d links from the root
    stands there in cycle ``k + (depth + d) * (link_latency + 1) + 2``.

    Parameters:
        topology: Where the nodes are.
        width: Bits of a word.
        lanes: Words side by side.
        link_latency: Registers of a link in each direction.
        landing_words: Results that wait at a node.

    Members:
        commands: In(stream of `ReductionCommand`), an array by node.
        contributions: In(stream of width times lanes), an array by node.
        results: Out(stream of `ReducedWord`), an array by node.
        counting: In(1). Counters run.
        cycles: Out(counts by `ReductionCause`), an array by node.
    """

    commands: Sequence
    contributions: Sequence
    results: Sequence
    counting: Signal
    cycles: Sequence

    def __init__(
        self,
        topology: Topology,
        *,
        width: int = 64,
        lanes: int = 1,
        link_latency: int = 1,
        landing_words: int = 16,
    ):
        self.parents = spanning_tree(topology)
        self._children = [
            [child for child, parent in enumerate(self.parents) if parent == node]
            for node in range(topology.nodes)
        ]
        self._link_latency = link_latency
        self._nodes = [
            ReductionNode(
                width=width,
                lanes=lanes,
                nodes=topology.nodes,
                children=len(self._children[node]),
                root=self.parents[node] is None,
                credits=2 * link_latency + 2,
                landing_words=landing_words,
            )
            for node in range(topology.nodes)
        ]
        counts = self._nodes[0].signature.members["cycles"].shape
        super().__init__(
            {
                "commands": In(stream.Signature(ReductionCommand())).array(topology.nodes),
                "contributions": In(stream.Signature(width * lanes)).array(topology.nodes),
                "results": Out(stream.Signature(ReducedWord(width, lanes))).array(topology.nodes),
                "counting": In(1),
                "cycles": Out(counts).array(topology.nodes),
            }
        )

    @property
    def depth(self) -> int:
        """Links from the root to the farthest node."""
        return max(depths(self.parents))

    def elaborate(self, platform) -> Module:
        """Nodes, and registers between each and its parent."""
        m = Module()
        for number, node in enumerate(self._nodes):
            m.submodules[f"node_{number}"] = node
            connect(m, flipped(self.commands[number]), node.commands)
            connect(m, flipped(self.contributions[number]), node.contributions)
            connect(m, node.results, flipped(self.results[number]))
            m.d.comb += [node.counting.eq(self.counting), self.cycles[number].eq(node.cycles)]
            for place, child in enumerate(self._children[number]):
                for way, source, target in (
                    ("up", self._nodes[child].up_to, node.up_from[place]),
                    ("down", node.down_to[place], self._nodes[child].down_from),
                ):
                    pipe = CreditPipe(source.payload.shape(), self._link_latency)
                    m.submodules[f"{way}_{child}"] = pipe
                    connect(m, source, pipe.i)
                    connect(m, pipe.o, target)
        return m
