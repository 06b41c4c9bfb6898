"""The NAND core dies of one flash channel: their timing in RTL, their contents behind a port."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from neardecode.config import Flash
from neardecode.flash.bus import CoreDieBus, CoreDieBusInterface

__all__ = ["NandDies", "StorageInterface", "StoragePort"]


class StorageInterface(wiring.PureInterface):
    """The wires of a storage port; see `StoragePort`."""

    valid: Signal
    address: Signal
    data: Signal


class StoragePort(wiring.Signature):
    """Where a device reads its contents; served by plain memory outside the RTL.

    Parameters:
        address_bits: Bits of an address, in beats.
        beat_bytes: Bytes of a beat.

    Members:
        valid: Out(1). A beat is asked for in this cycle.
        address: Out(address_bits). Which beat.
        data: In(8 * beat_bytes). The beat asked for one cycle earlier.
    """

    def __init__(self, address_bits: int, beat_bytes: int):
        super().__init__(
            {"valid": Out(1), "address": Out(address_bits), "data": In(8 * beat_bytes)}
        )

    def create(self, *, path=None, src_loc_at=0) -> StorageInterface:
        """The wires of one port."""
        return StorageInterface(self, path=path, src_loc_at=1 + src_loc_at)


class NandDies(wiring.Component):
    """All banks of all core dies of a channel.

    A sense taken in one cycle has its page in the bank's latch ``sense_cycles`` later and, where
    the page register is free, in the register in that same cycle, so that ``page_ready`` rises
    and the bank takes its next sense; otherwise the page waits in the latch. A transfer taken in
    one cycle puts its first beat on the data bus two cycles later and the others behind it; the
    next transfer is taken with the last beat's read, so pages follow each other without a gap.
    The register is free once its last beat is read.

    Parameters:
        config: The flash section of a configuration.
        sense_cycles: tR.

    Members:
        bus: In(`CoreDieBus`).
        storage: Out(`StoragePort`). Page ``row * banks + bank`` starts at beat
            ``page_beats`` times that.
    """

    transfer_latency = 2
    """Cycles from a transfer to its first beat on the bus."""

    bus: CoreDieBusInterface
    storage: StorageInterface

    def __init__(self, config: Flash, sense_cycles: int):
        if sense_cycles < 3:
            raise ValueError(f"sense_cycles must be at least 3, not {sense_cycles!r}")
        self._banks = banks = config.banks
        self._rows = rows = config.rows
        self._page_beats = page_beats = config.page_beats
        self._sense_cycles = sense_cycles
        super().__init__(
            {
                "bus": In(CoreDieBus(config)),
                "storage": Out(
                    StoragePort(ceil_log2(banks * rows * page_beats), config.stored_bytes)
                ),
            }
        )

    def elaborate(self, platform) -> Module:
        """Timers, page registers, and the bus."""
        m = Module()
        banks = self._banks
        bus = self.bus
        bank_bits = ceil_log2(banks)

        # tR is the same for every sense, so senses end in the order in which they began.
        timer_bits = ceil_log2(self._sense_cycles + 2)
        now = Signal(timer_bits)
        ending = data.StructLayout({"bank": unsigned(bank_bits), "time": unsigned(timer_bits)})
        m.submodules.senses = senses = SyncFIFOBuffered(width=ending.size, depth=banks + 1)
        head = data.View(ending, senses.r_data)
        done = Signal(banks)
        m.d.sync += now.eq(now + 1)
        m.d.comb += [
            senses.w_en.eq(bus.senses.valid & bus.senses.ready),
            senses.w_data.eq(
                Cat(bus.senses.payload.bank, (now + self._sense_cycles - 1)[:timer_bits])
            ),
            senses.r_en.eq(senses.r_rdy & (head.time == now)),
            done.eq(Mux(senses.r_en, Const(1, banks) << head.bank, 0)),
        ]

        sensing = Signal(banks)
        latched = Signal(banks)
        held = Signal(banks)
        page_ready = Signal(banks)
        one_sense = Signal(banks)
        one_transfer = Signal(banks)
        active = Signal()
        bank = Signal(bank_bits)
        beat = Signal(range(self._page_beats))
        last = Signal()
        accept = Signal()
        moved = Signal(banks)
        arriving = Signal()
        arriving_last = Signal()
        m.d.comb += [
            bus.sense_ready.eq(~(sensing | latched)),
            bus.senses.ready.eq(bus.sense_ready.bit_select(bus.senses.payload.bank, 1)),
            bus.page_ready.eq(page_ready),
            one_sense.eq(Mux(senses.w_en, Const(1, banks) << bus.senses.payload.bank, 0)),
            last.eq(beat == self._page_beats - 1),
            bus.transfers.ready.eq(~active | last),
            accept.eq(bus.transfers.valid & bus.transfers.ready),
            one_transfer.eq(Mux(accept, Const(1, banks) << bus.transfers.payload, 0)),
            # A register being read is not free.
            held.eq(Mux(active & ~last, Const(1, banks) << bank, 0) | one_transfer),
            moved.eq((latched | done) & ~page_ready & ~held),
        ]
        m.d.sync += [
            sensing.eq((sensing & ~done) | one_sense),
            latched.eq((latched | done) & ~moved),
            page_ready.eq((page_ready | moved) & ~one_transfer),
        ]

        # A bank holds at most two pages, the one in its register and a later one.
        m.submodules.pages = pages = Memory(
            shape=unsigned(ceil_log2(self._rows)), depth=2 * banks, init=[]
        )
        sensed = pages.write_port()
        read = pages.read_port(domain="comb")
        sense_way = Signal(banks)
        read_way = Signal(banks)
        m.d.comb += [
            sensed.addr.eq(Cat((sense_way & one_sense).any(), bus.senses.payload.bank)),
            sensed.data.eq(bus.senses.payload.row),
            sensed.en.eq(senses.w_en),
            read.addr.eq(Cat(read_way.bit_select(bus.transfers.payload, 1), bus.transfers.payload)),
        ]
        m.d.sync += [sense_way.eq(sense_way ^ one_sense), read_way.eq(read_way ^ one_transfer)]

        row = Signal(ceil_log2(self._rows))
        with m.If(active):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))
        with m.If(active & last):
            m.d.sync += active.eq(0)
        with m.If(accept):
            m.d.sync += [active.eq(1), bank.eq(bus.transfers.payload), row.eq(read.data)]

        m.d.comb += [
            self.storage.valid.eq(active),
            self.storage.address.eq(Cat(beat, bank, row)),
            bus.valid.eq(arriving),
            bus.beat.lanes.eq(self.storage.data),
            bus.beat.last.eq(arriving_last),
        ]
        m.d.sync += [arriving.eq(active), arriving_last.eq(active & last)]
        return m
