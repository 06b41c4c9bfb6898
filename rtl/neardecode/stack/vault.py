"""A DRAM vault's controller: pages and beats in and out, commands to the DRAM above it."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from neardecode.config import HeatConstants, Stack, StackCycles, VaultCause, VaultEvent
from neardecode.lib.counters import CycleCounters, EventCounters
from neardecode.lib.once import once
from neardecode.lib.page import BeatRequest, BeatWrite, PageBeat, PageRequest
from neardecode.stack.banks import BankStates
from neardecode.stack.command import DramBus, DramBusInterface, RowKind
from neardecode.stack.data_path import DataPath
from neardecode.stack.front import VaultFront
from neardecode.stack.heat import VaultHeat
from neardecode.stack.lanes import TsvLanes
from neardecode.stack.queue import AccessQueue
from neardecode.stack.read_buffer import ReadBuffer
from neardecode.stack.refresh import refresh_of

__all__ = ["VaultController"]

SHOWN = ("temperature", "throttle", "permit")
"""What a vault shows of its heat."""


@once
class VaultController(wiring.Component):
    """Reads and writes the DRAM of one vault.

    Pages, single beats and writes are taken in turn, a page of a run at a time; answers come in the
    order in which they were taken, and a read sees the writes taken before it. Commands go to the
    DRAM in another order where that is faster (`AccessQueue`). Nothing is taken in the first
    `start_cycles` cycles, in which the TSVs are tested.

    In an idle vault the first beat leaves `latency` cycles after its request was taken: 3 + CL for
    an open row, tRCD more for a closed bank, tRP more again where another row is open. Rate: a beat
    a cycle.

    Parameters:
        config: The stack section of a configuration.
        cycles: Its timings.
        heat: Its thermal constants; without them nothing heats.

    Members:
        requests: In(stream of `PageRequest`).
        reads: In(stream of `BeatRequest`).
        beats: Out(stream of `PageBeat`). A single beat is first and last.
        writes: In(stream of `BeatWrite`).
        written: Out(1). One more write, in their order, went to the DRAM.
        dram: Out(`DramBus`).
        faulty: Out(lanes). TSVs that are led around, for the DRAM to do so too.
        hot: In(1). Above 85 C, as a sensor says.
        doubled: Out(1). Refresh runs at twice the rate: that, or the thermal node is so hot.
        temperature: Out(9). The node's, in half degrees above 0 C; only with ``heat``.
        throttle: Out(range(16)). Of 16 cycles, those that the reader is to rest; only with it.
        permit: Out(1). This is none of them; only with it.
        ready: Out(1). The TSVs are tested.
        repaired: Out(1). Some are bad, and are led around.
        retired: Out(1). Too many are bad: every read is answered with an error.
        counting: In(1). Counters run.
        cause: Out(`VaultCause`). Where this cycle goes.
        strobes: Out. What happens in it, by `VaultEvent`.
        cycles: Out(counts by `VaultCause`).
        events: Out(counts by `VaultEvent`).
    """

    start_cycles = TsvLanes.test_cycles

    requests: stream.Interface
    reads: stream.Interface
    beats: stream.Interface
    writes: stream.Interface
    written: Signal
    dram: DramBusInterface
    faulty: Signal
    hot: Signal
    doubled: Signal
    temperature: Signal
    throttle: Signal
    permit: Signal
    ready: Signal
    repaired: Signal
    retired: Signal
    counting: Signal
    cause: Signal
    strobes: Signal
    cycles: data.View
    events: data.View

    def __init__(self, config: Stack, cycles: StackCycles, heat: HeatConstants | None = None):
        self._config = config
        self._heat = None if heat is None else VaultHeat(heat)
        self._timings = cycles
        self._cycles = CycleCounters(VaultCause)
        self._events = EventCounters(VaultEvent)
        address, beats = exact_log2(config.pages), config.page_beats
        shown = {}
        if self._heat is not None:
            shown = {name: self._heat.signature.members[name] for name in SHOWN}
        super().__init__(
            {
                **shown,
                "requests": In(stream.Signature(PageRequest(address))),
                "reads": In(stream.Signature(BeatRequest(address, beats))),
                "beats": Out(stream.Signature(PageBeat(config.beat_bytes))),
                "writes": In(stream.Signature(BeatWrite(address, beats, config.beat_bytes))),
                "written": Out(1),
                "dram": Out(DramBus(config)),
                "faulty": Out(config.lanes),
                "hot": In(1),
                "doubled": Out(1),
                "ready": Out(1),
                "repaired": Out(1),
                "retired": Out(1),
                "counting": In(1),
                "cause": Out(range(len(VaultCause))),
                "strobes": Out(len(VaultEvent)),
                "cycles": Out(self._cycles.counts.shape()),
                "events": Out(self._events.counts.shape()),
            }
        )

    def latency(self, *, closed: bool = False, conflict: bool = False) -> int:
        """Cycles from a request to its first beat in an idle vault."""
        timings = self._timings
        opening = (timings.rcd if closed or conflict else 0) + (timings.rp if conflict else 0)
        return 3 + timings.cl + opening

    def elaborate(self, platform) -> Module:
        """Join the parts, choose the row command, and name every cycle."""
        m = Module()
        config, timings = self._config, self._timings
        m.submodules.front = front = VaultFront(config)
        m.submodules.queue = queue = AccessQueue(config)
        m.submodules.banks = banks = BankStates(config, timings)
        m.submodules.refresh = refresh = refresh_of(config, timings)
        m.submodules.buffer = buffer = ReadBuffer(config)
        m.submodules.data = path = DataPath(config, timings)
        m.submodules.lanes = lanes = TsvLanes(config)

        for name in ("requests", "reads", "writes"):
            connect(m, flipped(getattr(self, name)), getattr(front, name))
        connect(m, front.accesses, queue.accesses)
        connect(m, front.answers, buffer.answers)
        connect(m, front.data, path.written)
        connect(m, buffer.beats, flipped(self.beats))
        shared = ("open", "activate_ready", "precharge_ready")
        own = ("rows", "column_ready", "group_ready", "read_ready", "write_ready", "turned")
        m.d.comb += [
            *(getattr(queue, name).eq(getattr(banks, name)) for name in (*shared, *own)),
            *(getattr(refresh, name).eq(getattr(banks, name)) for name in shared),
            refresh.window_ready.eq(banks.window_ready),
            queue.window_ready.eq(banks.window_ready & ~refresh.drains),
            queue.refreshing.eq(banks.refreshing),
            queue.blocked.eq(refresh.blocked),
            refresh.wanted.eq(queue.wanted),
            refresh.enable.eq(lanes.done),
            refresh.hot.eq(self.doubled),
            front.enable.eq(lanes.done),
            front.retired.eq(lanes.failed),
            front.place.eq(buffer.place),
            front.page_fits.eq(buffer.page_fits),
            front.beat_fits.eq(buffer.beat_fits),
            self.ready.eq(lanes.done),
            self.repaired.eq(lanes.repaired),
            self.retired.eq(lanes.failed),
        ]

        row, column = self.dram.row, self.dram.column
        wanted = queue.row_command.kind != RowKind.NONE
        wins = Signal()
        m.d.comb += [
            wins.eq(refresh.urgent | ~wanted),
            row.eq(Mux(wins, refresh.command, queue.row_command)),
            refresh.given.eq(wins),
            column.eq(queue.column_command),
            banks.row_command.eq(row),
            banks.column_command.eq(column),
        ]
        with m.If(column.valid):
            m.d.sync += refresh.last_bank.eq(column.bank[exact_log2(config.bank_groups) :])

        throttled = Signal()
        if self._heat is None:
            m.d.comb += self.doubled.eq(self.hot)
        else:
            m.submodules.heat = heat = self._heat
            m.d.comb += [
                heat.strobes.eq(self.strobes),
                self.doubled.eq(self.hot | heat.hot),
                throttled.eq(~heat.permit),
                *(getattr(self, name).eq(getattr(heat, name)) for name in SHOWN),
            ]
        self._move_data(m, queue, buffer, path, lanes)
        self._count(m, queue, front, lanes, throttled)
        return m

    def _move_data(self, m: Module, queue, buffer, path, lanes) -> None:
        """Between lanes, read buffer and what is written."""
        column = self.dram.column
        m.d.comb += [
            path.reads.eq(column.valid & ~column.write),
            path.writes.eq(column.valid & column.write),
            path.place.eq(queue.place),
            lanes.outgoing.eq(path.outgoing),
            lanes.read_lanes.eq(self.dram.read_lanes),
            self.dram.write_lanes.eq(lanes.write_lanes),
            self.dram.loopback.eq(lanes.loopback),
            self.faulty.eq(lanes.faulty),
            buffer.stored.eq(path.stored),
            buffer.stored_place.eq(path.stored_place),
            buffer.stored_data.eq(lanes.incoming),
            self.written.eq(column.valid & column.write),
        ]

    def _count(self, m: Module, queue, front, lanes, throttled) -> None:
        """One cause a cycle, and the events."""
        row, column = self.dram.row, self.dram.column
        with m.If(column.valid):
            m.d.comb += self.cause.eq(VaultCause.BUSY.value)
        with m.Elif(~lanes.done | lanes.failed):
            m.d.comb += self.cause.eq(VaultCause.LANES.value)
        with m.Elif(~queue.empty):
            m.d.comb += self.cause.eq(queue.cause)
        with m.Elif(front.held | (self.beats.valid & ~self.beats.ready)):
            m.d.comb += self.cause.eq(VaultCause.OUTPUT.value)
        with m.Else():
            m.d.comb += self.cause.eq(VaultCause.IDLE.value)
        m.submodules.cycle_counters = self._cycles
        m.submodules.event_counters = self._events
        m.d.comb += [
            self.strobes.eq(
                Cat(
                    column.valid & ~column.write,
                    column.valid & column.write,
                    row.kind == RowKind.ACTIVATE,
                    (row.kind == RowKind.REFRESH_ALL) | (row.kind == RowKind.REFRESH_BANK),
                    queue.overtakes,
                    self.doubled,
                    throttled,
                )
            ),
            self._cycles.cause.eq(self.cause),
            self._cycles.counting.eq(self.counting),
            self.cycles.eq(self._cycles.counts),
            self._events.strobes.eq(self.strobes),
            self._events.counting.eq(self.counting),
            self.events.eq(self._events.counts),
        ]
