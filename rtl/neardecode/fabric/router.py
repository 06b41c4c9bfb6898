"""A router: flits in on credit links, flits out on credit links."""

from collections.abc import Sequence

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config import RouterCause
from neardecode.lib.arbiter import RoundRobin
from neardecode.lib.counters import CycleCounters
from neardecode.lib.credit import CreditReceiver, CreditSender, CreditSignature
from neardecode.lib.flit import FlitLayout

__all__ = ["Router"]


class Router(wiring.Component):
    """Forwards packets from any port to the port that leads to their destination.

    Wormhole: an output that took a packet's head takes its other flits before any other packet.
    Inputs that want the same output take turns by packet. A flit leaves `latency` cycles after it
    came, later by one cycle for each flit that goes before it and for each cycle without credit.
    Rate one flit a cycle at every output.

    Parameters:
        flit: What it carries.
        routes: For each destination, the port that leads to it.
        ports: Ports, each an input and an output.
        buffer_flits: Flits that an input holds, and credits that its sender has.
        output_credits: Credits of every output; the flits that the next receiver holds.

    Members:
        inputs: In(`CreditSignature`), an array.
        outputs: Out(`CreditSignature`), an array.
        counting: In(1). Counters run.
        cycles: Out(counts by `RouterCause`).

    Raises:
        ValueError: if a route leads to no port, or not every destination has one.
    """

    latency = 1
    """Cycles from an input to an output that is free."""

    inputs: Sequence
    outputs: Sequence
    counting: Signal
    cycles: data.View

    def __init__(
        self,
        flit: FlitLayout,
        *,
        routes: Sequence[int],
        ports: int,
        buffer_flits: int,
        output_credits: int,
    ):
        if len(routes) != flit.endpoints:
            raise ValueError(f"routes must have {flit.endpoints} entries, not {len(routes)!r}")
        for port in routes:
            if port not in range(ports):
                raise ValueError(f"a route must be one of {ports} ports, not {port!r}")
        self._flit = flit
        self._routes = tuple(routes)
        self._ports = ports
        self._buffer_flits = buffer_flits
        self._output_credits = output_credits
        self._cycles = CycleCounters(RouterCause)
        super().__init__(
            {
                "inputs": In(CreditSignature(flit)).array(ports),
                "outputs": Out(CreditSignature(flit)).array(ports),
                "counting": In(1),
                "cycles": Out(self._cycles.counts.shape()),
            }
        )

    def elaborate(self, platform) -> Module:
        """Receivers, routes, an arbiter an output, senders."""
        m = Module()
        ports = range(self._ports)
        routes = Array(self._routes)

        heads = []
        wants = []
        for port in ports:
            m.submodules[f"receiver_{port}"] = receiver = CreditReceiver(
                self._flit, self._buffer_flits
            )
            connect(m, flipped(self.inputs[port]), receiver.link)
            heads.append(receiver.o)
            wants.append(routes[receiver.o.payload.destination])

        takes = [Signal(self._ports, name=f"takes_{port}") for port in ports]
        for port in ports:
            m.submodules[f"sender_{port}"] = sender = CreditSender(self._flit, self._output_credits)
            m.submodules[f"arbiter_{port}"] = arbiter = RoundRobin(self._ports)
            connect(m, sender.link, flipped(self.outputs[port]))
            locked = Signal(name=f"locked_{port}")
            owner = Signal(self._ports, name=f"owner_{port}")
            asking = Cat(
                head.valid & (want == port) for head, want in zip(heads, wants, strict=True)
            )
            flit = Signal(self._flit, name=f"flit_{port}")
            m.d.comb += [
                arbiter.requests.eq(asking & Mux(locked, owner, ~0)),
                arbiter.advance.eq(sender.i.ready),
                sender.i.valid.eq(arbiter.requests.any()),
                flit.eq(_choose(arbiter.grants, [head.payload for head in heads])),
                sender.i.payload.eq(flit),
                takes[port].eq(Mux(sender.i.ready, arbiter.grants, 0)),
            ]
            with m.If(sender.i.valid & sender.i.ready):
                m.d.sync += [locked.eq(~flit.tail), owner.eq(arbiter.grants)]

        for port in ports:
            m.d.comb += heads[port].ready.eq(Cat(take[port] for take in takes).any())

        m.submodules.cycle_counters = self._cycles
        with m.If(Cat(takes).any()):
            m.d.comb += self._cycles.cause.eq(RouterCause.BUSY.value)
        with m.Elif(Cat(head.valid for head in heads).any()):
            m.d.comb += self._cycles.cause.eq(RouterCause.CREDIT.value)
        with m.Else():
            m.d.comb += self._cycles.cause.eq(RouterCause.IDLE.value)
        m.d.comb += [
            self._cycles.counting.eq(self.counting),
            self.cycles.eq(self._cycles.counts),
        ]
        return m


def _choose(grants, values):
    """The value whose grant is set, or zero."""
    chosen = 0
    for grant, value in zip(grants, values, strict=True):
        chosen = chosen | Mux(grant, value.as_value(), 0)
    return chosen
