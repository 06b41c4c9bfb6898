"""The whole controller of an HBF channel, between its host, its slice and its core dies.

Source: OCP HBF v0.7.0, sections 4, 5, 9.2 and 11; where each rule of it is kept stands in the
README.
"""

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from neardecode.config import ChannelCause, ChannelEvent, Flash
from neardecode.flash.admin.admin import Admin
from neardecode.flash.admin.logs import ErrorKind, SmartEvent
from neardecode.flash.axi import AxiPort, AxiPortInterface
from neardecode.flash.blocks.replacement import Replacement
from neardecode.flash.blocks.table import BlockTable
from neardecode.flash.bus import CoreDieBus, CoreDieBusInterface
from neardecode.flash.host.front import CommandFront
from neardecode.flash.host.reads import HostReads
from neardecode.flash.host.waiters import Waiters
from neardecode.flash.host.writes import HostWrites
from neardecode.flash.lanes import DieLanes
from neardecode.flash.read.accumulation import Accumulation
from neardecode.flash.read.delivery import Delivery, Order
from neardecode.flash.read.engine import ReadEngine
from neardecode.flash.read.expander import PageExpander
from neardecode.flash.sections import host_of
from neardecode.flash.status import ReadStatus
from neardecode.flash.thermal import ThermalGovernor
from neardecode.flash.write.path import WritePath
from neardecode.lib.counters import CycleCounters, EventCounters
from neardecode.lib.fifo import StreamFIFO
from neardecode.lib.page import PageBeat, PageRequest

__all__ = ["ChannelController"]


