"""Carries a page from its unit to a core die: shuts the bank, erases, moves the page."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Flash
from neardecode.flash.bus import Operation
from neardecode.flash.read.pages import Kill
from neardecode.flash.sections import host_of
from neardecode.flash.write.ports import UnitRead

__all__ = ["PageData", "Programmer", "Programming", "ProgrammingInterface", "UnitPage"]


class UnitPage(data.StructLayout):
    """A unit and where its page goes, if ``en``.

    Fields:
        unit: Which.
        bank, row: The page, the row being the physical one.
        shut: The bank was shut before.
    """

    def __init__(self, config: Flash):
        super().__init__(
            {
                "en": unsigned(1),
                "unit": unsigned(exact_log2(host_of(config).units)),
                "bank": unsigned(ceil_log2(config.banks)),
                "row": unsigned(ceil_log2(config.rows)),
                "shut": unsigned(1),
            }
        )


class PageData(data.StructLayout):
    """A beat of a page on its way to the core dies.

    Fields:
        data: The bytes.
        first, last: Of the page.
    """

    def __init__(self, beat_bytes: int):
        super().__init__(
            {"data": unsigned(8 * beat_bytes), "first": unsigned(1), "last": unsigned(1)}
        )


class _Closing(enum.Enum, shape=2):
    IDLE = 0
    CLOSE = 1
    CLOSED = 2


class _Preparing(enum.Enum, shape=2):
    IDLE = 0
    KILL = 1
    ERASE = 2


class _Copying(enum.Enum, shape=2):
    IDLE = 0
    REQUEST = 1
    COMMAND = 2
    BEATS = 3


class ProgrammingInterface(wiring.PureInterface):
    """The wires of `Programming`."""

    start: data.View
    starting: Signal
    preparing: Signal
    started: Signal
    started_unit: Signal
    erases: Signal
    copy: data.View
    copying: Signal


class Programming(wiring.Signature):
    """What the control has to do with the programmer, seen from the control.

    Members:
        start: Out(`UnitPage`). Shut its bank, and erase its block if its page is page 0; while
            not ``starting``, or where it is shut already, while not ``preparing``.
        starting, preparing: In(1).
        started: In(1). In this cycle that is done; ``started_unit`` is erasing if ``erases``.
        started_unit, erases: In.
        copy: Out(`UnitPage`). Program it; while not ``copying``.
        copying: In(1).
    """

    def __init__(self, config: Flash):
        super().__init__(
            {
                "start": Out(UnitPage(config)),
                "starting": In(1),
                "preparing": In(1),
                "started": In(1),
                "started_unit": In(exact_log2(host_of(config).units)),
                "erases": In(1),
                "copy": Out(UnitPage(config)),
                "copying": In(1),
            }
        )

    def create(self, *, path=None, src_loc_at=0) -> ProgrammingInterface:
        """The wires."""
        return ProgrammingInterface(self, path=path, src_loc_at=1 + src_loc_at)


class Programmer(wiring.Component):
    """Three sequencers: one shuts a bank, one drops stale copies and erases, one moves a page.

    Of these only the first waits for readers. A bank that is shut gets its erase and its page
    whatever another one's readers wait for, which may be that very bank. Page 0 of a block stands
    for the whole block: it is erased, and its page is moved only when that ended.

    Latency: ``close`` rises in the cycle after ``start``, ``bus_request`` in the one after
    ``copy``; the first beat is offered two cycles after the operation was taken. Rate: one beat a
    cycle, with a gap wherever a reader of the host reads.

    Parameters:
        config: The flash section of a configuration, with ``host``.

    Members:
        control: In(`Programming`).
        close: Out(1). Ask the read path to finish what was ordered before on ``close_bank``.
        close_bank: Out.
        closed: In(1). It is done, and the bank stays shut.
        kill: Out(`Kill`).
        operations: Out(stream of `Operation`).
        bus_request: Out(1). The data lanes are wanted.
        bus_granted: In(1). They are free until ``bus_request`` falls.
        fetch: Out(`UnitRead`). A beat is wanted.
        fetched: In(1). It is read; a path from ``fetch``.
        fetch_data: In. The beat fetched last.
        beats: Out(stream of `PageData`).
    """

    control: ProgrammingInterface
    close: Signal
    close_bank: Signal
    closed: Signal
    kill: data.View
    operations: stream.Interface
    bus_request: Signal
    bus_granted: Signal
    fetch: data.View
    fetched: Signal
    fetch_data: Signal
    beats: stream.Interface

    def __init__(self, config: Flash):
        self._config = config
        self._host = host_of(config)
        super().__init__(
            {
                "control": In(Programming(config)),
                "close": Out(1),
                "close_bank": Out(ceil_log2(config.banks)),
                "closed": In(1),
                "kill": Out(Kill(config)),
                "operations": Out(stream.Signature(Operation(config.banks, config.rows))),
                "bus_request": Out(1),
                "bus_granted": In(1),
                "fetch": Out(UnitRead(config)),
                "fetched": In(1),
                "fetch_data": In(8 * config.beat_bytes),
                "beats": Out(stream.Signature(PageData(config.beat_bytes))),
            }
        )

    def elaborate(self, platform) -> Module:
        """Three state machines, and one register of operations between them."""
        m = Module()
        control = self.control
        page_bits = exact_log2(self._host.pages_a_block)
        operation = self.operations.payload
        operation_free = Signal()
        m.d.comb += operation_free.eq(~self.operations.valid)
        with m.If(self.operations.ready):
            m.d.sync += self.operations.valid.eq(0)

        closing = Signal(_Closing)
        closed = Signal(UnitPage(self._config))
        preparing = Signal(_Preparing)
        shut = Signal(UnitPage(self._config))
        erases = Signal()
        erase_now = Signal()
        restart = control.start.en & control.start.shut
        m.d.comb += [
            control.starting.eq(closing != _Closing.IDLE),
            control.preparing.eq(preparing != _Preparing.IDLE),
            erases.eq(shut.row[:page_bits] == 0),
            self.close.eq(closing == _Closing.CLOSE),
            self.close_bank.eq(closed.bank),
            self.kill.en.eq(preparing == _Preparing.KILL),
            self.kill.bank.eq(shut.bank),
            self.kill.row.eq(shut.row),
            self.kill.block.eq(erases),
            erase_now.eq((preparing == _Preparing.ERASE) & operation_free),
            control.started.eq(erase_now | (self.kill.en & ~erases)),
            control.started_unit.eq(shut.unit),
            control.erases.eq(erases),
        ]
        with m.Switch(closing):
            with m.Case(_Closing.IDLE), m.If(control.start.en & ~restart):
                m.d.sync += [closed.eq(control.start), closing.eq(_Closing.CLOSE)]
            with m.Case(_Closing.CLOSE), m.If(self.closed):
                m.d.sync += closing.eq(_Closing.CLOSED)
            with m.Case(_Closing.CLOSED), m.If((preparing == _Preparing.IDLE) & ~restart):
                m.d.sync += closing.eq(_Closing.IDLE)
        with m.Switch(preparing):
            with m.Case(_Preparing.IDLE):
                with m.If(restart):
                    m.d.sync += [shut.eq(control.start), preparing.eq(_Preparing.KILL)]
                with m.Elif(closing == _Closing.CLOSED):
                    m.d.sync += [shut.eq(closed), preparing.eq(_Preparing.KILL)]
            with m.Case(_Preparing.KILL):
                with m.If(erases):
                    m.d.sync += preparing.eq(_Preparing.ERASE)
                with m.Else():
                    m.d.sync += preparing.eq(_Preparing.IDLE)
            with m.Case(_Preparing.ERASE), m.If(operation_free):
                m.d.sync += preparing.eq(_Preparing.IDLE)

        copying = Signal(_Copying)
        page = Signal(UnitPage(self._config))
        beat = Signal(range(self._config.page_beats))
        fetching = Signal()
        program_now = Signal()
        first = Signal()
        last = Signal()
        m.d.comb += [
            control.copying.eq(copying != _Copying.IDLE),
            self.bus_request.eq(control.copying),
            program_now.eq(
                (copying == _Copying.REQUEST) & self.bus_granted & operation_free & ~erase_now
            ),
            self.fetch.en.eq(fetching & (~self.beats.valid | self.beats.ready)),
            self.fetch.unit.eq(page.unit),
            self.fetch.beat.eq(beat),
            self.beats.payload.data.eq(self.fetch_data),
            self.beats.payload.first.eq(first),
            self.beats.payload.last.eq(last),
        ]
        with m.Switch(copying):
            with m.Case(_Copying.IDLE), m.If(control.copy.en):
                m.d.sync += [page.eq(control.copy), copying.eq(_Copying.REQUEST)]
            with m.Case(_Copying.REQUEST), m.If(program_now):
                m.d.sync += copying.eq(_Copying.COMMAND)
            with m.Case(_Copying.COMMAND), m.If(self.operations.ready):
                # The dies take beats from the cycle after the operation on.
                m.d.sync += [copying.eq(_Copying.BEATS), fetching.eq(1), beat.eq(0)]
            with m.Case(_Copying.BEATS), m.If(self.beats.valid & self.beats.ready & last):
                m.d.sync += copying.eq(_Copying.IDLE)
        with m.If(self.beats.ready):
            m.d.sync += self.beats.valid.eq(0)
        with m.If(self.fetched):
            m.d.sync += [
                self.beats.valid.eq(1),
                first.eq(beat == 0),
                last.eq(beat.all()),
                beat.eq(beat + 1),
                fetching.eq(~beat.all()),
            ]

        with m.If(erase_now):
            m.d.sync += [
                self.operations.valid.eq(1),
                operation.bank.eq(shut.bank),
                operation.row.eq(shut.row),
                operation.erase.eq(1),
            ]
        with m.Elif(program_now):
            m.d.sync += [
                self.operations.valid.eq(1),
                operation.bank.eq(page.bank),
                operation.row.eq(page.row),
                operation.erase.eq(0),
            ]
        return m
