"""A link between two blocks: a credit sender, registers, and the counters that say why it waits."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config import LinkCause
from neardecode.lib.counters import CycleCounters
from neardecode.lib.credit import CreditInterface, CreditSender, CreditSignature
from neardecode.lib.flit import FlitLayout
from neardecode.lib.pipe import CreditPipe

__all__ = ["Link"]


class Link(wiring.Component):
    """Carries flits to a receiver that lies `latency` cycles away.

    A flit stands at ``far`` `latency` cycles after it was taken. Rate
    ``min(1, credits / (2 * latency + 2))`` where the receiver's output is taken at once.

    Parameters:
        flit: What it carries.
        latency: Registers in each direction.
        credits: Flits that the receiver holds.

    Members:
        flits: In(stream of flit).
        far: Out(`CreditSignature`). The receiver's side.
        counting: In(1). Counters run.
        cycles: Out(counts by `LinkCause`).
    """

    flits: stream.Interface
    far: CreditInterface
    counting: Signal
    cycles: data.View

    def __init__(self, flit: FlitLayout, *, latency: int, credits: int):
        self._sender = CreditSender(flit, credits)
        self._pipe = CreditPipe(flit, latency)
        self._cycles = CycleCounters(LinkCause)
        super().__init__(
            {
                "flits": In(stream.Signature(flit)),
                "far": Out(CreditSignature(flit)),
                "counting": In(1),
                "cycles": Out(self._cycles.counts.shape()),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a flit taken to the same flit at the far end."""
        return self._sender.latency + self._pipe.latency

    def elaborate(self, platform) -> Module:
        """Sender, registers, counters."""
        m = Module()
        m.submodules.sender = sender = self._sender
        m.submodules.pipe = pipe = self._pipe
        m.submodules.cycle_counters = self._cycles
        connect(m, flipped(self.flits), sender.i)
        connect(m, sender.link, pipe.i)
        connect(m, pipe.o, flipped(self.far))
        with m.If(sender.link.valid):
            m.d.comb += self._cycles.cause.eq(LinkCause.BUSY.value)
        with m.Elif(sender.blocked):
            m.d.comb += self._cycles.cause.eq(LinkCause.CREDIT.value)
        with m.Else():
            m.d.comb += self._cycles.cause.eq(LinkCause.IDLE.value)
        m.d.comb += [
            self._cycles.counting.eq(self.counting),
            self.cycles.eq(self._cycles.counts),
        ]
        return m