class ChannelController(wiring.Component):
    """A channel with its host's port.

    Commands are taken once the start-up is over: the blocks swept, the ids cleared, the lanes
    tested. A read by the host of a page that has to be sensed ends its first beat `read_latency` +
    tR cycles after it was taken, if its bank is idle, it does not wait for others and nothing needs
    correction.

    A warm reset (``BUCR``) takes no more commands, lets those under way come to an end, and puts
    the registers to their reset values; what is known of the blocks stays.

    Parameters:
        config: The flash section of a configuration, with ``host``.
        clock_ghz: The clock, by which the host's timers become cycles.

    Members:
        axi: In(`AxiPort`). The host.
        requests: In(stream of `PageRequest`). The slice's.
        beats: Out(stream of `PageBeat`).
        dies: Out(`CoreDieBus`).
        temperature: In(9). In half degrees above 0 C.
        cattrip: Out(1). The pin.
        link_error: Out(1). Shut down by heat.
        faulty: Out(lanes). The lanes that the dies are to lead around too; only with ``repair``.
        counting: In(1). Counters run.
        cycles: Out(counts by `ChannelCause`).
        events: Out(counts by `ChannelEvent`).

    Attributes:
        write_path: Its `WritePath`, for whoever watches it.
    """

    axi: AxiPortInterface
    requests: stream.Interface
    beats: stream.Interface
    dies: CoreDieBusInterface
    temperature: Signal
    cattrip: Signal
    link_error: Signal
    faulty: Signal
    counting: Signal
    cycles: data.View
    events: data.View

    def __init__(self, config: Flash, clock_ghz: float):
        self._config = config
        self._host = host_of(config)
        self._orders = 4 * config.banks - 1
        self._cycles = CycleCounters(ChannelCause)
        self._events = EventCounters(ChannelEvent)
        self.write_path = WritePath(config)
        self._admin = Admin(config, clock_ghz)
        self._governor = ThermalGovernor()
        repair = {} if config.repair is None else {"faulty": Out(config.lanes)}
        super().__init__(
            {
                **repair,
                "axi": In(AxiPort(self._host, config.beat_bytes)),
                "requests": In(stream.Signature(PageRequest(ceil_log2(config.pages)))),
                "beats": Out(stream.Signature(PageBeat(config.beat_bytes))),
                "dies": Out(CoreDieBus(config)),
                "temperature": In(9),
                "cattrip": Out(1),
                "link_error": Out(1),
                "counting": In(1),
                "cycles": Out(self._cycles.counts.shape()),
                "events": Out(self._events.counts.shape()),
            }
        )

    def elaborate(self, platform) -> Module:
        """Join the parts; then what is small: start and reset, admin answers, counters."""
        m = Module()
        config, host, dies, axi = self._config, self._host, self.dies, self.axi
        warm_reset = Signal()
        m.submodules.front = front = CommandFront(config)
        m.submodules.blocks = blocks = BlockTable(config)
        m.submodules.engine = engine = ReadEngine(
            config, clients=2, readers=self._orders + 1 + host.reads
        )
        m.submodules.waiters = waiters = Waiters(config, host.reads)
        m.submodules.reads = reads = HostReads(config)
        m.submodules.writes = writes = HostWrites(config)
        m.submodules.write_path = path = self.write_path
        m.submodules.replacement = replacement = Replacement(config)
        m.submodules.accumulation = accumulation = Accumulation()
        admin = self._admin
        m.submodules.admin = ResetInserter(warm_reset)(admin)
        m.submodules.governor = governor = self._governor
        m.submodules.lanes = lanes = DieLanes(config)
        m.submodules.expander = expander = PageExpander(config.banks, config.pages_a_bank)
        m.submodules.orders = orders = StreamFIFO(Order(config), self._orders)
        m.submodules.delivery = delivery = Delivery(config)

        connect(m, flipped(self.requests), expander.requests)
        connect(m, flipped(axi.ar), front.ar)
        connect(m, flipped(axi.aw), front.aw)
        connect(m, flipped(axi.w), writes.w)
        connect(m, writes.b, flipped(axi.b))
        connect(m, reads.r, flipped(axi.r))
        connect(m, front.queries, engine.queries)
        connect(m, front.orders, orders.i)
        connect(m, orders.o, delivery.orders)
        connect(m, delivery.read, engine.reads[0])
        connect(m, reads.buffer, engine.reads[1])
        connect(m, delivery.beats, flipped(self.beats))
        connect(m, front.reads, reads.opens)
        connect(m, front.writes, writes.opens)
        connect(m, front.units, path.opens)
        connect(m, front.admin, admin.commands)
        connect(m, writes.flash, path.data)
        connect(m, path.ends, writes.flash_ends)
        connect(m, engine.senses, flipped(dies.senses))
        connect(m, engine.transfers, flipped(dies.transfers))
        connect(m, path.operations, flipped(dies.operations))
        connect(m, path.beats, lanes.page)

        # Reads.
        slice_look, host_look = engine.looks
        outcome = slice_look.outcome
        m.d.comb += [
            front.ticket.eq(engine.ticket),
            front.present.eq(engine.present),
            front.read_entry.eq(reads.entry),
            front.write_entry.eq(writes.entry),
            front.scratch_pending.eq(writes.scratch_pending),
            front.enabled.eq(admin.enabled),
            slice_look.ticket.eq(orders.o.payload.ticket),
            delivery.present.eq(slice_look.present),
            delivery.failed.eq(
                (outcome.status != ReadStatus.OK) & (outcome.status != ReadStatus.CORRECTED)
            ),
            engine.served[0].eq(delivery.served),
            engine.served[1].eq(reads.served),
            host_look.ticket.eq(reads.ticket),
            reads.outcome.eq(host_look.outcome),
            reads.known.eq(front.known),
            waiters.added.eq(front.waits),
            waiters.ticket.eq(engine.ticket),
            waiters.entry.eq(reads.entry),
            waiters.known.eq(engine.known),
            waiters.known_ticket.eq(engine.known_ticket),
            accumulation.cycles.eq(admin.accumulate_cycles),
            accumulation.waiting.eq(engine.waiting),
            accumulation.batch.eq(front.batch),
            accumulation.blocked.eq(engine.blocked),
            engine.release.eq(accumulation.release),
            engine.permit.eq(governor.permit),
            engine.sense_ready.eq(dies.sense_ready),
            engine.page_ready.eq(dies.page_ready),
            reads.unit_data.eq(path.read_data),
            reads.scratch_data.eq(writes.scratch_data),
            writes.scratch_en.eq(reads.scratch_en),
            writes.scratch_address.eq(reads.scratch_address),
        ]

        # Writes.
        m.d.comb += [
            path.probe.eq(front.probe),
            front.probed.eq(path.probed),
            path.acquire.en.eq(front.acquire),
            path.acquire.unit.eq(path.probed.unit),
            path.release.en.eq(reads.unit_served),
            path.release.unit.eq(reads.unit),
            path.read.en.eq(reads.unit_en),
            path.read.unit.eq(reads.unit),
            path.read.beat.eq(reads.unit_beat),
            path.unit_limit.eq(host.units),
            path.gather_cycles.eq(admin.gather_cycles),
            path.ended.eq(dies.ended),
            path.end.eq(dies.end),
            path.closed.eq(engine.closed),
            path.bus_granted.eq(engine.held),
            engine.close.valid.eq(path.close),
            engine.close.bank.eq(path.close_bank),
            engine.reopen.valid.eq(path.reopen.en),
            engine.reopen.bank.eq(path.reopen.bank),
            # The encoder still gives beats when the last one has left the write path.
            engine.hold.eq(path.bus_request | lanes.writing),
            engine.kill.eq(path.kill),
        ]

        # Blocks.
        sensed = Signal()
        over = [Signal(config.banks, name=f"over_{way}") for way in range(2)]
        last_way = Signal(config.banks)
        m.d.comb += [
            blocks.lookup.eq(front.lookup),
            front.block.eq(blocks.found),
            blocks.check.eq(path.check),
            path.checked.eq(blocks.checked),
            blocks.scan.eq(admin.scan),
            admin.scanned_retired.eq(blocks.scanned),
            blocks.update.eq(path.update),
            blocks.swap.eq(admin.swap),
            blocks.read_limit.eq(admin.read_limit),
            blocks.retire_channel.eq(lanes.failed),
            blocks.erased.eq(path.erased),
            sensed.eq(dies.senses.valid & dies.senses.ready),
            blocks.sensed.en.eq(sensed),
            blocks.sensed.bank.eq(dies.senses.payload.bank),
            blocks.sensed.row.eq(dies.senses.payload.row),
            replacement.path.eq(path.replace),
            replacement.marked.eq(admin.mark_bad),
            path.replaced.eq(replacement.path_replaced),
            path.replacement.eq(blocks.replacement),
            blocks.replace.eq(replacement.replace),
            replacement.replaced.eq(blocks.replaced),
        ]
        for bank in range(config.banks):
            with m.If(sensed & (dies.senses.payload.bank == bank)):
                m.d.sync += last_way[bank].eq(engine.sensed_way)
            for way in range(2):
                with m.If(
                    blocks.counted.valid & (blocks.counted.bank == bank) & (last_way[bank] == way)
                ):
                    m.d.sync += over[way][bank].eq(blocks.counted.over)
        if config.ecc is not None:
            m.d.comb += [
                engine.correction.host_retry.eq(admin.host_retry),
                engine.correction.stages.eq(admin.retry_stages),
                engine.correction.threshold.eq(admin.cecc_threshold),
                engine.over[0].eq(over[0]),
                engine.over[1].eq(over[1]),
            ]

        # The lanes to and from the dies.
        m.d.comb += [
            lanes.arrives.eq(dies.valid),
            lanes.beat.eq(dies.beat),
            engine.arrives.eq(lanes.arrived),
            engine.beat.eq(lanes.data),
            dies.write_valid.eq(lanes.write_valid),
            dies.write_beat.eq(lanes.write_beat),
        ]
        if config.repair is not None:
            m.d.comb += [dies.loopback.eq(lanes.loopback), self.faulty.eq(lanes.faulty)]

        # The admin's answers: a read's is known when its first beat is there.
        told = Signal()
        reading = Signal()
        answer = admin.answers.payload
        m.d.comb += [
            reading.eq(admin.answers.valid & ~answer.write),
            waiters.hold.eq(reading & ~told),
            reads.done.eq(waiters.woken | (reading & ~told)),
            reads.done_entry.eq(Mux(waiters.woken, waiters.woken_entry, answer.entry)),
            reads.admin.valid.eq(reading),
            reads.admin.payload.data.eq(answer.data),
            reads.admin.payload.status.eq(answer.status),
            reads.admin.payload.info.eq(answer.info),
            writes.admin_ends.valid.eq(admin.answers.valid & answer.write),
            writes.admin_ends.payload.entry.eq(answer.entry),
            writes.admin_ends.payload.status.eq(answer.status),
            writes.admin_ends.payload.info.eq(answer.info),
            admin.answers.ready.eq(Mux(answer.write, writes.admin_ends.ready, reads.admin.ready)),
            admin.data.valid.eq(writes.admin.valid),
            admin.data.payload.data.eq(writes.admin.payload.data),
            admin.data.payload.last.eq(writes.admin.payload.last),
            writes.admin.ready.eq(admin.data.ready),
        ]
        # A log is not there in every cycle of its answer.
        m.d.sync += told.eq((told | reading) & ~(reading & admin.answers.ready & answer.last))

        # Secure erase: the flash first, then the scratchpad.
        flash_erased = Signal()
        wants_flash = admin.erase_zones != 0
        flash_done = flash_erased | ~wants_flash
        m.d.comb += [
            path.erase_request.eq(admin.erase_request & ~flash_done),
            path.erase_zones.eq(admin.erase_zones),
            writes.scratch_clear.eq(admin.erase_request & flash_done & admin.erase_scratchpad),
            admin.erase_done.eq(
                admin.erase_request
                & flash_done
                & (writes.scratch_cleared | ~admin.erase_scratchpad)
            ),
        ]
        with m.If(admin.erase_done):
            m.d.sync += flash_erased.eq(0)
        with m.Elif(path.erase_done):
            m.d.sync += flash_erased.eq(1)

        # Heat, start and reset.
        started = Signal()
        ready = Signal()
        resetting = Signal()
        idle = Signal()
        m.d.comb += [
            started.eq(blocks.ready & lanes.done),
            front.pages.valid.eq(expander.pages.valid & started & ~governor.halt),
            front.pages.payload.eq(expander.pages.payload),
            expander.pages.ready.eq(front.pages.ready & started & ~governor.halt),
            governor.temperature.eq(self.temperature),
            *(
                getattr(governor, name).eq(getattr(admin, name))
                for name in (
                    *("release", "light", "severe", "light_enabled", "severe_enabled"),
                    "clear_cattrip",
                )
            ),
            self.cattrip.eq(governor.cattrip),
            self.link_error.eq(governor.link_error),
            idle.eq((reads.level == 0) & (writes.level == 0) & ~path.busy),
            warm_reset.eq(resetting & idle),
            path.halt.eq(governor.halt | resetting),
            front.open.eq(
                ready & ~admin.reset & (reads.level + writes.level < admin.outstanding_limit)
            ),
            ready.eq(started & ~resetting & ~governor.halt),
            admin.io_ready.eq(ready),
            admin.scratchpad_ready.eq(ready),
            admin.fatal.eq(lanes.failed),
            admin.light_status.eq(governor.light_status),
            admin.cattrip_status.eq(governor.cattrip_status),
            admin.shutdown.eq(governor.link_error),
            admin.maximum_erases.eq(blocks.maximum_erases),
            admin.average_erases.eq(blocks.average_erases),
            admin.reduced.eq(blocks.reduced),
            blocks.inspect.eq(admin.inspect),
            admin.inspected.eq(blocks.inspected),
            admin.wear.eq(blocks.wear),
            blocks.zone.eq(admin.zone),
            admin.zone_erases.eq(blocks.zone_erases),
            axi.irq.eq(admin.interrupt),
        ]
        with m.If(admin.reset):
            m.d.sync += resetting.eq(1)
        with m.Elif(warm_reset):
            m.d.sync += resetting.eq(0)

        self._count(m, engine, front, path, lanes, blocks, replacement, orders)
        self._log(m, reads, writes)
        return m

    def _log(self, m: Module, reads: HostReads, writes: HostWrites) -> None:
        """Errors of flash reads and writes go to the error log as they are answered."""
        write, read = self._admin.errors
        written = writes.b.payload.user
        m.d.comb += [
            write.en.eq(writes.failed),
            write.kind.eq(ErrorKind.WRITE.value),
            write.status.eq(written.status),
            write.info.eq(written.info),
            write.address.eq(writes.failed_page),
            read.en.eq(reads.failed),
            read.kind.eq(ErrorKind.READ.value),
            read.status.eq(reads.failure.status),
            read.info.eq(reads.failure.info),
            read.address.eq(reads.failed_page),
        ]

    def _count(self, m, engine, front, path, lanes, blocks, replacement, orders) -> None:
        """Name every cycle, and count what the smart log tells."""
        dies, governor = self.dies, self._governor
        m.submodules.cycle_counters = self._cycles
        m.submodules.event_counters = self._events
        cause = self._cycles.cause
        with m.If(dies.valid | lanes.write_valid):
            m.d.comb += cause.eq(ChannelCause.BUSY.value)
        with m.Elif(path.bus_request):
            m.d.comb += cause.eq(ChannelCause.WRITE.value)
        with m.Elif(dies.page_ready.any() & ~engine.room):
            m.d.comb += cause.eq(ChannelCause.CORRECTION.value)
        with m.Elif(dies.page_ready.any() | engine.moving):
            m.d.comb += cause.eq(ChannelCause.SCHEDULE.value)
        with m.Elif(governor.mode.as_value() != 0):
            m.d.comb += cause.eq(ChannelCause.HEAT.value)
        with m.Elif(~dies.sense_ready.all() | engine.wanted):
            m.d.comb += cause.eq(ChannelCause.SENSE.value)
        with m.Elif(engine.waiting):
            m.d.comb += cause.eq(ChannelCause.ACCUMULATE.value)
        with m.Elif(
            (self.beats.valid & ~self.beats.ready) | (self.axi.r.valid & ~self.axi.r.ready)
        ):
            m.d.comb += cause.eq(ChannelCause.OUTPUT.value)
        with m.Elif(self.beats.valid | orders.o.valid | self.axi.r.valid | front.waiting):
            m.d.comb += cause.eq(ChannelCause.BUFFERED.value)
        with m.Else():
            m.d.comb += cause.eq(ChannelCause.IDLE.value)
        asked = engine.queries.valid & engine.queries.ready
        m.d.comb += [
            self._cycles.counting.eq(self.counting),
            self.cycles.eq(self._cycles.counts),
            self._events.counting.eq(self.counting),
            self._events.strobes.eq(
                Cat(
                    dies.senses.valid & dies.senses.ready,
                    asked & engine.hit,
                    asked,
                    (self.beats.valid & self.beats.ready) | (self.axi.r.valid & self.axi.r.ready),
                )
            ),
            self.events.eq(self._events.counts),
        ]

        codeword = engine.codeword if self._config.ecc is not None else None
        replaced = replacement.any_replaced
        steps = {
            SmartEvent.PROGRAM_FAILURES: path.events.program_failures,
            SmartEvent.ERASE_FAILURES: path.events.erase_failures,
            SmartEvent.BLOCKS_REPLACED: replaced & (blocks.replacement == 0),
            SmartEvent.BLOCKS_RETIRED: replaced & (blocks.replacement != 0),
            SmartEvent.SENSES: dies.senses.valid & dies.senses.ready,
            SmartEvent.PROGRAMS: path.events.programs,
            SmartEvent.ERASES: path.events.erases,
        }
        if codeword is not None:
            steps |= {
                SmartEvent.CORRECTED_CODEWORDS: codeword.en & (codeword.corrected != 0),
                SmartEvent.UNCORRECTABLE_CODEWORDS: codeword.en & codeword.uncorrectable,
                SmartEvent.CORRECTED_BITS: Mux(codeword.en, codeword.corrected, 0),
                SmartEvent.RETRIES: engine.again,
            }
        for event in SmartEvent:
            count = self._admin.counts[event.value]
            if event is SmartEvent.REPAIRED_LANES:
                m.d.comb += count.eq(lanes.repaired_lanes)
            elif event in steps:
                total = Signal(48, name=f"count_{event.name.lower()}")
                m.d.sync += total.eq(total + steps[event])
                m.d.comb += count.eq(total)
