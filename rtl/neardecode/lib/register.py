"""A register in both directions of a stream."""

from amaranth.hdl import Module, Shape, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RegisterSlice"]


class RegisterSlice(wiring.Component):
    """Cut every combinational path of a stream, payload, valid and ready alike.

    Two entries: the output register, and a skid register that catches the payload which arrives
    in the cycle in which the output stalls, because ``i.ready`` tells the truth of one cycle ago.

    Latency: one cycle. Rate: one payload a cycle. Under backpressure it accepts two payloads, then
    holds ``i.ready`` low; ``i.ready`` returns one cycle after a payload has been taken.

    Parameters:
        shape: Shape of the payload.

    Members:
        i: ``In(stream.Signature(shape))``.
        o: ``Out(stream.Signature(shape))``.

    Raises:
        TypeError: if ``shape`` is not a shape.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: ShapeLike):
        width = Shape.cast(shape).width
        self._output = Signal(width, name="output", reset_less=True)
        self._output_valid = Signal(name="output_valid")
        self._skid = Signal(width, name="skid", reset_less=True)
        self._skid_valid = Signal(name="skid_valid")
        super().__init__(
            {"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))},
        )

    @property
    def latency(self) -> int:
        """Cycles from ``i`` to ``o``."""
        return 1

    def elaborate(self, platform) -> Module:
        """Two registers of payload, each with its valid bit."""
        m = Module()

        output, output_valid = self._output, self._output_valid
        skid, skid_valid = self._skid, self._skid_valid

        m.d.comb += [
            self.i.ready.eq(~skid_valid),
            self.o.valid.eq(output_valid),
            Value.cast(self.o.payload).eq(output),
        ]

        with m.If(self.o.ready | ~output_valid):
            m.d.sync += skid_valid.eq(0)
            with m.If(skid_valid):
                m.d.sync += [output.eq(skid), output_valid.eq(1)]
            with m.Else():
                m.d.sync += output_valid.eq(self.i.valid)
                with m.If(self.i.valid):
                    m.d.sync += output.eq(Value.cast(self.i.payload))
        with m.Elif(self.i.valid & ~skid_valid):
            m.d.sync += [skid.eq(Value.cast(self.i.payload)), skid_valid.eq(1)]

        return m
