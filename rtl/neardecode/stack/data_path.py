"""The beats of column commands, when each is on the lanes."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from neardecode.config import Stack, StackCycles
from neardecode.lib.fifo import StreamFIFO
from neardecode.stack.front import WrittenBeat

__all__ = ["DataPath"]


class DataPath(wiring.Component):
    """Gives the beat of a write CWL cycles after its command, takes that of a read after CL.

    Writes go to the DRAM in the order in which they were taken, so their beats wait in one queue.
    It has room for the beats of all accesses that wait and of all commands that are under way.

    Parameters:
        config: The stack section of a configuration.
        cycles: Its timings.

    Members:
        written: In(stream of `WrittenBeat`). One a write, in the order of their commands, no later
            than the command.
        reads, writes: In(1). A column command that reads, or writes.
        place: In. Where the beat that is read goes.
        outgoing: Out. What is on the lanes towards the DRAM.
        stored: Out(1). A beat that was read is on the lanes.
        stored_place: Out. Where it goes.
    """

    written: stream.Interface
    reads: Signal
    writes: Signal
    place: Signal
    outgoing: Signal
    stored: Signal
    stored_place: Signal

    def __init__(self, config: Stack, cycles: StackCycles):
        self._cycles = cycles
        self._waiting = StreamFIFO(WrittenBeat(config), config.queue + cycles.cwl)
        self._sends = Signal(cycles.cwl, name="sends")
        place = exact_log2(config.buffer_beats)
        super().__init__(
            {
                "written": In(stream.Signature(WrittenBeat(config))),
                "reads": In(1),
                "writes": In(1),
                "place": In(place),
                "outgoing": Out(8 * config.stored_bytes),
                "stored": Out(1),
                "stored_place": Out(place),
            }
        )

    def elaborate(self, platform) -> Module:
        """Commands and places, some cycles later."""
        m = Module()
        m.submodules.waiting = waiting = self._waiting
        connect(m, flipped(self.written), waiting.i)
        sends, takes = self._sends, Signal(self._cycles.cl)
        m.d.sync += [sends.eq(Cat(self.writes, sends)), takes.eq(Cat(self.reads, takes))]
        place = self.place
        for cycle in range(self._cycles.cl):
            later = Signal.like(place, name=f"place_{cycle}", reset_less=True)
            m.d.sync += later.eq(place)
            place = later
        m.d.comb += [
            self.outgoing.eq(Mux(sends[-1], waiting.o.payload.as_value(), 0)),
            waiting.o.ready.eq(sends[-1]),
            self.stored.eq(takes[-1]),
            self.stored_place.eq(place),
        ]
        return m
