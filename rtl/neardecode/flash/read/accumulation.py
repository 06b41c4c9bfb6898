"""How long regular reads wait for each other before they are sensed.

Source: OCP HBF v0.7.0, section 5.3.2: regular reads are gathered and scheduled together; a batch
read schedules all that were received, without waiting.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Accumulation"]


class Accumulation(wiring.Component):
    """Lets the waiting reads go: when their time is over, with a batch read, or for want of room.

    Latency: none, but one cycle from a batch read, which itself does not wait.

    Members:
        cycles: In(32). How long the first of them waits.
        waiting: In(1). Some read waits.
        batch: In(1). A batch read was taken.
        blocked: In(1). A read finds no room behind those that wait.
        release: Out(1). They wait no longer.
    """

    cycles: Signal
    waiting: Signal
    batch: Signal
    blocked: Signal
    release: Signal

    def __init__(self):
        super().__init__(
            {
                "cycles": In(32),
                "waiting": In(1),
                "batch": In(1),
                "blocked": In(1),
                "release": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """A timer."""
        m = Module()
        passed = Signal(32)
        batch = Signal()
        m.d.comb += self.release.eq(self.waiting & (batch | self.blocked | (passed >= self.cycles)))
        m.d.sync += [
            batch.eq(self.batch),
            passed.eq(Mux(self.waiting & ~self.release, passed + 1, 0)[:32]),
        ]
        return m
