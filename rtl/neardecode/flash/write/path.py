"""The write path of a channel: pages are gathered, checked, programmed, and answered for.

Source: OCP HBF v0.7.0, sections 5.4, 5.6 and 11.5.2.
"""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.data import View
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from neardecode.config import Flash
from neardecode.flash.axi import AxiWriteBeat
from neardecode.flash.blocks.ports import BlockAddress, BlockErased, BlockState, BlockUpdate
from neardecode.flash.bus import Operation, OperationEnd
from neardecode.flash.read.pages import Kill
from neardecode.flash.sections import host_of
from neardecode.flash.write.buffers import UnitBuffers
from neardecode.flash.write.control import WriteControl
from neardecode.flash.write.gatherer import Gatherer
from neardecode.flash.write.ports import (
    BankStrobe,
    UnitProbe,
    UnitProbed,
    UnitRead,
    UnitStrobe,
    WriteEnd,
    WriteEvents,
    WriteOpen,
)
from neardecode.flash.write.programmer import PageData, Programmer
from neardecode.lib.one_hot import one_hot_index

__all__ = ["WritePath"]


class WritePath(wiring.Component):
    """Gathers pages out of writes, programs them in order, and tells how each write ended.

    A command is accepted when its fate at this point is known, in the cycle after its check began;
    the probe of the very next cycle sees it. It waits for nothing but a lap of the units and room
    in the list of commands whose data has not come. Every command accepted is answered once, after
    its data.

    A page is programmed when it is complete, the first of its block, and its bank has no other
    program or erase under way. Page 0 erases its block before. A block whose erase fails gets a
    replacement, which is erased instead; one whose program fails gets one for the host's replay.

    A reader that was told of a unit may hold it up to two cycles after ``probed``; the buffer then
    keeps the page until it is let go.

    Parameters:
        config: The flash section of a configuration, with ``host``.

    Members:
        opens: In(stream of `WriteOpen`).
        data: In(stream of `AxiWriteBeat`). The data of the commands, in their order.
        ends: Out(stream of `WriteEnd`). The answers.
        probe, probed: In(`UnitProbe`), Out(`UnitProbed`). Answered a cycle later.
        acquire, release: In(`UnitStrobe`). A reader holds a unit's buffer, or lets it go.
        read, read_data: In(`UnitRead`), Out. A beat of a unit's buffer, in the next cycle only.
        unit_limit: In. Most units in use.
        gather_cycles: In(32). Time limit of a page, from its first command on.
        halt: In(1). Pages that were not begun end with `WriteStatus.BLOCKED`, complete or not;
            what is under way comes to its end, a secure erase too.
        check, checked: Out(`BlockAddress`), In(`BlockState`). A look-up in the block table,
            answered a cycle later.
        update: Out(`BlockUpdate`). Seen by look-ups from the next cycle on.
        replace: Out(`BlockAddress`). A block is bad; the table's next page is given back to it by
            an ``update`` the cycle after ``replaced``.
        replaced: In(1). The block was replaced, or not.
        replacement: In(3). A `Retired`; zero if it has a new physical block.
        erased: Out(`BlockErased`).
        close, close_bank: Out. The read path is to finish what was ordered before on a bank.
        closed: In(1). It is done; the bank stays shut until ``reopen``.
        kill: Out(`Kill`). Buffered copies are stale; while their bank is shut.
        reopen: Out(`BankStrobe`).
        operations, ended, end: As in `CoreDieBus`.
        bus_request: Out(1). The data lanes are wanted, until the last beat of a page was taken.
        bus_granted: In(1). They are free, for as long as they are wanted.
        beats: Out(stream of `PageData`). The page of the program accepted last.
        erase_request: In(1). Erase all blocks of ``erase_zones`` that are not retired, when no
            unit is in use; it falls in the cycle after ``erase_done``. Commands are held back while
            it runs.
        erase_zones: In(32). A bit a zone.
        erase_done: Out(1).
        busy: Out(1). A unit is in use.
        events: Out(`WriteEvents`).

    Attributes:
        control: Its `WriteControl`, for whoever watches it.

    Raises:
        ValueError: if ``config`` has no ``host``.
    """

    opens: stream.Interface
    data: stream.Interface
    ends: stream.Interface
    probe: View
    probed: View
    acquire: View
    release: View
    read: View
    read_data: Signal
    unit_limit: Signal
    gather_cycles: Signal
    halt: Signal
    check: View
    checked: View
    update: View
    replace: View
    replaced: Signal
    replacement: Signal
    erased: View
    close: Signal
    close_bank: Signal
    closed: Signal
    kill: View
    reopen: View
    operations: stream.Interface
    ended: Signal
    end: View
    bus_request: Signal
    bus_granted: Signal
    beats: stream.Interface
    erase_request: Signal
    erase_zones: Signal
    erase_done: Signal
    busy: Signal
    events: View

    def __init__(self, config: Flash):
        self._config = config
        self._host = host = host_of(config)
        self.control = WriteControl(config)
        super().__init__(
            {
                "opens": In(stream.Signature(WriteOpen(config))),
                "data": In(stream.Signature(AxiWriteBeat(config.beat_bytes))),
                "ends": Out(stream.Signature(WriteEnd(host.writes))),
                "probe": In(UnitProbe(config)),
                "probed": Out(UnitProbed(config)),
                "acquire": In(UnitStrobe(config)),
                "release": In(UnitStrobe(config)),
                "read": In(UnitRead(config)),
                "read_data": Out(8 * config.beat_bytes),
                "unit_limit": In(range(host.units + 1)),
                "gather_cycles": In(32),
                "halt": In(1),
                "check": Out(BlockAddress(config)),
                "checked": In(BlockState(config)),
                "update": Out(BlockUpdate(config)),
                "replace": Out(BlockAddress(config)),
                "replaced": In(1),
                "replacement": In(3),
                "erased": Out(BlockErased(config)),
                "close": Out(1),
                "close_bank": Out(ceil_log2(config.banks)),
                "closed": In(1),
                "kill": Out(Kill(config)),
                "reopen": Out(BankStrobe(config)),
                "operations": Out(stream.Signature(Operation(config.banks, config.rows))),
                "ended": In(1),
                "end": In(OperationEnd(config.banks)),
                "bus_request": Out(1),
                "bus_granted": In(1),
                "beats": Out(stream.Signature(PageData(config.beat_bytes))),
                "erase_request": In(1),
                "erase_zones": In(32),
                "erase_done": Out(1),
                "busy": Out(1),
                "events": Out(WriteEvents()),
            }
        )

    def elaborate(self, platform) -> Module:
        """The parts joined; probes and holds."""
        m = Module()
        m.submodules.control = control = self.control
        m.submodules.gatherer = gatherer = Gatherer(self._config)
        m.submodules.programmer = programmer = Programmer(self._config)
        m.submodules.buffers = buffers = UnitBuffers(self._config)
        connect(m, flipped(self.opens), control.opens)
        connect(m, flipped(self.data), gatherer.data)
        connect(m, gatherer.ends, flipped(self.ends))
        connect(m, programmer.operations, flipped(self.operations))
        connect(m, programmer.beats, flipped(self.beats))

        def join(source, sink, *names: str) -> None:
            m.d.comb += [getattr(sink, name).eq(getattr(source, name)) for name in names]

        inputs = ("unit_limit", "gather_cycles", "halt", "checked", "replaced", "replacement")
        join(self, control, *inputs, "ended", "end", "erase_request", "erase_zones")
        outputs = ("check", "update", "replace", "erased", "reopen", "erase_done", "busy", "events")
        join(control, self, *outputs)
        connect(m, control.gatherer, gatherer.control)
        connect(m, control.programmer, programmer.control)
        join(self, programmer, "closed", "bus_granted")
        join(programmer, self, "close", "close_bank", "kill", "bus_request")
        join(gatherer, buffers, "write")
        join(self, buffers, "read")
        join(buffers, self, "read_data")
        join(programmer, buffers, "fetch")
        join(buffers, programmer, "fetched", "fetch_data")

        holding = Signal.like(control.holding)
        m.d.comb += [
            control.page.bank.eq(self.probe.bank),
            control.page.row.eq(self.probe.row),
            self.probed.hit.eq(holding.any()),
            self.probed.unit.eq(one_hot_index(holding)),
            gatherer.probe_unit.eq(self.probed.unit),
            self.probed.pending.eq(self.probed.hit & gatherer.pending),
        ]
        with m.If(self.probe.en):
            m.d.sync += [
                holding.eq(control.holding),
                gatherer.probe_first.eq(self.probe.first),
                gatherer.probe_beats.eq(self.probe.beats),
            ]

        one = Const(1, self._host.units)
        acquired = Signal(self._host.units)
        released = Signal(self._host.units)
        m.d.comb += [
            acquired.eq(Mux(self.acquire.en, one << self.acquire.unit, 0)),
            released.eq(Mux(self.release.en, one << self.release.unit, 0)),
        ]
        for unit in range(self._host.units):
            readers = Signal(range(self._host.reads + 1), name=f"readers_{unit}")
            m.d.sync += readers.eq(readers + acquired[unit] - released[unit])
            m.d.comb += control.held[unit].eq(readers != 0)
        return m
