"""The payload of a Zone Remapping command: which zones change places.

Source: OCP HBF v0.7.0, section 5.2.4.6: sixteen pairs of zones, each zone at most once.
"""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.flash.blocks.ports import ZoneSwap

__all__ = ["ZonePair", "ZonePairs"]


class ZonePair(data.StructLayout):
    """A pair of the payload.

    Fields:
        source, destination: Zones; both 0 in a pair that is not used.
    """

    def __init__(self):
        super().__init__({"source": unsigned(16), "destination": unsigned(16)})


class ZonePairs(wiring.Component):
    """Looks at pairs one after another, first to check them, then to swap.

    A pair is bad if one of its zones does not exist, stands in another pair too, or stands on both
    its sides. A pair of two zeros is not used, wherever it stands.

    Latency: ``bad`` one cycle, ``swap`` none. Rate: one pair a cycle.

    Parameters:
        zones: Zones that there are, a power of two.

    Members:
        clear: In(1). Forget all pairs.
        pair: In(`ZonePair`).
        check: In(1). It is one of the list.
        apply: In(1). Its zones are to be swapped.
        bad: Out(1). A pair since ``clear`` was bad.
        swap: Out(`ZoneSwap`).
    """

    clear: Signal
    pair: data.View
    check: Signal
    apply: Signal
    bad: Signal
    swap: data.View

    def __init__(self, zones: int):
        self._zones = zones
        super().__init__(
            {
                "clear": In(1),
                "pair": In(ZonePair()),
                "check": In(1),
                "apply": In(1),
                "bad": Out(1),
                "swap": Out(ZoneSwap(zones)),
            }
        )

    def elaborate(self, platform) -> Module:
        """A bit a zone that was seen."""
        m = Module()
        zones = self._zones
        bits = ceil_log2(zones)
        source, destination = self.pair.source, self.pair.destination

        seen = Signal(zones)
        used = Signal()
        outside = Signal()
        m.d.comb += [
            used.eq(source.any() | destination.any()),
            outside.eq(source[bits:].any() | destination[bits:].any()),
            self.swap.en.eq(self.apply & used),
            self.swap.source.eq(source),
            self.swap.destination.eq(destination),
        ]
        with m.If(self.clear):
            m.d.sync += [seen.eq(0), self.bad.eq(0)]
        with m.Elif(self.check & used):
            m.d.sync += [
                seen.bit_select(source[:bits], 1).eq(1),
                seen.bit_select(destination[:bits], 1).eq(1),
            ]
            with m.If(
                outside
                | (source == destination)
                | seen.bit_select(source[:bits], 1)
                | seen.bit_select(destination[:bits], 1)
            ):
                m.d.sync += self.bad.eq(1)

        return m
