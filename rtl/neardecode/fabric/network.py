"""A network: tiles joined, with an end at every one."""

from collections.abc import Sequence

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config.topology import LOCAL, Topology, refuse_cycle
from neardecode.fabric.tile import Tile, network_routes, network_turns
from neardecode.lib.credit import CreditSignature
from neardecode.lib.flit import FlitLayout

__all__ = ["Network"]


class Network(wiring.Component):
    """Carries packets between the ends of a topology.

    Every link has `link_latency` registers each way, those to the ends too. Without contention a
    flit is at its ejection ``(hops + 1) * (link_latency + 1) + link_latency`` cycles after it was
    at its injection.

    What an end sends to `Topology.address` of a node arrives at that node's ejection. In a closed
    topology a packet is sent in the lower lane of its channels and may arrive in either.

    Parameters:
        topology: How routers are joined.
        flit: What is carried; see `network_flit`.
        buffer_flits: Flits that a virtual channel of an input holds.
        link_latency: Registers of a link in each direction.
        classes: Virtual channels of each class of traffic.

    Members:
        injections: In(`CreditSignature`), one a node; the sender has `buffer_flits` credits.
        ejections: Out(`CreditSignature`), one a node; the receiver holds `buffer_flits`.
        counting: In(1). Counters run.
        cycles: Out(counts by `RouterCause`), one a node.

    Raises:
        ValueError: if packets could wait for each other in a circle.
    """

    injections: Sequence
    ejections: Sequence
    counting: Signal
    cycles: Sequence

    def __init__(
        self,
        topology: Topology,
        flit: FlitLayout,
        *,
        buffer_flits: int,
        link_latency: int = 1,
        classes: Sequence[int] = (1,),
    ):
        refuse_cycle(topology)
        self._topology = topology
        self._tiles = [
            Tile(
                flit,
                network_routes(topology, node),
                network_turns(topology, node, classes),
                buffer_flits=buffer_flits,
                link_latency=link_latency,
                classes=classes,
            )
            for node in range(topology.nodes)
        ]
        link = CreditSignature(flit, sum(classes))
        counts = self._tiles[0].cycles.shape()
        super().__init__(
            {
                "injections": In(link).array(topology.nodes),
                "ejections": Out(link).array(topology.nodes),
                "counting": In(1),
                "cycles": Out(counts).array(topology.nodes),
            }
        )

    def elaborate(self, platform) -> Module:
        """Tiles, each output at its neighbour's input."""
        m = Module()
        for node, tile in enumerate(self._tiles):
            m.submodules[f"tile_{node}"] = tile
            connect(m, flipped(self.injections[node]), tile.inputs[LOCAL])
            connect(m, tile.outputs[LOCAL], flipped(self.ejections[node]))
            for port in range(1, self._topology.ports):
                if (far := self._topology.neighbour(node, port)) is not None:
                    connect(m, tile.outputs[port], self._tiles[far[0]].inputs[far[1]])
            m.d.comb += [tile.counting.eq(self.counting), self.cycles[node].eq(tile.cycles)]
        return m
