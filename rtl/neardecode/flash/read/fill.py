"""From the core-die bus into the page buffers, where pages need no correction."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from neardecode.config import Flash
from neardecode.flash.bus import DataBeat
from neardecode.flash.read.buffers import BufferWrite
from neardecode.flash.read.pages import Filled, Slot
from neardecode.flash.status import ReadStatus
from neardecode.lib.fifo import StreamFIFO

__all__ = ["Fill", "PageOutcome", "fill_members"]


class PageOutcome(data.StructLayout):
    """How the read of a page ended.

    Fields:
        status, info: For its readers.
    """

    def __init__(self):
        super().__init__({"status": ReadStatus, "info": unsigned(3)})


def fill_members(config: Flash) -> dict:
    """The ports that `Fill` and `CorrectingFill` have in common, by their names."""
    return {
        "moved": In(1),
        "slot": In(Slot(config.banks)),
        "room": Out(1),
        "moving": Out(1),
        "arrives": In(1),
        "beat": In(DataBeat(8 * config.stored_bytes)),
        "write": Out(BufferWrite(config)),
        "filled": Out(Filled(config)),
        "outcome": Out(PageOutcome()),
    }


class Fill(wiring.Component):
    """Puts the beats of each page where they belong.

    A page may be read from the cycle after its first beat on: its beats arrive without a gap, so
    a reader that starts a cycle later can never overtake them. Where there is a host, which reads
    from any beat on, a page may be read from the cycle after its last beat on. Latency none; one
    beat a cycle.

    Parameters:
        config: The flash section of a configuration.

    Members:
        moved: In(1). The transfer of a page was taken by the dies in this cycle.
        slot: In(`Slot`). The page buffer for it.
        room: Out(1). A transfer may begin.
        moving: Out(1). A page is on its way over the bus.
        arrives: In(1). A beat is on the bus.
        beat: In(`DataBeat`). The beat, its lanes in their logical order.
        write: Out(`BufferWrite`).
        filled: Out(`Filled`). What became of a page.
        outcome: Out(`PageOutcome`). Valid with ``filled.en``.
    """

    moved: Signal
    slot: data.View
    room: Signal
    moving: Signal
    arrives: Signal
    beat: data.View
    write: data.View
    filled: data.View
    outcome: data.View

    def __init__(self, config: Flash):
        self._config = config
        super().__init__(fill_members(config))

    def elaborate(self, platform) -> Module:
        """The buffers of the pages on their way, and a count of beats."""
        m = Module()
        # The dies stream one page and hold the command of the next.
        m.submodules.ways = ways = StreamFIFO(Slot(self._config.banks), 3)
        count = Signal(range(self._config.page_beats))
        known = 0 if self._config.host is None else self._config.page_beats - 1
        m.d.comb += [
            ways.i.valid.eq(self.moved),
            ways.i.payload.eq(self.slot),
            ways.o.ready.eq(self.arrives & self.beat.last),
            self.room.eq(ways.i.ready),
            self.moving.eq(ways.o.valid),
            self.write.en.eq(self.arrives),
            self.write.slot.eq(ways.o.payload),
            self.write.beat.eq(count),
            self.write.data.eq(self.beat.lanes),
            self.filled.en.eq(self.arrives & (count == known)),
            self.filled.slot.eq(ways.o.payload),
            self.outcome.status.eq(ReadStatus.OK),
        ]
        with m.If(self.arrives):
            m.d.sync += count.eq(Mux(self.beat.last, 0, count + 1))
        return m
