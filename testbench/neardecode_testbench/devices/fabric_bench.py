"""Routers and links with plain streams at their edges."""

from collections.abc import Sequence

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.fabric.link import Link
from neardecode.fabric.router import Router
from neardecode.lib.credit import CreditReceiver, CreditSender
from neardecode.lib.flit import FlitLayout

__all__ = ["LinkBench", "RouterBench"]


class LinkBench(wiring.Component):
    """A link into a receiver.

    Parameters:
        flit: What it carries.
        latency: Registers in each direction.
        credits: Flits that the receiver holds.

    Members:
        flits: In(stream of flit).
        arrived: Out(stream of flit).
        counting, cycles: As the link's.
    """

    flits: stream.Interface
    arrived: stream.Interface
    counting: Signal
    cycles: data.View

    def __init__(self, flit: FlitLayout, latency: int, credits: int):
        self.link = Link(flit, latency=latency, credits=credits)
        self.receiver = CreditReceiver(flit, credits)
        super().__init__(
            {
                "flits": In(stream.Signature(flit)),
                "arrived": Out(stream.Signature(flit)),
                "counting": In(1),
                "cycles": Out(self.link.cycles.shape()),
            }
        )

    def elaborate(self, platform) -> Module:
        """Wire the receiver to the link's far end."""
        m = Module()
        m.submodules.link = link = self.link
        m.submodules.receiver = receiver = self.receiver
        connect(m, flipped(self.flits), link.flits)
        connect(m, link.far, receiver.link)
        connect(m, receiver.o, flipped(self.arrived))
        m.d.comb += [link.counting.eq(self.counting), self.cycles.eq(link.cycles)]
        return m


class RouterBench(wiring.Component):
    """A router between senders and receivers.

    Parameters:
        flit: What it carries.
        routes: For each destination, the port that leads to it.
        ports: Ports of the router.
        buffer_flits: Flits that an input holds.
        output_credits: Flits that a receiver behind an output holds.

    Members:
        inputs: In(stream of flit), one a port.
        outputs: Out(stream of flit), one a port.
        counting, cycles: As the router's.
    """

    inputs: Sequence
    outputs: Sequence
    counting: Signal
    cycles: data.View

    def __init__(
        self,
        flit: FlitLayout,
        routes: Sequence[int],
        ports: int,
        buffer_flits: int,
        output_credits: int,
    ):
        self.router = Router(
            flit,
            routes=routes,
            ports=ports,
            buffer_flits=buffer_flits,
            output_credits=output_credits,
        )
        self._flit = flit
        self._ports = ports
        self._buffer_flits = buffer_flits
        self._output_credits = output_credits
        super().__init__(
            {
                "inputs": In(stream.Signature(flit)).array(ports),
                "outputs": Out(stream.Signature(flit)).array(ports),
                "counting": In(1),
                "cycles": Out(self.router.cycles.shape()),
            }
        )

    def elaborate(self, platform) -> Module:
        """A sender before every input, a receiver behind every output."""
        m = Module()
        m.submodules.router = router = self.router
        for port in range(self._ports):
            m.submodules[f"sender_{port}"] = sender = CreditSender(self._flit, self._buffer_flits)
            m.submodules[f"receiver_{port}"] = receiver = CreditReceiver(
                self._flit, self._output_credits
            )
            connect(m, flipped(self.inputs[port]), sender.i)
            connect(m, sender.link, router.inputs[port])
            connect(m, router.outputs[port], receiver.link)
            connect(m, receiver.o, flipped(self.outputs[port]))
        m.d.comb += [router.counting.eq(self.counting), self.cycles.eq(router.cycles)]
        return m
