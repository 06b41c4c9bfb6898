"""How often each NAND block was read and erased.

Source: OCP HBF v0.7.0, sections 4.4, 5.9.2.17, 5.9.2.18 and 11.5.
"""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Flash
from neardecode.flash.blocks.ports import COUNT_BITS, BlockRow, BlockWear
from neardecode.flash.sections import host_of
from neardecode.lib.fifo import StreamFIFO

__all__ = ["BlockCounts", "Counted"]


class Counted(data.StructLayout):
    """A read that was counted.

    Fields:
        valid: There is one in this cycle.
        bank: Its bank.
        over: Its block has been read more often than the limit since it was erased.
    """

    def __init__(self, config: Flash):
        super().__init__(
            {
                "valid": unsigned(1),
                "bank": unsigned(ceil_log2(config.banks)),
                "over": unsigned(1),
            }
        )


class BlockCounts(wiring.Component):
    """Counts by physical block, which do not overflow.

    Latency: 1 cycle from ``sensed`` to ``counted``. A bank that is sensed in consecutive cycles is
    miscounted, which tR rules out. Rate: a read a cycle, and an erase a cycle, up to as many as
    there are units of the write path: erases wait for cycles without a read. A block that is sensed
    while its erase waits has that read forgotten with those before. A look waits for a cycle in
    which nothing is counted.

    Parameters:
        config: The flash section of a configuration, with ``host``.

    Members:
        sweep: In(1). Clear the counts of block ``swept``.
        swept: In. ``bank + banks * block``.
        sensed: In(`BlockRow`).
        erased: In(`BlockRow`).
        read_limit: In(32).
        counted: Out(`Counted`).
        look: In(`BlockRow`). A block whose counts are asked for; not again before ``looked``.
        looked: Out(1). They are there from the next cycle on.
        wear: Out(`BlockWear`). Those of the last look.
        maximum_erases: Out(32). Of any block.
        average_erases: Out(32). All erases by the number of blocks that the host can address.

    Raises:
        ValueError: if ``config`` has no ``host``.
    """

    sweep: Signal
    swept: Signal
    sensed: data.View
    erased: data.View
    read_limit: Signal
    counted: data.View
    look: data.View
    looked: Signal
    wear: data.View
    maximum_erases: Signal
    average_erases: Signal

    def __init__(self, config: Flash):
        self._config = config
        self._host = host = host_of(config)
        self._blocks = config.banks * (config.rows // host.pages_a_block)
        super().__init__(
            {
                "sweep": In(1),
                "swept": In(range(self._blocks + 1)),
                "sensed": In(BlockRow(config)),
                "erased": In(BlockRow(config)),
                "read_limit": In(COUNT_BITS),
                "counted": Out(Counted(config)),
                "look": In(BlockRow(config)),
                "looked": Out(1),
                "wear": Out(BlockWear()),
                "maximum_erases": Out(COUNT_BITS),
                "average_erases": Out(COUNT_BITS),
            }
        )

    def elaborate(self, platform) -> Module:
        """Two memories that are read in one cycle and written in the next."""
        m = Module()
        config = self._config
        page_bits = exact_log2(self._host.pages_a_block)
        memories = {}
        for name in ("reads", "erases"):
            m.submodules[name] = memory = Memory(
                shape=unsigned(COUNT_BITS), depth=self._blocks, init=[]
            )
            memories[name] = (memory.write_port(), memory.read_port())
        read_write, read_read = memories["reads"]
        erase_write, erase_read = memories["erases"]

        def place(row: data.View) -> Value:
            return Cat(row.bank, row.row[page_bits:])

        # Both memories are written for an erase, and there is one write port each.
        place_bits = ceil_log2(self._blocks)
        m.submodules.waiting = waiting = StreamFIFO(unsigned(place_bits), self._host.units)
        reading = Signal()
        read_place = Signal(place_bits)
        erasing = Signal()
        erase_place = waiting.o.payload
        erase_written = Signal()
        reads, erases = Signal(COUNT_BITS), Signal(COUNT_BITS)
        asked = Signal()
        asked_place = Signal(place_bits)
        looks = Signal()
        m.d.comb += [
            looks.eq(asked & ~self.sensed.en & ~reading & ~waiting.o.valid & ~erasing),
            read_read.addr.eq(Mux(looks, asked_place, place(self.sensed))),
            read_read.en.eq(self.sensed.en | looks),
            waiting.i.payload.eq(place(self.erased)),
            waiting.i.valid.eq(self.erased.en),
            waiting.o.ready.eq(erase_written),
            erase_read.addr.eq(Mux(looks, asked_place, erase_place)),
            erase_read.en.eq((waiting.o.valid & ~erasing) | looks),
            reads.eq(read_read.data + ~read_read.data.all()),
            erases.eq(erase_read.data + ~erase_read.data.all()),
            # A read of this block in this cycle would write back the count from before.
            erase_written.eq(
                erasing & ~reading & ~(self.sensed.en & (place(self.sensed) == erase_place))
            ),
            self.counted.valid.eq(reading),
            self.counted.bank.eq(read_place[: ceil_log2(config.banks)]),
            self.counted.over.eq(reading & (reads > self.read_limit)),
            read_write.en.eq(reading | erasing | self.sweep),
            read_write.addr.eq(Mux(reading, read_place, erase_place)),
            read_write.data.eq(Mux(reading, reads, 0)),
            erase_write.en.eq(erase_written | self.sweep),
            erase_write.addr.eq(erase_place),
            erase_write.data.eq(erases),
        ]
        m.d.sync += [
            reading.eq(self.sensed.en),
            erasing.eq(waiting.o.valid & ~erase_written),
            asked.eq((asked | self.look.en) & ~looks),
            self.looked.eq(looks),
            Assert(~self.erased.en | waiting.i.ready, "more erases wait than there are units"),
        ]
        with m.If(self.sensed.en):
            m.d.sync += read_place.eq(place(self.sensed))
        with m.If(self.look.en):
            m.d.sync += asked_place.eq(place(self.look))
        with m.If(self.looked):
            m.d.sync += [
                self.wear.reads.eq(read_read.data),
                self.wear.erases.eq(erase_read.data),
            ]
        with m.If(self.sweep):
            for write in (read_write, erase_write):
                m.d.comb += [write.addr.eq(self.swept), write.data.eq(0)]

        addressable = exact_log2(config.banks * config.blocks_a_bank)
        total = Signal(COUNT_BITS + addressable)
        m.d.comb += self.average_erases.eq(total[addressable:])
        with m.If(erase_written):
            m.d.sync += total.eq(total + ~total.all())
            with m.If(erases > self.maximum_erases):
                m.d.sync += self.maximum_erases.eq(erases)
        return m
