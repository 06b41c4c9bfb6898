"""A reduction tree over the links of a topology."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config import Protection
from neardecode.config.topology import Topology
from neardecode.fabric.protected_side import ProtectedSide
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
    stands there in cycle ``k + (depth + d) * (link_latency + 1) + 2``; over protected links, in
    which nothing is lost, each link takes `hop_cycles` instead of ``link_latency + 1``.

    Parameters:
        topology: Where the nodes are.
        width: Bits of a word.
        lanes: Words side by side.
        link_latency: Registers of a link in each direction.
        landing_words: Results that wait at a node.
        protection: Of protected links; ``link_latency`` is theirs then.

    Members:
        commands: In(stream of `ReductionCommand`), an array by node.
        contributions: In(stream of width times lanes), an array by node.
        results: Out(stream of `ReducedWord`), an array by node.
        lanes_out, lanes_in: Out(lanes), In(lanes). Only of protected links: arrays by end, in the
            order of `ends`.
        failed: Out(1). Only of them: of one more lanes are faulty than it has spares.
        counting: In(1). Counters run.
        cycles: Out(counts by `ReductionCause`), an array by node.
        link_cycles, link_events: Out(counts by `ProtectedLinkCause`, by `ProtectedLinkEvent`). Only
            of them: arrays by end.
    """

    commands: Sequence
    contributions: Sequence
    results: Sequence
    lanes_out: Sequence
    lanes_in: Sequence
    failed: Signal
    counting: Signal
    cycles: Sequence
    link_cycles: Sequence
    link_events: Sequence

    def __init__(
        self,
        topology: Topology,
        *,
        width: int = 64,
        lanes: int = 1,
        link_latency: int = 1,
        landing_words: int = 16,
        protection: Protection | None = None,
    ):
        self.parents = spanning_tree(topology)
        self._children = [
            [child for child, parent in enumerate(self.parents) if parent == node]
            for node in range(topology.nodes)
        ]
        self._link_latency, self._protection = link_latency, protection
        credits = 2 * (0 if protection else link_latency) + 2
        self._nodes = [
            ReductionNode(
                width=width,
                lanes=lanes,
                nodes=topology.nodes,
                children=len(self._children[node]),
                root=self.parents[node] is None,
                credits=credits,
                landing_words=landing_words,
            )
            for node in range(topology.nodes)
        ]
        counts = self._nodes[0].signature.members["cycles"].shape
        self._sides: dict[tuple[int, str], ProtectedSide] = {}
        if protection is not None:
            for child, way in self.ends:
                up, down = (
                    self._nodes[child].signature.members[name].signature.shape
                    for name in ("up_to", "down_from")
                )
                leaving, coming = (up, down) if way == "up" else (down, up)
                side = ProtectedSide(leaving, coming, protection, credits)
                self._sides[child, way] = side
        links = {}
        if self._sides:
            side = next(iter(self._sides.values())).signature.members
            links = {
                "lanes_out": side["lanes_out"].array(len(self._sides)),
                "lanes_in": side["lanes_in"].array(len(self._sides)),
                "failed": Out(1),
                "link_cycles": side["cycles"].array(len(self._sides)),
                "link_events": side["events"].array(len(self._sides)),
            }
        super().__init__(
            {
                "commands": In(stream.Signature(ReductionCommand())).array(topology.nodes),
                "contributions": In(stream.Signature(width * lanes)).array(topology.nodes),
                "results": Out(stream.Signature(ReducedWord(width, lanes))).array(topology.nodes),
                "counting": In(1),
                "cycles": Out(counts).array(topology.nodes),
                **links,
            }
        )

    @property
    def hop_cycles(self) -> int:
        """Cycles from a node to the next."""
        if self._protection is None:
            return self._link_latency + 1
        return self._protection.unit_latency + 2

    @property
    def ends(self) -> list[tuple[int, str]]:
        """Both ends of each link: the child that it leads to, and which way its lanes lead out."""
        children = [child for child, parent in enumerate(self.parents) if parent is not None]
        return [(child, way) for child in children for way in ("up", "down")]

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
                    if self._protection is not None:
                        m.submodules[f"{way}_{child}"] = side = self._sides[child, way]
                        far = self._sides[child, "down" if way == "up" else "up"]
                        connect(m, source, side.i)
                        connect(m, far.o, target)
                        continue
                    pipe = CreditPipe(source.payload.shape(), self._link_latency)
                    m.submodules[f"{way}_{child}"] = pipe
                    connect(m, source, pipe.i)
                    connect(m, pipe.o, target)
        for place, side in enumerate(self._sides.values()):
            m.d.comb += [
                self.lanes_out[place].eq(side.lanes_out),
                side.lanes_in.eq(self.lanes_in[place]),
                side.counting.eq(self.counting),
                self.link_cycles[place].eq(side.cycles),
                self.link_events[place].eq(side.events),
            ]
        if self._sides:
            m.d.comb += self.failed.eq(Cat(side.failed for side in self._sides.values()).any())
        return m
