"""Which output the packet at the front of a buffer wants."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["PacketRoute"]


class PacketRoute(wiring.Component):
    """Remembers a packet's output from its first flit to its last.

    Only a first flit has a header, so its port is kept for the flits behind it. What is kept says
    at the same time that a packet is under way, and which output it holds.

    Parameters:
        outputs: Outputs that lead on from this input.

    Members:
        port: ``In(outputs)``. The header's port, in a first flit.
        tail: ``In(1)``. The flit is its packet's last.
        granted: ``In(outputs)``. The flit leaves by this output.
        held: ``Out(outputs)``. The output that a packet under way holds, or none.
        wanted: ``Out(outputs)``. Where the flit must go, if there is one.
    """

    port: Signal
    tail: Signal
    granted: Signal
    held: Signal
    wanted: Signal

    def __init__(self, outputs: int):
        self._held = Signal(outputs, name="kept")
        super().__init__(
            {
                "port": In(outputs),
                "tail": In(1),
                "granted": In(outputs),
                "held": Out(outputs),
                "wanted": Out(outputs),
            }
        )

    def elaborate(self, platform) -> Module:
        """A bit for each output."""
        m = Module()
        held = self._held
        m.d.comb += [self.held.eq(held), self.wanted.eq(Mux(held.any(), held, self.port))]
        with m.If(self.granted.any()):
            m.d.sync += held.eq(Mux(self.tail, 0, self.granted))
        return m
