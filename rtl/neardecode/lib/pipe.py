"""The wire between the two ends of a credit link."""

from amaranth.hdl import Module, Shape, ShapeLike, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .credit import CreditInterface, CreditSignature

__all__ = ["CreditPipe"]


class CreditPipe(wiring.Component):
    """Delay a credit link by ``latency`` registers in each direction.

    Latency: ``latency`` cycles from ``i`` to ``o``, and as many for a credit from ``o`` to ``i``;
    none at zero. Rate: one payload and one credit a cycle. There is no backpressure: nothing waits
    on a credit link. Reset drops what is in flight, so both ends are reset with it.

    Parameters:
        shape: Shape of the payload.
        latency: Registers each way.
        channels: Virtual channels.

    Members:
        i: ``In(CreditSignature(shape))``. The sender's side.
        o: ``Out(CreditSignature(shape))``. The receiver's side.

    Raises:
        TypeError: if ``shape`` is not a shape.
        ValueError: if ``latency`` is not a non-negative integer.
    """

    i: CreditInterface
    o: CreditInterface

    def __init__(self, shape: ShapeLike, latency: int, channels: int = 1):
        width = Shape.cast(shape).width
        if not isinstance(latency, int) or latency < 0:
            raise ValueError(f"latency must be a non-negative integer, not {latency!r}")
        stages = range(latency)
        signature = CreditSignature(shape, channels)
        self._valids = [Signal(channels, name=f"valid_{stage}") for stage in stages]
        self._payloads = [
            Signal(width, name=f"payload_{stage}", reset_less=True) for stage in stages
        ]
        self._credits = [Signal(channels, name=f"credit_{stage}") for stage in stages]
        super().__init__({"i": In(signature), "o": Out(signature)})

    @property
    def latency(self) -> int:
        """Cycles from ``i`` to ``o``, and for a credit from ``o`` to ``i``."""
        return len(self._valids)

    def elaborate(self, platform) -> Module:
        """A chain of registers each way."""
        m = Module()

        valid = self.i.valid
        payload = Value.cast(self.i.payload)
        credit = self.o.credit
        for next_valid, next_payload in zip(self._valids, self._payloads, strict=True):
            m.d.sync += next_valid.eq(valid)
            with m.If(valid.any()):
                m.d.sync += next_payload.eq(payload)
            valid, payload = next_valid, next_payload
        for next_credit in self._credits:
            m.d.sync += next_credit.eq(credit)
            credit = next_credit

        m.d.comb += [
            self.o.valid.eq(valid),
            Value.cast(self.o.payload).eq(payload),
            self.i.credit.eq(credit),
        ]
        return m
