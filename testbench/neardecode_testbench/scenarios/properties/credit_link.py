"""A credit link from end to end: credits are conserved and the buffer never overflows."""

from collections.abc import Sequence

from amaranth.asserts import AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Cat, Const, Cover, Elaboratable, Module, ShapeLike, Signal, Value
from amaranth.lib.wiring import connect

from neardecode.lib import CreditPipe, CreditReceiver, CreditSender

from .queue import ObservedFIFO

__all__ = [
    "CreditLinkProperties",
    "ObservedCreditPipe",
    "ObservedCreditReceiver",
    "ObservedCreditSender",
]


class ObservedCreditSender(CreditSender):
    """A sender that shows its credits."""

    @property
    def available(self) -> Signal:
        """Credits that it may spend."""
        return self._available


class ObservedCreditPipe(CreditPipe):
    """A pipe that shows what is in flight, the sender's end first for payloads."""

    @property
    def valids(self) -> Sequence[Signal]:
        """Stages with a payload."""
        return self._valids

    @property
    def payloads(self) -> Sequence[Signal]:
        """Payloads in flight."""
        return self._payloads

    @property
    def credits(self) -> Sequence[Signal]:
        """Stages with a credit."""
        return self._credits


class ObservedCreditReceiver(CreditReceiver):
    """A receiver that shows its buffer."""

    def _stream_buffer(self, shape: ShapeLike, depth: int) -> ObservedFIFO:
        self.buffer = ObservedFIFO(shape, depth)
        return self.buffer


class CreditLinkProperties(Elaboratable):
    """Sender, pipe and receiver joined: a queue that neither overflows nor loses a credit.

    - Credits at the sender, payloads in flight, payloads in the buffer and credits on their way
      back are, in every cycle, as many as the sender began with.
    - A payload that arrives finds a free entry (the receiver's own assertion).
    - One item, any, is chosen as it enters and followed from stage to stage; it comes out
      unchanged, in its turn.

    Args:
        sender: One end.
        pipe: The wire.
        receiver: The other end.
        invariants: Whether to state, beside the contract, what closes the induction.
    """

    def __init__(
        self,
        sender: ObservedCreditSender,
        pipe: ObservedCreditPipe,
        receiver: ObservedCreditReceiver,
        invariants: bool = True,
    ):
        self.sender = sender
        self.pipe = pipe
        self.receiver = receiver
        self.invariants = invariants

    def elaborate(self, platform) -> Module:
        """The link in a free environment, the counts beside it, the statements on both."""
        m = Module()
        m.submodules.sender = sender = self.sender
        m.submodules.pipe = pipe = self.pipe
        m.submodules.receiver = receiver = self.receiver
        connect(m, sender.link, pipe.i)
        connect(m, pipe.o, receiver.link)
        payload_in, payload_out = Value.cast(sender.i.payload), Value.cast(receiver.o.payload)
        buffer = receiver.buffer
        total = sender.credits

        accepted, taken, choose = Signal(), Signal(), Signal()
        m.d.comb += [
            sender.i.valid.eq(AnySeq(1)),
            payload_in.eq(AnySeq(len(payload_in))),
            receiver.o.ready.eq(AnySeq(1)),
            choose.eq(AnySeq(1)),
            accepted.eq(sender.i.valid & sender.i.ready),
            taken.eq(receiver.o.valid & receiver.o.ready),
        ]

        inside = Signal(range(total + 2))
        m.d.sync += inside.eq(inside + accepted - taken)

        # Where the chosen item is: one bit for each stage of the pipe, then one for the buffer.
        in_stage = [Signal(name=f"in_stage_{stage}") for stage in range(pipe.latency)]
        in_buffer = Signal()
        chosen = Cat(*in_stage, in_buffer).any()
        ahead = Signal(range(total + 1))
        payload = Signal(len(payload_in))
        leaving = in_buffer & (ahead == 0) & taken
        arriving = Signal()
        m.d.comb += arriving.eq(~chosen & choose & accepted)
        entering = arriving
        for bit in in_stage:
            m.d.sync += bit.eq(entering)
            entering = bit
        m.d.sync += in_buffer.eq(entering | (in_buffer & ~leaving))
        with m.If(arriving):
            m.d.sync += [ahead.eq(inside - taken), payload.eq(payload_in)]
        with m.Elif(chosen & taken & (ahead != 0)):
            m.d.sync += ahead.eq(ahead - 1)

        in_flight = sum(pipe.valids, start=Const(0))
        returning = sum(pipe.credits, start=Const(0))
        places = sum([*in_stage, in_buffer], start=Const(0))
        m.d.comb += [
            buffer.position.eq(ahead),
            Assert(
                sender.available + in_flight + buffer.level + returning == total,
                "credits are conserved",
            ),
            Assert(buffer.level <= receiver.depth, "the buffer does not overflow"),
            Assert(inside == in_flight + buffer.level, "what was accepted is inside until taken"),
            Assert(sender.blocked == (sender.i.valid & ~sender.i.ready), "blocked is the stall"),
            Assert(
                ~(in_buffer & (ahead == 0)) | (receiver.o.valid & (payload_out == payload)),
                "an item in front is offered as it came in",
            ),
            Assert(~taken | ~chosen | in_buffer | (ahead != 0), "no item comes out early"),
            Cover(sender.blocked, "the sender is out of credits"),
            Cover(leaving & ~sender.blocked, "a chosen item comes out"),
        ]
        if not self.invariants:
            return m

        m.d.comb += [
            Assert(places <= 1, "a chosen item is in one place"),
            Assert(~chosen | (ahead < inside), "a chosen item is inside"),
            Assert(
                ~in_buffer | ((ahead < buffer.level) & (buffer.entry == payload)),
                "a chosen item is stored as it came in",
            ),
        ]
        for stage, (bit, valid, data) in enumerate(
            zip(in_stage, pipe.valids, pipe.payloads, strict=True)
        ):
            before = sum(pipe.valids[stage + 1 :], start=Const(0)) + buffer.level
            m.d.comb += Assert(
                ~bit | (valid & (data == payload) & (ahead == before)),
                "a chosen item is in flight as it came in",
            )
        return m
