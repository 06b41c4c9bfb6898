"""The core dies' side of the data lanes: lanes that stick, spare lanes, loopback."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import Flash, Stack
from neardecode.flash.bus import DataBeat

__all__ = ["DieLanes"]


class DieLanes(wiring.Component):
    """What crosses the data lanes in both directions.

    Combinational, but for loopback, which takes a cycle. The lanes of a group are its bits in
    their order, leaving out those that are ``faulty``; spare lanes behind them carry 0. A lane
    that sticks does so in both directions.

    Parameters:
        config: The flash section, or that of the stack.

    Members:
        stuck, stuck_value, faulty: In(lanes).
        valid: In(1). A beat leaves.
        bits: In(8 * stored_bytes). The beat.
        last: In(1).
        bus_valid: Out(1).
        bus_beat: Out(`DataBeat`). The lanes from the dies.
        write_valid: In(1).
        write_beat: In(`DataBeat`). The lanes towards the dies.
        loopback: In(1). What they carry returns in the next cycle.
        written: Out(8 * stored_bytes). The beat on them.
        returning: Out(1). A beat returns in this cycle.
    """

    stuck: Signal
    stuck_value: Signal
    faulty: Signal
    valid: Signal
    bits: Signal
    last: Signal
    bus_valid: Signal
    bus_beat: data.View
    write_valid: Signal
    write_beat: data.View
    loopback: Signal
    written: Signal
    returning: Signal

    def __init__(self, config: Flash | Stack):
        self._width = 8 * config.stored_bytes
        self._lanes = config.lanes
        self._repair = config.repair
        super().__init__(
            {
                "stuck": In(config.lanes),
                "stuck_value": In(config.lanes),
                "faulty": In(config.lanes),
                "valid": In(1),
                "bits": In(self._width),
                "last": In(1),
                "bus_valid": Out(1),
                "bus_beat": Out(DataBeat(config.lanes)),
                "write_valid": In(1),
                "write_beat": In(DataBeat(config.lanes)),
                "loopback": In(1),
                "written": Out(self._width),
                "returning": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        """Both directions, and the register between them."""
        m = Module()
        outgoing, incoming = Signal(self._lanes), Signal(self._lanes)
        beat = DataBeat(self._lanes)
        returned = data.View(beat, Signal(beat.size, name="returned"))
        m.d.comb += [
            incoming.eq(self._sticking(self.write_beat.lanes)),
            self.written.eq(self._gathered(incoming)),
            outgoing.eq(Mux(self.returning, returned.lanes, self._spread(self.bits))),
            self.bus_valid.eq(self.valid | self.returning),
            self.bus_beat.lanes.eq(self._sticking(outgoing)),
            self.bus_beat.last.eq(Mux(self.returning, returned.last, self.last)),
        ]
        m.d.sync += self.returning.eq(self.write_valid & self.loopback)
        with m.If(self.write_valid & self.loopback):
            m.d.sync += [returned.lanes.eq(incoming), returned.last.eq(self.write_beat.last)]
        return m

    def _sticking(self, lanes: Value) -> Value:
        return (lanes & ~self.stuck) | (self.stuck_value & self.stuck)

    def _groups(self):
        """The bits of each group, and its lanes; without repair all of them."""
        groups, spares = (
            (1, 0) if self._repair is None else (self._repair.groups, self._repair.spares)
        )
        bits = self._width // groups
        return [
            (slice(group * bits, (group + 1) * bits), (group * (bits + spares), spares))
            for group in range(groups)
        ]

    def _spread(self, bits: Value) -> Value:
        """Bits to lanes: a gap at each faulty lane, from the lowest up."""
        parts = []
        for place, (first, spares) in self._groups():
            lanes = place.stop - place.start + spares
            group = bits[place]
            faulty = self.faulty[first : first + lanes]
            for _ in range(spares):
                below = _below(faulty)
                group = (group & below) | ((group & ~below) << 1)[:lanes]
                faulty = faulty & (faulty - 1)[:lanes]
            parts.append(group[:lanes] if len(group) >= lanes else group)
        return Cat(*parts)

    def _gathered(self, lanes: Value) -> Value:
        """Lanes to bits: the faulty ones left out, from the lowest up."""
        parts = []
        for place, (first, spares) in self._groups():
            width = place.stop - place.start
            group = lanes[first : first + width + spares]
            faulty = self.faulty[first : first + width + spares]
            for _ in range(spares):
                below = _below(faulty)
                group = (group & below) | ((group >> 1) & ~below)
                faulty = (faulty & (faulty - 1)[: width + spares]) >> 1
            parts.append(group[:width])
        return Cat(*parts)


def _below(lanes: Value) -> Value:
    """The places below the lowest bit that is set; all of them where there is none."""
    lowest = lanes & (-lanes)[: len(lanes)]
    return (lowest - 1)[: len(lanes)]
