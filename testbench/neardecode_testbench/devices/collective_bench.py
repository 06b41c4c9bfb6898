"""A network whose ends do an all-reduce themselves."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config.topology import Topology
from neardecode.fabric.network import Network
from neardecode.fabric.tile import network_flit
from neardecode_testbench.devices.collective_end import CollectiveEnd
from neardecode_testbench.devices.collective_schedule import SCHEDULES, Algorithm

__all__ = ["CollectiveBench"]


class CollectiveBench(wiring.Component):
    """Ends with a vector each, joined by routers.

    Parameters:
        topology: How.
        algorithm: What the ends do.
        words: Words of a vector; a multiple of the nodes.
        width: Bits of a word and of a flit's.
        link_latency: Registers of a link.
        buffer_flits: Flits of a router's buffer.

    Members:
        loads: In(stream of a word), an array by node.
        results: Out(stream of a word), an array by node.
        elapsed: Out(32). Cycles from the last end loaded to the last end done.
    """

    loads: Sequence
    results: Sequence
    elapsed: Signal

    def __init__(
        self,
        topology: Topology,
        algorithm: Algorithm,
        words: int,
        width: int = 64,
        link_latency: int = 1,
        buffer_flits: int = 8,
    ):
        flit = network_flit(topology, width)
        channels = topology.lanes
        schedule = SCHEDULES[algorithm](topology, words)
        self._network = Network(
            topology,
            flit,
            buffer_flits=buffer_flits,
            link_latency=link_latency,
            classes=(channels,),
        )
        addresses = [topology.address(node) for node in range(topology.nodes)]
        self._ends = [
            CollectiveEnd(
                flit,
                address=addresses[node],
                addresses=addresses,
                steps=schedule[node],
                words=words,
                step_words=words // topology.nodes if algorithm == "ring" else words,
                credits=buffer_flits,
                channels=channels,
            )
            for node in range(topology.nodes)
        ]
        streams = stream.Signature(width)
        super().__init__(
            {
                "loads": In(streams).array(topology.nodes),
                "results": Out(streams).array(topology.nodes),
                "elapsed": Out(32),
            }
        )

    def elaborate(self, platform) -> Module:
        """Ends at the network, and a count."""
        m = Module()
        m.submodules.network = network = self._network
        start, done = Signal(), Signal()
        m.d.comb += [
            start.eq(Cat(end.loaded for end in self._ends).all()),
            done.eq(Cat(end.done for end in self._ends).all()),
        ]
        with m.If(start & ~done):
            m.d.sync += self.elapsed.eq(self.elapsed + 1)
        for node, end in enumerate(self._ends):
            m.submodules[f"end_{node}"] = end
            connect(m, flipped(self.loads[node]), end.loads)
            connect(m, end.results, flipped(self.results[node]))
            connect(m, end.injection, network.injections[node])
            connect(m, network.ejections[node], end.ejection)
            m.d.comb += end.start.eq(start)
        return m
