"""Routers and links with plain streams at their edges."""

from collections.abc import Sequence

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config import RouterCause
from neardecode.fabric.link import Link
from neardecode.fabric.router import Router
from neardecode.lib.counters import CycleCounters
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
    """A router between senders and receivers, one for each virtual channel.

    Of the senders of an input, the one of the lowest channel that can send does.

    Parameters:
        flit: What it carries.
        routes: For each address, the port that leads to it.
        buffer_flits: Flits that a channel of an input holds.
        output_credits: Flits that a receiver behind an output holds.
        classes: Virtual channels of each class.

    Members:
        inputs: In(stream of flit), by port and channel.
        outputs: Out(stream of flit), by port and channel.
        counting, cycles: Its counters, by `RouterCause`.
    """

    inputs: Sequence
    outputs: Sequence
    counting: Signal
    cycles: data.View

    def __init__(
        self,
        flit: FlitLayout,
        routes: Sequence[int],
        buffer_flits: int,
        output_credits: int,
        classes: Sequence[int] = (1,),
    ):
        self.router = Router(
            flit,
            routes=routes,
            buffer_flits=buffer_flits,
            output_credits=output_credits,
            classes=classes,
        )
        self._cycles = CycleCounters(RouterCause)
        self._flit = flit
        self._channels = sum(classes)
        self._buffer_flits = buffer_flits
        self._output_credits = output_credits
        streams = stream.Signature(flit)
        super().__init__(
            {
                "inputs": In(streams).array(flit.ports, self._channels),
                "outputs": Out(streams).array(flit.ports, self._channels),
                "counting": In(1),
                "cycles": Out(self._cycles.counts.shape()),
            }
        )

    def elaborate(self, platform) -> Module:
        """Senders before every input, receivers behind every output."""
        m = Module()
        m.submodules.router = router = self.router
        for port in range(self._flit.ports):
            link, far = router.inputs[port], router.outputs[port]
            earlier: Value = Const(0, 1)
            payload: Value = Const(0, self._flit.size)
            for channel in range(self._channels):
                sender = CreditSender(self._flit, self._buffer_flits)
                receiver = CreditReceiver(self._flit, self._output_credits)
                m.submodules[f"sender_{port}_{channel}"] = sender
                m.submodules[f"receiver_{port}_{channel}"] = receiver
                flits = self.inputs[port][channel]
                m.d.comb += [
                    sender.i.valid.eq(flits.valid & ~earlier),
                    sender.i.payload.eq(flits.payload),
                    flits.ready.eq(sender.i.ready & ~earlier),
                    link.valid[channel].eq(sender.link.valid),
                    sender.link.credit.eq(link.credit[channel]),
                    receiver.link.valid.eq(far.valid[channel]),
                    receiver.link.payload.eq(far.payload),
                    far.credit[channel].eq(receiver.link.credit),
                ]
                payload = payload | Mux(
                    sender.link.valid, Value.cast(sender.link.payload), Const(0, 1)
                )
                earlier = earlier | sender.link.valid
                connect(m, receiver.o, flipped(self.outputs[port][channel]))
            m.d.comb += Value.cast(link.payload).eq(payload)
        m.submodules.cycle_counters = cycles = self._cycles
        m.d.comb += [
            cycles.cause.eq(router.cause),
            cycles.counting.eq(self.counting),
            self.cycles.eq(cycles.counts),
        ]
        return m
