"""Programs and erases of core dies: who is busy, for how long, and how it ends."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from neardecode.config import Flash
from neardecode.flash.bus import Operation, OperationEnd
from neardecode.lib.fifo import StreamFIFO
from neardecode_testbench.devices.faults import Xorshift, generator_seed
from neardecode_testbench.devices.records import EndedOperation

__all__ = ["OPERATION_GENERATOR", "OperationTimers"]

OPERATION_GENERATOR = 255
"""The index of the generator that says which operations fail; see `generator_seed`."""
SHORTEST = 8


class OperationTimers(wiring.Component):
    """Takes programs and erases and gives them back when their time is over.

    A program's time runs from its last beat, an erase's from its acceptance. `ends` offers each
    operation one cycle before its time is over, since its record is changed in that cycle; those
    that are over together queue, programs before erases. Whether an operation fails is decided
    when it is accepted, by bits 63:48 of a generator that steps with every operation.

    Parameters:
        config: The flash section, with ``host``.
        program_cycles, erase_cycles: tPROG and tBERS.
        seed: Of the generator.

    Members:
        operations: In(stream of `Operation`). A program is taken only while the lanes are quiet,
            and nothing while a program waits for its beats.
        free: In(banks). Banks that neither sense nor hold a page.
        quiet: In(1). The lanes from the dies are idle and nobody asks for them.
        idle: Out(banks). Banks that take an operation.
        busy: Out(banks). Banks that program or erase.
        written: In(1). A beat has come.
        writing: Out(1). A program waits for its beats.
        beat: Out. Where the next beat goes, in beats.
        last: Out(1). The next beat is the page's last.
        starts: Out(stream of `Operation`).
        ends: Out(stream of `EndedOperation`).
        ended: In(1). An end has been recorded; its bank is free from the next cycle on.
        end: In(`OperationEnd`).
        program_failures, erase_failures: In(16). As in `Faults`.
    """

    operations: stream.Interface
    free: Signal
    quiet: Signal
    idle: Signal
    busy: Signal
    written: Signal
    writing: Signal
    beat: Signal
    last: Signal
    starts: stream.Interface
    ends: stream.Interface
    ended: Signal
    end: data.View
    program_failures: Signal
    erase_failures: Signal

    def __init__(self, config: Flash, program_cycles: int, erase_cycles: int, seed: int):
        for name, cycles in (("program_cycles", program_cycles), ("erase_cycles", erase_cycles)):
            if not isinstance(cycles, int) or cycles < SHORTEST:
                raise ValueError(f"{name} must be at least {SHORTEST}, not {cycles!r}")
        self._config = config
        self._program_cycles = program_cycles
        self._erase_cycles = erase_cycles
        self._seed = seed
        banks = config.banks
        operation = Operation(banks, config.rows)
        super().__init__(
            {
                "operations": In(stream.Signature(operation)),
                "free": In(banks),
                "quiet": In(1),
                "idle": Out(banks),
                "busy": Out(banks),
                "written": In(1),
                "writing": Out(1),
                "beat": Out(ceil_log2(banks * config.rows * config.page_beats)),
                "last": Out(1),
                "starts": Out(stream.Signature(operation)),
                "ends": Out(stream.Signature(EndedOperation(config))),
                "ended": In(1),
                "end": In(OperationEnd(banks)),
                "program_failures": In(16),
                "erase_failures": In(16),
            }
        )

    def elaborate(self, platform) -> Module:
        """Acceptance, the page being written, and two timers."""
        m = Module()
        config = self._config
        banks = config.banks
        command = self.operations.payload
        operation = Operation(banks, config.rows)
        ended = EndedOperation(config)

        m.submodules.starts = starts = StreamFIFO(operation, 1)
        m.submodules.ends = ends = StreamFIFO(ended, 1)
        m.submodules.generator = generator = Xorshift(
            generator_seed(self._seed, OPERATION_GENERATOR)
        )
        connect(m, starts.o, flipped(self.starts))
        connect(m, ends.o, flipped(self.ends))

        writing = Signal()
        accept = Signal()
        failing = Signal()
        failures = Signal(16)
        m.d.comb += [
            self.idle.eq(self.free & ~self.busy),
            self.operations.ready.eq(
                self.idle.bit_select(command.bank, 1)
                & starts.i.ready
                & ~writing
                & (command.erase | self.quiet)
            ),
            accept.eq(self.operations.valid & self.operations.ready),
            starts.i.valid.eq(accept),
            starts.i.payload.eq(command),
            failures.eq(Mux(command.erase, self.erase_failures, self.program_failures)),
            failing.eq((generator.bits[48:] < failures) | failures.all()),
            generator.step.eq(accept),
        ]
        begun = Mux(accept, Const(1, banks) << command.bank, 0)
        over = Mux(self.ended, Const(1, banks) << self.end.bank, 0)
        m.d.sync += self.busy.eq((self.busy | begun) & ~over)

        page = data.View(operation, Signal(operation.size, name="page"))
        page_fails = Signal()
        beat = Signal(range(config.page_beats))
        last = Signal()
        m.d.comb += [
            last.eq(beat == config.page_beats - 1),
            self.writing.eq(writing),
            self.beat.eq(Cat(beat, page.bank, page.row)),
            self.last.eq(last),
        ]
        with m.If(accept & ~command.erase):
            m.d.sync += [writing.eq(1), page.eq(command), page_fails.eq(failing), beat.eq(0)]
        with m.Elif(writing & self.written):
            m.d.sync += beat.eq(beat + 1)
            with m.If(last):
                m.d.sync += writing.eq(0)

        # Of one kind all take the same time, so they end in the order in which they began. An end
        # may wait for others' records, so a time that is over is one that lies behind.
        longest = max(self._program_cycles, self._erase_cycles)
        time_bits = ceil_log2(longest + 16 * banks + 64) + 1
        now = Signal(time_bits)
        m.d.sync += now.eq(now + 1)
        timed = data.StructLayout({"ended": ended, "time": time_bits})
        due = []
        heads = []
        for name, cycles, begins, which, fails in (
            (
                "programs",
                self._program_cycles,
                writing & self.written & last,
                page,
                page_fails,
            ),
            ("erases", self._erase_cycles, accept & command.erase, command, failing),
        ):
            queue = SyncFIFOBuffered(width=timed.size, depth=banks + 1)
            m.submodules[name] = queue
            entry = data.View(timed, Signal(timed.size, name=f"{name}_entry"))
            head = data.View(timed, queue.r_data)
            is_due = Signal(name=f"{name}_due")
            m.d.comb += [
                entry.ended.operation.eq(which),
                entry.ended.failed.eq(fails),
                # One cycle to the record, one until it is written.
                entry.time.eq(now + cycles - 2),
                queue.w_data.eq(entry),
                queue.w_en.eq(begins),
                is_due.eq(queue.r_rdy & ~(now - head.time)[time_bits - 1]),
            ]
            due.append((queue, is_due))
            heads.append(head.ended)
        (programs, program_due), (erases, erase_due) = due
        m.d.comb += [
            ends.i.valid.eq(program_due | erase_due),
            ends.i.payload.eq(Mux(program_due, heads[0].as_value(), heads[1].as_value())),
            programs.r_en.eq(program_due & ends.i.ready),
            erases.r_en.eq(erase_due & ~program_due & ends.i.ready),
        ]
        return m
