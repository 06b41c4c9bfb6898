"""The page buffers, two a bank, filled from one side and read from the other."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.config import Flash
from neardecode.flash.read.pages import Slot

__all__ = ["BufferRead", "BufferReadInterface", "BufferWrite", "PageBuffers"]


class BufferWrite(data.StructLayout):
    """A beat for a page buffer.

    Fields:
        en: There is one in this cycle.
        slot, beat: Where it goes.
        data: The bytes.
    """

    def __init__(self, config: Flash):
        super().__init__(
            {
                "en": unsigned(1),
                "slot": Slot(config.banks),
                "beat": unsigned(ceil_log2(config.page_beats)),
                "data": unsigned(8 * config.beat_bytes),
            }
        )


class BufferReadInterface(wiring.PureInterface):
    """The wires of a reader of the page buffers; see `BufferRead`."""

    want: Signal
    slot: data.View
    beat: Signal
    granted: Signal
    data: Signal


class BufferRead(wiring.Signature):
    """A reader of the page buffers, seen from the reader.

    Members:
        want: Out(1). A beat is wanted in this cycle.
        slot, beat: Out. Which.
        granted: In(1). It is read in this cycle; a path from ``want``.
        data: In. The beat read last, from the cycle after it was granted on.
    """

    def __init__(self, config: Flash):
        super().__init__(
            {
                "want": Out(1),
                "slot": Out(Slot(config.banks)),
                "beat": Out(ceil_log2(config.page_beats)),
                "granted": In(1),
                "data": In(8 * config.beat_bytes),
            }
        )

    def create(self, *, path=None, src_loc_at=0) -> BufferReadInterface:
        """The wires of one reader."""
        return BufferReadInterface(self, path=path, src_loc_at=1 + src_loc_at)


class PageBuffers(wiring.Component):
    """One memory for all page buffers; its one read port is shared, a beat at a time.

    Latency 1 cycle. Rate: one beat written and one read a cycle; two readers that both want one
    take turns.

    Parameters:
        config: The flash section of a configuration.
        readers: One or two.

    Members:
        write: In(`BufferWrite`).
        reads: In(`BufferRead`), one a reader.
    """

    write: data.View
    reads: list[BufferReadInterface]

    def __init__(self, config: Flash, readers: int):
        if readers not in (1, 2):
            raise ValueError(f"readers must be 1 or 2, not {readers!r}")
        self._config = config
        self._readers = readers
        super().__init__(
            {
                "write": In(BufferWrite(config)),
                "reads": In(BufferRead(config)).array(readers),
            }
        )

    def elaborate(self, platform) -> Module:
        """The memory, and what a reader keeps of it while the other one reads."""
        m = Module()
        config = self._config
        width = 8 * config.beat_bytes
        m.submodules.buffers = buffers = Memory(
            shape=unsigned(width), depth=2 * config.banks * config.page_beats, init=[]
        )
        fill = buffers.write_port()
        read = buffers.read_port()
        m.d.comb += [
            fill.addr.eq(Cat(self.write.beat, self.write.slot.as_value())),
            fill.data.eq(self.write.data),
            fill.en.eq(self.write.en),
        ]
        first = self.reads[0]
        m.d.comb += read.addr.eq(Cat(first.beat, first.slot.as_value()))
        if self._readers == 1:
            m.d.comb += [
                first.granted.eq(first.want),
                first.data.eq(read.data),
                read.en.eq(first.want),
            ]
            return m

        second = self.reads[1]
        second_next = Signal()
        second_granted = Signal()
        m.d.comb += [
            second_granted.eq(second.want & (second_next | ~first.want)),
            first.granted.eq(first.want & ~second_granted),
            second.granted.eq(second_granted),
            read.en.eq(first.want | second.want),
        ]
        with m.If(second_granted):
            m.d.comb += read.addr.eq(Cat(second.beat, second.slot.as_value()))
        with m.If(read.en):
            m.d.sync += second_next.eq(first.granted)
        for reader in self.reads:
            arrived = Signal()
            kept = Signal(width)
            m.d.sync += arrived.eq(reader.granted)
            with m.If(arrived):
                m.d.sync += kept.eq(read.data)
            m.d.comb += reader.data.eq(Mux(arrived, read.data, kept))
        return m
