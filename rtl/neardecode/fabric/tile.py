"""A router with the links that leave it."""

from collections.abc import Iterable, Sequence

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config import RouterCause
from neardecode.config.topology import LOCAL, Topology
from neardecode.fabric.router import Router, Turn
from neardecode.lib.counters import CycleCounters
from neardecode.lib.credit import CreditSignature
from neardecode.lib.flit import FlitLayout
from neardecode.lib.pipe import CreditPipe

__all__ = ["Tile", "network_flit", "network_routes", "network_turns"]


def network_flit(topology: Topology, word_bits: int) -> FlitLayout:
    """The flits of a network."""
    return FlitLayout(word_bits, topology.addresses, topology.ports)


def network_routes(topology: Topology, node: int) -> list[int]:
    """For each address, the port of a node that leads to it."""
    routes = [LOCAL] * topology.addresses
    for destination in range(topology.nodes):
        routes[topology.address(destination)] = topology.route(node, destination)
    return routes


def network_turns(topology: Topology, node: int, classes: Sequence[int]) -> set[Turn]:
    """The ways that packets take through a node.

    Raises:
        ValueError: if a class has no whole number of virtual channels a lane.
    """
    lanes = topology.lanes
    if odd := [size for size in classes if size % lanes]:
        raise ValueError(f"a class must have a multiple of {lanes} channels here, not {odd[0]}")
    return {
        Turn(arrives, base + lane, leaves, base + next_lane)
        for arrives, lane, leaves, next_lane in topology.turns[node]
        for base in range(0, sum(classes), lanes)
    }


class Tile(wiring.Component):
    """What a network is made of: a router, the links that leave it, the link from its own end.

    No output depends on an input of the same cycle, so tiles that are joined can be simulated one
    after another.

    Parameters:
        flit: What is carried.
        routes: For each address, the port that leads to it; None where pins say so.
        turns: The ways that packets take.
        buffer_flits: Flits that a virtual channel of an input holds.
        link_latency: Registers of a link in each direction.
        classes: Virtual channels of each class of traffic.

    Members:
        inputs: In(`CreditSignature`), an array. The first comes from the tile's own end.
        outputs: Out(`CreditSignature`), an array. Behind the links.
        counting: In(1). Counters run.
        cycles: Out(counts by `RouterCause`).
        routes: As the router's.
    """

    inputs: Sequence
    outputs: Sequence
    counting: Signal
    cycles: data.View
    routes: Sequence

    def __init__(
        self,
        flit: FlitLayout,
        routes: Sequence[int] | None,
        turns: Iterable[Turn],
        *,
        buffer_flits: int,
        link_latency: int,
        classes: Sequence[int],
    ):
        turns = sorted(turns)
        self._router = Router(
            flit,
            routes=routes,
            buffer_flits=buffer_flits,
            output_credits=buffer_flits,
            classes=classes,
            turns=turns,
        )
        channels = sum(classes)
        self._pipes = {
            port: CreditPipe(flit, link_latency, channels)
            for port in sorted({turn.leaves for turn in turns})
        }
        self._injection = CreditPipe(flit, link_latency, channels)
        self._cycles = CycleCounters(RouterCause)
        self._joined = sorted({turn.arrives for turn in turns} - {LOCAL})
        link = CreditSignature(flit, channels)
        super().__init__(
            {
                "inputs": In(link).array(flit.ports),
                "outputs": Out(link).array(flit.ports),
                "counting": In(1),
                "cycles": Out(self._cycles.counts.shape()),
                **({"routes": In(flit.addresses).array(flit.ports)} if routes is None else {}),
            }
        )

    def elaborate(self, platform) -> Module:
        """Router, registers, counters."""
        m = Module()
        m.submodules.router = router = self._router
        m.submodules.cycle_counters = cycles = self._cycles
        m.submodules.injection = injection = self._injection
        connect(m, flipped(self.inputs[LOCAL]), injection.i)
        connect(m, injection.o, router.inputs[LOCAL])
        for port in self._joined:
            connect(m, flipped(self.inputs[port]), router.inputs[port])
        for port, pipe in self._pipes.items():
            m.submodules[f"link_{port}"] = pipe
            connect(m, router.outputs[port], pipe.i)
            connect(m, pipe.o, flipped(self.outputs[port]))
        if "routes" in self.signature.members:
            for own, inner in zip(self.routes, router.routes, strict=True):
                m.d.comb += inner.eq(own)
        m.d.comb += [
            cycles.cause.eq(router.cause),
            cycles.counting.eq(self.counting),
            self.cycles.eq(cycles.counts),
        ]
        return m
