"""A link that is governed by credits: sender and receiver.

A credit is the right to send one payload. The sender starts with as many as the receiver has
entries, spends one a payload, and gets one back for each payload that leaves the receiver's
buffer; so the link needs no ready, and a payload in flight always finds room.
"""

from amaranth.hdl import Assert, Module, Shape, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .fifo import StreamFIFO

__all__ = ["CreditInterface", "CreditReceiver", "CreditSender", "CreditSignature"]


class CreditInterface(wiring.PureInterface):
    """The wires of a credit link; see `CreditSignature`."""

    valid: Signal
    payload: Signal
    credit: Signal


class CreditSignature(wiring.Signature):
    """A credit link, from the sender's side.

    Each cycle with ``valid`` high sends one payload; each cycle with ``credit`` high returns one
    credit. Neither waits for the other.

    A link of several virtual channels shares the payload's wires: at most one bit of ``valid`` is
    high, the channel's; every channel has a buffer and credits of its own.

    Parameters:
        shape: Shape of the payload.
        channels: Virtual channels.

    Members:
        valid: ``Out(channels)``. A payload of this channel is sent in this cycle.
        payload: ``Out(shape)``.
        credit: ``In(channels)``. A credit of this channel is returned in this cycle.

    Raises:
        TypeError: if ``shape`` is not a shape.
        ValueError: if ``channels`` is not a positive integer.
    """

    def __init__(self, shape: ShapeLike, channels: int = 1):
        Shape.cast(shape)
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be a positive integer, not {channels!r}")
        self._shape = shape
        self._channels = channels
        super().__init__({"valid": Out(channels), "payload": Out(shape), "credit": In(channels)})

    @property
    def shape(self) -> ShapeLike:
        """Shape of the payload."""
        return self._shape

    @property
    def channels(self) -> int:
        """Virtual channels."""
        return self._channels

    def __eq__(self, other) -> bool:
        return (
            type(other) is CreditSignature
            and self._shape == other._shape
            and self._channels == other._channels
        )

    def create(self, *, path=None, src_loc_at=0) -> CreditInterface:
        """The wires of one link."""
        return CreditInterface(self, path=path, src_loc_at=1 + src_loc_at)

    def __repr__(self) -> str:
        channels = "" if self._channels == 1 else f", channels={self._channels}"
        return f"CreditSignature({self._shape!r}{channels})"


class CreditSender(wiring.Component):
    """Send a stream over a credit link, one credit a payload.

    A credit that arrives in a cycle is spent in the next cycle at the earliest, so there is no
    path from ``link.credit`` to ``link.valid`` or ``i.ready``.

    Latency: none, a path from ``i`` to ``link``. Rate: one payload a cycle as long as credits
    last. Over a link of L cycles each way a credit is back ``2 * L + 2`` cycles after it was
    spent, if the receiver's output is taken at once: one cycle in the receiver's buffer, one to
    count the credit. So

        rate = min(1, credits / (2 * L + 2))

    (at one credit too, since a buffer of one entry is empty again before the credit returns).
    Under backpressure it sends what its credits allow, then holds ``i.ready`` low and, with a
    payload waiting, ``blocked`` high.

    Sender, link and receiver are reset together, or credits are lost or invented.

    Parameters:
        shape: Shape of the payload.
        credits: Credits after reset; at most the receiver's depth.

    Members:
        i: ``In(stream.Signature(shape))``.
        link: ``Out(CreditSignature(shape))``.
        blocked: ``Out(1)``. A payload waits and there is no credit.

    Raises:
        TypeError: if ``shape`` is not a shape.
        ValueError: if ``credits`` is not a positive integer.
    """

    i: stream.Interface
    link: CreditInterface
    blocked: Signal

    def __init__(self, shape: ShapeLike, credits: int):
        Shape.cast(shape)
        if not isinstance(credits, int) or credits < 1:
            raise ValueError(f"credits must be a positive integer, not {credits!r}")
        self._credits = credits
        self._available = Signal(range(credits + 1), name="available", init=credits)
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "link": Out(CreditSignature(shape)),
                "blocked": Out(1),
            }
        )

    @property
    def credits(self) -> int:
        """Credits after reset."""
        return self._credits

    @property
    def latency(self) -> int:
        """Cycles from ``i`` to ``link``."""
        return 0

    @staticmethod
    def full_rate_credits(link_latency: int) -> int:
        """Credits that keep a link of ``link_latency`` cycles each way busy in every cycle."""
        return 2 * link_latency + 2

    def elaborate(self, platform) -> Module:
        """A count of credits, and a gate."""
        m = Module()

        available = self._available
        has_credit = Signal()

        m.d.comb += [
            has_credit.eq(available != 0),
            self.i.ready.eq(has_credit),
            self.link.valid.eq(self.i.valid & has_credit),
            Value.cast(self.link.payload).eq(Value.cast(self.i.payload)),
            self.blocked.eq(self.i.valid & ~has_credit),
        ]

        with m.If(self.link.valid & ~self.link.credit):
            m.d.sync += available.eq(available - 1)
        with m.If(self.link.credit & ~self.link.valid):
            m.d.sync += available.eq(available + 1)

        m.d.sync += Assert(
            ~(self.link.credit & (available == self._credits)),
            "a credit came back that was never spent",
        )
        return m


class CreditReceiver(wiring.Component):
    """Buffer what a credit link brings and return a credit for each payload taken.

    Latency: one cycle from ``link`` to ``o``; a credit returns in the cycle in which its payload
    is taken, a path from ``o.ready`` to ``link.credit``. Rate: one payload a cycle at
    ``depth >= 2``, one in two cycles at ``depth == 1``. Under backpressure it buffers ``depth``
    payloads and returns no credit; more cannot come from a sender with at most ``depth`` credits.

    Parameters:
        shape: Shape of the payload.
        depth: Payloads that fit; at least the sender's credits.

    Members:
        link: ``In(CreditSignature(shape))``.
        o: ``Out(stream.Signature(shape))``.

    Raises:
        TypeError: if ``shape`` is not a shape.
        ValueError: if ``depth`` is not a positive integer.
    """

    link: CreditInterface
    o: stream.Interface

    def __init__(self, shape: ShapeLike, depth: int):
        self._buffer = self._stream_buffer(shape, depth)
        super().__init__({"link": In(CreditSignature(shape)), "o": Out(stream.Signature(shape))})

    def _stream_buffer(self, shape: ShapeLike, depth: int) -> StreamFIFO:
        return StreamFIFO(shape, depth)

    @property
    def depth(self) -> int:
        """Payloads that fit."""
        return self._buffer.depth

    @property
    def latency(self) -> int:
        """Cycles from ``link`` to ``o``."""
        return self._buffer.latency

    def elaborate(self, platform) -> Module:
        """A buffer whose output pays the credits."""
        m = Module()
        m.submodules.buffer = buffer = self._buffer

        wiring.connect(m, buffer.o, wiring.flipped(self.o))
        m.d.comb += [
            buffer.i.valid.eq(self.link.valid),
            Value.cast(buffer.i.payload).eq(Value.cast(self.link.payload)),
            self.link.credit.eq(self.o.valid & self.o.ready),
        ]

        m.d.sync += Assert(
            ~(self.link.valid & ~buffer.i.ready), "a payload came without a free entry"
        )
        return m
