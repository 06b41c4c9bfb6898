"""The NAND core dies of one flash channel: their timing in RTL, their contents behind ports."""

from amaranth.hdl import Cat, Const, Module, Mux, ShapeLike, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from neardecode.config import Flash
from neardecode.flash.bus import CoreDieBus, CoreDieBusInterface
from neardecode.lib.fifo import StreamFIFO
from neardecode.lib.once import once
from neardecode_testbench.devices.banks import PageRegisters
from neardecode_testbench.devices.faults import (
    CANDIDATES,
    RATE_BITS,
    Contents,
    Faults,
    FaultsInterface,
    Flips,
    RateSum,
)
from neardecode_testbench.devices.lanes import DieLanes
from neardecode_testbench.devices.operations import OperationTimers
from neardecode_testbench.devices.records import BlockRecords
from neardecode_testbench.devices.storage import StorageInterface, StoragePort

__all__ = ["NandDies"]

SHORTEST_SENSE, SHORTEST_RECORDED_SENSE = 3, 8


@once
class NandDies(wiring.Component):
    """All banks of all core dies of a channel.

    A sense taken in one cycle has its page in the bank's latch ``sense_cycles`` later and, where
    the page register is free, in the register in that same cycle, so that ``page_ready`` rises
    and the bank takes its next sense; otherwise the page waits in the latch. A transfer taken in
    one cycle puts its first beat on the data bus two cycles later and the others behind it; the
    next transfer is taken with the last beat's read, so pages follow each other without a gap.
    The register is free once its last beat is read.

    With ``host`` the banks program and erase, any number at a time. A program's end comes
    ``program_cycles`` after its last beat and an erase's ``erase_cycles`` after its acceptance, or
    later where ends coincide, of which there is one in two cycles; the bank is idle in the cycle
    after. Beats are stored as they come. Senses are taken every other cycle at most, since each
    counts in its block's record. A page reads as its block's record says: as stored, as ones where
    it was not programmed since the last erase, or as garbage where a program or an erase of it
    failed or was never finished. Beats of one direction end before those of the other begin: a
    program waits for the transfers before it, transfers for the beats of a program.

    Parameters:
        config: The flash section of a configuration.
        sense_cycles: tR.
        program_cycles, erase_cycles: tPROG and tBERS; only with ``host``, and needed there.
        faults: Build what goes wrong, where there is ``host`` or ``ecc``.
        varied: tR is an input, and ``sense_cycles`` the longest that it may be.
        seed: Of everything that is left to chance.

    Members:
        bus: In(`CoreDieBus`).
        sense_cycles: In. tR, from reset on the same. Only where it is varied.
        storage: Out(`StoragePort`), writable with ``host``. Page ``row * banks + bank`` starts at
            beat ``page_beats`` times that.
        records: Out(`StoragePort`), writable, of a `BlockRecord` a beat. Block
            ``row // pages_a_block * banks + bank``. Only with ``host``.
        faults: In(`Faults`). Only where they are built.
        faulty: In(lanes). The lane map that the base die has found. Only with ``repair``.
        flipped: Out. How many bits of this cycle's beat chance flipped. Only with faults.
        violated: Out(1). The bus was used against its rules, at any time since reset: a program
            not of the next page of an erased block; beats that no program waits for, or more or
            fewer than a page; a sense and an operation of one bank in the same cycle; a row that
            is not there; loopback beside anything else. Only with ``host`` or ``repair``.
    """

    transfer_latency = 2
    """Cycles from a transfer to its first beat on the bus."""

    bus: CoreDieBusInterface
    storage: StorageInterface
    records: StorageInterface
    faults: FaultsInterface
    faulty: Signal
    flipped: Signal
    violated: Signal
    sense_cycles: Signal

    def __init__(
        self,
        config: Flash,
        sense_cycles: int,
        program_cycles: int | None = None,
        erase_cycles: int | None = None,
        *,
        faults: bool = True,
        varied: bool = False,
        seed: int = 1,
    ):
        shortest = SHORTEST_SENSE if config.host is None else SHORTEST_RECORDED_SENSE
        if sense_cycles < shortest:
            raise ValueError(f"sense_cycles must be at least {shortest}, not {sense_cycles!r}")
        self._config = config
        self._sense_cycles, self._varied = sense_cycles, varied
        self._seed = seed
        self._timers: OperationTimers | None = None
        self._has_faults = faults and (config.host is not None or config.ecc is not None)
        self._has_writes = config.host is not None or config.repair is not None
        page: dict[str, ShapeLike] = {"row": unsigned(ceil_log2(config.rows))}
        storage = StoragePort(
            ceil_log2(config.banks * config.rows * config.page_beats),
            config.stored_bytes,
            writable=config.host is not None,
        )
        members = {"bus": In(CoreDieBus(config)), "storage": Out(storage)}
        if config.host is not None:
            if program_cycles is None or erase_cycles is None:
                raise ValueError("program_cycles and erase_cycles are needed where there is a host")
            self._timers = OperationTimers(config, program_cycles, erase_cycles, seed)
            page["contents"] = Contents
            members["records"] = Out(BlockRecords.port_signature(config))
        if self._has_faults:
            page["rate"] = unsigned(RATE_BITS)
            members |= {"faults": In(Faults(config)), "flipped": Out(range(CANDIDATES + 1))}
        if config.repair is not None:
            members["faulty"] = In(config.lanes)
        if self._has_writes:
            members["violated"] = Out(1)
        if varied:
            members["sense_cycles"] = In(range(sense_cycles + 1))
        self._page = data.StructLayout(page)
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        """The page registers, the lanes, and what the configuration adds."""
        m = Module()
        config, bus, storage = self._config, self.bus, self.storage
        m.submodules.registers = registers = PageRegisters(
            config, self._sense_cycles, self._page, varied=self._varied
        )
        if self._varied:
            m.d.comb += registers.sense_cycles.eq(self.sense_cycles)
        m.submodules.lanes = lanes = DieLanes(config)
        connect(m, flipped(bus.senses), registers.senses)
        connect(m, flipped(bus.transfers), registers.transfers)
        arriving, arriving_last = Signal(), Signal()
        arrived = data.View(self._page, Signal(self._page.size, name="arrived"))
        m.d.sync += [
            arriving.eq(registers.active),
            arriving_last.eq(registers.active & registers.last),
            arrived.eq(registers.page),
        ]
        m.d.comb += [
            bus.sense_ready.eq(registers.sense_ready),
            bus.page_ready.eq(registers.page_ready),
            storage.valid.eq(registers.active),
            storage.address.eq(Cat(registers.beat, registers.bank, registers.page.row)),
            lanes.valid.eq(arriving),
            lanes.bits.eq(storage.data),
            lanes.last.eq(arriving_last),
            bus.valid.eq(lanes.bus_valid),
            bus.beat.eq(lanes.bus_beat),
        ]
        if self._has_faults:
            m.d.comb += [
                lanes.stuck.eq(self.faults.stuck),
                lanes.stuck_value.eq(self.faults.stuck_value),
            ]
        if self._has_writes:
            m.d.comb += [
                lanes.write_valid.eq(bus.write_valid),
                lanes.write_beat.eq(bus.write_beat),
            ]
        if config.repair is not None:
            m.d.comb += [lanes.loopback.eq(bus.loopback), lanes.faulty.eq(self.faulty)]

        broken: list[Value] = []
        if self._timers is None:
            m.d.comb += [
                registers.open.eq(1),
                registers.known.eq(registers.senses.valid & registers.senses.ready),
                registers.known_bank.eq(bus.senses.payload.bank),
                registers.known_page.row.eq(bus.senses.payload.row),
            ]
            if self._has_faults:
                m.d.comb += registers.known_page.rate.eq(
                    self.faults.error_rate >> bus.senses.payload.stage
                )
        else:
            broken.append(self._join_records(m, registers, self._timers, lanes.written))
        if self._has_faults or config.host is not None:
            m.submodules.flips = flips = Flips(8 * config.stored_bytes, self._seed)
            m.d.comb += flips.valid.eq(arriving)
            stored = storage.data
            if self._has_faults:
                m.d.comb += [flips.rate.eq(arrived.rate), self.flipped.eq(flips.flipped)]
            if config.host is not None:
                m.d.comb += flips.garbage.eq(arrived.contents == Contents.GARBAGE)
                stored = Mux(arrived.contents == Contents.ERASED, ~0, storage.data)
            m.d.comb += lanes.bits.eq(stored ^ flips.mask)
        if self._has_writes:
            broken += self._broken_rules(registers, lanes)
            with m.If(Cat(*broken).any()):
                m.d.sync += self.violated.eq(1)
        return m

    def _join_records(
        self, m: Module, registers: PageRegisters, timers: OperationTimers, written: Signal
    ) -> Value:
        """Programs, erases, and the records that they change and senses read.

        Returns:
            Whether a program broke the order of its block.
        """
        config, bus, storage = self._config, self.bus, self.storage
        m.submodules.timers = timers
        m.submodules.records = records = BlockRecords(config)
        m.submodules.begun = begun = StreamFIFO(bus.senses.payload.shape(), 1)
        connect(m, begun.o, records.senses)
        connect(m, timers.starts, records.starts)
        connect(m, timers.ends, records.ends)
        connect(m, records.port, flipped(self.records))
        connect(m, flipped(bus.operations), timers.operations)
        writes = timers.writing & bus.write_valid
        m.d.comb += [
            begun.i.valid.eq(registers.senses.valid & registers.senses.ready),
            begun.i.payload.eq(bus.senses.payload),
            registers.open.eq(begun.i.ready),
            registers.busy.eq(timers.busy),
            registers.hold.eq(timers.writing),
            timers.free.eq(registers.free),
            timers.quiet.eq(~registers.active & ~bus.transfers.valid),
            timers.written.eq(bus.write_valid),
            timers.ended.eq(records.ended),
            timers.end.eq(records.end),
            bus.idle.eq(timers.idle),
            bus.ended.eq(records.ended),
            bus.end.eq(records.end),
            registers.known.eq(records.sensed),
            registers.known_bank.eq(records.page.sense.bank),
            registers.known_page.row.eq(records.page.sense.row),
            registers.known_page.contents.eq(records.page.contents),
            storage.write.eq(writes),
            storage.write_data.eq(written),
        ]
        with m.If(writes):
            m.d.comb += [storage.valid.eq(1), storage.address.eq(timers.beat)]
        if self._has_faults:
            m.submodules.rate = rate = RateSum()
            m.d.comb += [
                timers.program_failures.eq(self.faults.program_failures),
                timers.erase_failures.eq(self.faults.erase_failures),
                rate.error_rate.eq(self.faults.error_rate),
                rate.wear_rate.eq(self.faults.wear_rate),
                rate.read_rate.eq(self.faults.read_rate),
                rate.age_rate.eq(self.faults.age_rate),
                rate.erases.eq(records.page.erases),
                rate.reads.eq(records.page.reads),
                rate.age.eq(records.page.age),
                rate.stage.eq(records.page.sense.stage),
                registers.known_page.rate.eq(rate.rate),
            ]
        return records.violated

    def _broken_rules(self, registers: PageRegisters, lanes: DieLanes) -> list[Value]:
        """Rules of the bus that this cycle breaks."""
        bus, rows, timers = self.bus, self._config.rows, self._timers
        loopback = Const(0) if self._config.repair is None else bus.loopback
        sensing = bus.senses.valid & bus.senses.ready
        broken = [
            sensing & (bus.senses.payload.row >= rows),
            loopback & (sensing | registers.active | lanes.valid),
        ]
        if timers is None:
            return [*broken, bus.write_valid & ~loopback]
        operation = bus.operations.payload
        operating = bus.operations.valid & bus.operations.ready
        return [
            *broken,
            operating & (operation.row >= rows),
            operating & sensing & (operation.bank == bus.senses.payload.bank),
            loopback & (operating | timers.writing | timers.busy.any()),
            bus.write_valid & ~loopback & ~timers.writing,
            bus.write_valid & timers.writing & (bus.write_beat.last != timers.last),
        ]
