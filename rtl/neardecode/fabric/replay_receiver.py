"""The far end of go-back-N: every unit once and in order, late ones replaced if so configured."""

from amaranth.hdl import Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from neardecode.config import Protection
from neardecode.fabric.link_frame import Delivered, FrameBody, sequence_bits

__all__ = ["ReplayReceiver"]


class ReplayReceiver(wiring.Component):
    """Takes the unit that is expected, drops every other, and says what is missing.

    A unit is delivered in the cycle in which its frame is. A unit is due once a good frame has
    shown that it was sent. When no due unit came for ``timeout`` cycles, it is overdue: with the
    policy ``retry`` that is counted, and counted again after as many cycles; with ``substitute``
    every due unit is replaced, one a cycle, by the unit in the same place of the message before,
    and when it comes after all it is dropped. Before a whole message has come nothing is replaced.

    Parameters:
        shape: Shape of a unit.
        protection: The link.

    Members:
        good: In(1). A frame with a right checksum is here.
        frame: In(`FrameBody`).
        valid: Out(1). A unit is delivered.
        delivered: Out(`Delivered`).
        expected: Out. The number of the next unit.
        behind: Out(1). It was sent, and is missing.
        duplicate: Out(1). A unit came again.
        timeouts: Out(1). A unit is overdue.
    """

    good: Signal
    frame: data.View
    valid: Signal
    delivered: data.View
    expected: Signal
    behind: Signal
    duplicate: Signal
    timeouts: Signal

    def __init__(self, shape: ShapeLike, protection: Protection):
        self._shape = shape
        self._protection = protection
        super().__init__(
            {
                "good": In(1),
                "frame": In(FrameBody(shape, protection)),
                "valid": Out(1),
                "delivered": Out(Delivered(shape)),
                "expected": Out(sequence_bits(protection.window)),
                "behind": Out(1),
                "duplicate": Out(1),
                "timeouts": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """The number expected, how many are due, and a timer."""
        m = Module()
        window = self._protection.window
        frame = self.frame
        numbers = len(self.expected)

        ahead = Signal(numbers)
        accepts, substitutes = Signal(), Signal()
        shown, due, due_now = (Signal(range(window + 1), name=name) for name in _DUE)
        m.d.comb += [
            ahead.eq(frame.sequence - self.expected),
            accepts.eq(self.good & frame.filled & (ahead == 0)),
            # A unit that is a window or more ahead was sent before: the sender keeps no more.
            self.duplicate.eq(self.good & frame.filled & (ahead >= window)),
            shown.eq(Mux(frame.filled, ahead + 1, ahead)),
            due_now.eq(Mux(self.good & ~self.duplicate & (shown > due), shown, due)),
            self.valid.eq(accepts | substitutes),
            self.delivered.substitute.eq(substitutes),
        ]
        m.d.sync += [self.expected.eq(self.expected + self.valid), due.eq(due_now - self.valid)]
        with m.If(self.good):
            m.d.sync += self.behind.eq((ahead != 0) & ~self.duplicate)

        waited = Signal(range(self._protection.timeout + 1))
        overdue = Signal()
        m.d.comb += overdue.eq(waited == self._protection.timeout)
        with m.If(accepts | (due_now == self.valid)):
            m.d.sync += waited.eq(0)
        with m.Elif(~overdue):
            m.d.sync += waited.eq(waited + 1)

        if self._protection.policy == "substitute":
            self._substitute(m, overdue & ~accepts & (due != 0), substitutes)
            entered = Signal()
            m.d.sync += entered.eq(overdue)
            m.d.comb += self.timeouts.eq(overdue & ~entered)
        else:
            m.d.comb += [
                Value.cast(self.delivered.unit).eq(Value.cast(frame.unit)),
                self.timeouts.eq(overdue),
            ]
            with m.If(overdue):
                m.d.sync += waited.eq(0)
        return m

    def _substitute(self, m: Module, wanted: Value, substitutes: Signal) -> None:
        """The message before, unit by unit; what is delivered takes its place."""
        period = self._protection.period
        unit = Value.cast(self.delivered.unit)
        m.submodules.previous = previous = Memory(shape=len(unit), depth=period, init=[])
        write = previous.write_port()
        read = previous.read_port(transparent_for=(write,))
        place, next_place = Signal(range(period)), Signal(range(period))
        complete = Signal()
        last = place == period - 1
        m.d.comb += [
            substitutes.eq(wanted & complete),
            unit.eq(Mux(substitutes, read.data, Value.cast(self.frame.unit))),
            next_place.eq(Mux(self.valid, Mux(last, 0, place + 1), place)),
            write.addr.eq(place),
            write.data.eq(unit),
            write.en.eq(self.valid),
            read.addr.eq(next_place),
            read.en.eq(1),
        ]
        m.d.sync += place.eq(next_place)
        with m.If(self.valid & last):
            m.d.sync += complete.eq(1)


_DUE = ("shown", "due", "due_now")
