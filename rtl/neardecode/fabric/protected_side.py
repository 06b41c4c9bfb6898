"""A chip's side of a protected link, where credit links lead to it and away from it."""

from amaranth.hdl import Module, Shape, ShapeLike, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neardecode.config import Protection
from neardecode.fabric.link_end import LinkEnd
from neardecode.lib.credit import CreditInterface, CreditReceiver, CreditSender, CreditSignature

__all__ = ["ProtectedSide"]


class ProtectedSide(wiring.Component):
    """Joined with another of its kind, lanes to lanes, stands for a `CreditPipe` each way.

    Latency: `Protection.unit_latency`, and a cycle into the link's end. Rate: as `LinkEnd`.

    Parameters:
        leaving: Shape of what goes to the other side.
        coming: Shape of what comes from it.
        protection: The link, of one channel that retries.
        credits: Payloads that the receiver of either credit link holds.

    Members:
        i: In(`CreditSignature` of leaving).
        o: Out(`CreditSignature` of coming).
        lanes_out, lanes_in, running, failed, counting, cycles, events: As `LinkEnd`.
    """

    i: CreditInterface
    o: CreditInterface
    lanes_out: Signal
    lanes_in: Signal
    running: Signal
    failed: Signal
    counting: Signal
    cycles: data.View
    events: data.View

    def __init__(self, leaving: ShapeLike, coming: ShapeLike, protection: Protection, credits: int):
        widths = [Shape.cast(shape).width for shape in (leaving, coming)]
        self._leaving, self._coming, self._credits = leaving, coming, credits
        self._end = LinkEnd(unsigned(max(widths)), protection)
        end = self._end.signature.members
        passed = ("lanes_out", "lanes_in", "running", "failed", "counting", "cycles", "events")
        super().__init__(
            {
                "i": In(CreditSignature(leaving)),
                "o": Out(CreditSignature(coming)),
                **{name: end[name] for name in passed},
            }
        )

    def elaborate(self, platform) -> Module:
        """Credits end on either side of the link, which has its own."""
        m = Module()
        m.submodules.end = end = self._end
        m.submodules.receiver = receiver = CreditReceiver(self._leaving, self._credits)
        m.submodules.sender = sender = CreditSender(self._coming, self._credits)
        connect(m, flipped(self.i), receiver.link)
        connect(m, sender.link, flipped(self.o))
        (units,), (delivered,) = end.units, end.delivered
        m.d.comb += [
            units.valid.eq(receiver.o.valid),
            units.payload.eq(Value.cast(receiver.o.payload)),
            receiver.o.ready.eq(units.ready),
            sender.i.valid.eq(delivered.valid),
            Value.cast(sender.i.payload).eq(delivered.payload.unit),
            delivered.ready.eq(sender.i.ready),
            end.lanes_in.eq(self.lanes_in),
            end.counting.eq(self.counting),
            *(
                getattr(self, name).eq(getattr(end, name))
                for name in ("lanes_out", "running", "failed", "cycles", "events")
            ),
        ]
        return m
