"""Whose turn it is: a command that is checked, or a unit that makes a step.

Source: OCP HBF v0.7.0, sections 5.4, 5.6 (table 13) and 11.5.2.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from neardecode.config import Flash
from neardecode.flash.blocks.ports import BlockAddress, BlockErased, BlockState, BlockUpdate
from neardecode.flash.bus import OperationEnd
from neardecode.flash.sections import host_of
from neardecode.flash.status import WriteStatus
from neardecode.flash.write.check import WriteCheck
from neardecode.flash.write.erase_zones import EraseZones
from neardecode.flash.write.gathering import Gathering, GatheringInterface
from neardecode.flash.write.ports import BankStrobe, Fate, PageAddress, WriteEvents, WriteOpen
from neardecode.flash.write.programmer import Programming, ProgrammingInterface
from neardecode.flash.write.steps import Turn, UnitSteps
from neardecode.flash.write.units import UnitAddresses, UnitState
from neardecode.lib.one_hot import one_hot_index

__all__ = ["WriteControl"]

LEAST_LAP = 4
"""Cycles between two visits of a unit, so that a reader that was told of it can hold it."""


class WriteControl(wiring.Component):
    """Checks commands and leads units from their first beat to their end.

    One unit is visited a cycle, in turn, and makes one step at most; so time limits are noticed
    up to a lap late, a lap being as many cycles as there are units, plus two for each command that
    was checked meanwhile. A command's check takes two cycles, and a visit comes between
    two checks.
    Whatever needs the block table is done one after another, so nothing that was looked up is old.

    A unit is *live* until its fate is known; only then readers and commands find its page, and
    only live units stand before others of their block. A unit is in use until its commands were
    answered and no reader holds it.

    Parameters:
        config: The flash section of a configuration, with ``host``.

    Members:
        opens: In(stream of `WriteOpen`). Accepted when it has been checked.
        unit_limit: In. Most units in use.
        gather_cycles: In(32). Time limit of a unit, from its first command on.
        halt: In(1). Pages that were not begun end.
        check, checked: Out(`BlockAddress`), In(`BlockState`). A look-up, answered a cycle later.
        update: Out(`BlockUpdate`).
        replace: Out(`BlockAddress`). A block is bad.
        replaced: In(1). It was replaced, or not.
        replacement: In(3). A `Retired`; zero if it has a new physical block.
        erased: Out(`BlockErased`).
        reopen: Out(`BankStrobe`). The bank may be read again.
        ended, end: In. As in `CoreDieBus`.
        page: In(`PageAddress`). A reader's page.
        holding: Out(units). The live unit with that page; a path from ``page``.
        held: In(units). A reader holds the buffer.
        erase_request: In(1). Erase the blocks of ``erase_zones``, until ``erase_done``.
        erase_zones: In(32).
        erase_done: Out(1).
        busy: Out(1). A unit is in use.
        events: Out(`WriteEvents`).
        gatherer: Out(`Gathering`).
        programmer: Out(`Programming`).

    Attributes:
        visited, steps: Whose turn it is, and the step that it makes.
    """

    opens: stream.Interface
    unit_limit: Signal
    gather_cycles: Signal
    halt: Signal
    check: data.View
    checked: data.View
    update: data.View
    replace: data.View
    replaced: Signal
    replacement: Signal
    erased: data.View
    reopen: data.View
    ended: Signal
    end: data.View
    page: data.View
    holding: Signal
    held: Signal
    erase_request: Signal
    erase_zones: Signal
    erase_done: Signal
    busy: Signal
    events: data.View
    gatherer: GatheringInterface
    programmer: ProgrammingInterface

    def __init__(self, config: Flash):
        self._config = config
        self._host = host = host_of(config)
        units = host.units
        super().__init__(
            {
                "opens": In(stream.Signature(WriteOpen(config))),
                "unit_limit": In(range(units + 1)),
                "gather_cycles": In(32),
                "halt": In(1),
                "check": Out(BlockAddress(config)),
                "checked": In(BlockState(config)),
                "update": Out(BlockUpdate(config)),
                "replace": Out(BlockAddress(config)),
                "replaced": In(1),
                "replacement": In(3),
                "erased": Out(BlockErased(config)),
                "reopen": Out(BankStrobe(config)),
                "ended": In(1),
                "end": In(OperationEnd(config.banks)),
                "page": In(PageAddress(config)),
                "holding": Out(units),
                "held": In(units),
                "erase_request": In(1),
                "erase_zones": In(32),
                "erase_done": Out(1),
                "busy": Out(1),
                "events": Out(WriteEvents()),
                "gatherer": Out(Gathering(config)),
                "programmer": Out(Programming(config)),
            }
        )
        self._states = Signal(data.ArrayLayout(UnitState, units))
        self._fates = Signal(data.ArrayLayout(Fate(), units))
        self._turn = Signal(Turn)
        self.visited = Signal(exact_log2(units))
        self._visiting = Signal()
        self._now = Signal(33)
        self._free = Signal(units)
        self._live = Signal(units)
        self._owned = Signal(units)
        self._erasing_zones = Signal()
        self._addresses = UnitAddresses(config)
        self.steps = UnitSteps()

    def elaborate(self, platform) -> Module:
        """The turns; what commands, units and a secure erase do in theirs."""
        m = Module()
        units = self._host.units
        lap = max(units, LEAST_LAP)
        m.submodules.addresses = addresses = self._addresses
        m.submodules.steps = steps = self.steps
        opening = Signal()
        may_open = Signal(init=1)
        position = Signal(range(lap))
        next_position = Signal()
        for unit in range(units):
            state = Value.cast(self._states[unit])
            m.d.comb += [
                self._free[unit].eq(state == UnitState.FREE.value),
                self._live[unit].eq(state[1:].any()),
                self._owned[unit].eq(state[3]),
            ]
        m.d.comb += [
            self.visited.eq(position),
            self._visiting.eq((self._turn == Turn.VISIT) & ~opening & (position < units)),
            addresses.visited.eq(self.visited),
            addresses.asked.eq(addresses.page),
            addresses.probe.eq(self.page),
            addresses.ended_bank.eq(self.end.bank),
            # A unit of a secure erase has no page.
            self.holding.eq(Mux(self._erasing_zones, 0, addresses.probed & self._live)),
            self.busy.eq(~self._free.all()),
            opening.eq(
                (self._turn == Turn.VISIT)
                & self.opens.valid
                & self.gatherer.room
                & may_open
                & ~self._erasing_zones
            ),
            self.check.en.eq(opening | steps.step.look_up),
            self.check.bank.eq(addresses.asked.bank),
            self.check.block.eq(self._block(addresses.asked.row)),
            self.update.bank.eq(addresses.page.bank),
            self.update.block.eq(self._block(addresses.page.row)),
            next_position.eq(
                Mux(
                    self._turn == Turn.VISIT,
                    ~opening & ~steps.step.look_up,
                    (self._turn == Turn.START) | (self._turn == Turn.RESTORE),
                )
            ),
        ]
        with m.If(opening):
            m.d.comb += [
                addresses.asked.bank.eq(self.opens.payload.bank),
                addresses.asked.row.eq(self.opens.payload.row),
            ]
        with m.Switch(self._turn):
            with m.Case(Turn.VISIT):
                m.d.sync += may_open.eq(~opening)
                with m.If(opening):
                    m.d.sync += self._turn.eq(Turn.CHECK)
                with m.Elif(steps.step.look_up):
                    m.d.sync += self._turn.eq(steps.step.turn)
            with m.Case(Turn.REPLACE):
                m.d.sync += self._turn.eq(Turn.REPLACING)
            with m.Case(Turn.REPLACING), m.If(self.replaced):
                m.d.sync += self._turn.eq(Turn.RESTORE)
            with m.Default():
                m.d.sync += self._turn.eq(Turn.VISIT)
        with m.If(next_position):
            m.d.sync += position.eq(Mux(position == lap - 1, 0, position + 1))

        self._add_steps(m)
        self._add_check(m, opening)
        self._add_secure_erase(m, opening)
        return m

    def _block(self, row: Value) -> Value:
        """The block of a row."""
        return row[exact_log2(self._host.pages_a_block) :]

    def _page(self, row: Value) -> Value:
        """The page of a row within its block."""
        return row[: exact_log2(self._host.pages_a_block)]

    def _mask(self, state: UnitState) -> Value:
        """The units in a state."""
        units = range(self._host.units)
        return Cat(Value.cast(self._states[unit]) == state.value for unit in units)

    def _add_steps(self, m: Module) -> None:
        """What a unit's step depends on, and what it changes."""
        host, gatherer, programmer = self._host, self.gatherer, self.programmer
        addresses, visited, steps = self._addresses, self.visited, self.steps
        facts, step = steps.facts, steps.step
        mark = Const(1, host.units) << visited
        page = self._page(addresses.page.row)
        m.submodules.opened_at = opened_at = Memory(shape=33, depth=host.units, init=[])
        physical = Signal(data.ArrayLayout(self.checked.physical.shape(), host.units))
        self._opened_at, opened = opened_at.write_port(), opened_at.read_port(domain="comb")

        # Operations that ended, until the visit of their unit.
        done = Signal(host.units)
        failed = Signal(host.units)
        ending = Signal(host.units)
        m.d.comb += ending.eq(Mux(self.ended, addresses.at_bank & self._owned, 0))
        m.d.sync += [
            self._now.eq(self._now + 1),
            done.eq((done | ending) & ~Mux(step.seen, mark, 0)),
            failed.eq(Mux(self.end.failed, failed | ending, failed & ~ending)),
        ]

        # What the record said before a block was replaced.
        next_page = Signal.like(self.checked.next_page)
        was_failed = Signal()
        replacement = Signal.like(self.replacement)
        with m.If(self._turn == Turn.REPLACE):
            m.d.sync += [next_page.eq(self.checked.next_page), was_failed.eq(self.checked.failed)]
        with m.If(self.replaced):
            m.d.sync += replacement.eq(self.replacement)

        m.d.comb += [
            opened.addr.eq(visited),
            facts.state.eq(self._states[visited]),
            facts.complete.eq((gatherer.complete & mark).any()),
            # One bit more than the limit, so that no difference comes round to a smaller one.
            facts.overdue.eq((self._now - opened.data)[:33] >= self.gather_cycles),
            facts.first.eq(~(addresses.lower & self._live).any()),
            facts.bank_free.eq(~(addresses.same_bank & self._owned).any()),
            facts.done.eq((done & mark).any()),
            facts.failed.eq((failed & mark).any()),
            facts.listed.eq((gatherer.listed & mark).any()),
            facts.idle.eq((gatherer.settled & ~self.held & mark).any()),
            steps.turn.eq(self._turn),
            steps.halt.eq(self.halt),
            steps.erase_only.eq(self._erasing_zones),
            steps.starting.eq(programmer.starting),
            steps.preparing.eq(programmer.preparing),
            steps.copying.eq(programmer.copying),
            steps.answering.eq(gatherer.answering),
            steps.retired.eq(Mux(self._turn == Turn.RESTORE, replacement, self.checked.retired)),
            programmer.start.en.eq(step.start),
            programmer.start.unit.eq(visited),
            programmer.start.bank.eq(addresses.page.bank),
            programmer.start.row.eq(Cat(page, self.checked.physical)),
            programmer.start.shut.eq(facts.state == UnitState.RESTARTING),
            programmer.copy.en.eq(step.copy),
            programmer.copy.unit.eq(visited),
            programmer.copy.bank.eq(addresses.page.bank),
            programmer.copy.row.eq(Cat(page, physical[visited])),
            gatherer.answer.en.eq(step.answer),
            gatherer.answer.unit.eq(visited),
            gatherer.answer.status.eq(self._fates[visited].status),
            gatherer.answer.info.eq(self._fates[visited].info),
            self.erased.en.eq(step.erased),
            self.erased.bank.eq(addresses.page.bank),
            self.erased.row.eq(programmer.copy.row),
            self.erased.block.eq(self._block(addresses.page.row)),
            self.reopen.en.eq(step.reopen),
            self.reopen.bank.eq(addresses.page.bank),
            self.replace.en.eq(self._turn == Turn.REPLACE),
            self.replace.bank.eq(addresses.page.bank),
            self.replace.block.eq(self._block(addresses.page.row)),
            self.update.en.eq(step.update),
            self.update.next_page.eq(Mux(step.back, page, 0)),
            self.update.failed.eq(step.failed),
            self.events.eq(step.events),
        ]
        with m.If((self._turn == Turn.VISIT) & ~self._visiting):
            m.d.comb += facts.state.eq(UnitState.FREE)
        with m.If(self._turn == Turn.RESTORE):
            # Units of the block may gather already, so that the next page is beyond page 0.
            m.d.comb += [
                self.update.en.eq(1),
                self.update.next_page.eq(next_page),
                self.update.failed.eq(was_failed),
            ]
        with m.If(step.start):
            m.d.sync += physical[visited].eq(self.checked.physical)
        with m.If(step.moves):
            m.d.sync += self._states[visited].eq(step.state)
        with m.If(step.decided):
            m.d.sync += self._fates[visited].eq(step.fate)
        with m.If(programmer.started):
            m.d.sync += self._states[programmer.started_unit].eq(
                Mux(programmer.erases, UnitState.ERASING, UnitState.READY)
            )
        gathering = self._mask(UnitState.GATHERING)
        later = addresses.same_block & ~addresses.same_page & ~addresses.lower
        for unit in range(host.units):
            with m.If(step.doom & (later & gathering)[unit]):
                m.d.sync += [
                    self._states[unit].eq(UnitState.ENDED),
                    self._fates[unit].eq(step.doom_fate),
                ]

    def _add_check(self, m: Module, opening: Signal) -> None:
        """The checks of a command, in the order in which they refuse."""
        host, gatherer, free = self._host, self.gatherer, self._free
        addresses, command = self._addresses, self.opens.payload
        m.submodules.write_check = check = WriteCheck(self._config)
        hit = Signal()
        block_used = Signal()
        hit_unit = Signal(exact_log2(host.units))
        free_unit = Signal(exact_log2(host.units))
        matching = Signal(host.units)
        in_use = Signal(host.units)
        used = Signal(range(host.units + 1))
        first_free = Const(0, exact_log2(host.units))
        for unit in reversed(range(host.units)):
            first_free = Mux(free[unit], unit, first_free)
        m.d.comb += [
            free_unit.eq(first_free),
            matching.eq(addresses.same_page & self._live),
            # A unit that only waits for its visit to become free is not in use.
            in_use.eq(~(free | (self._mask(UnitState.ENDED) & gatherer.settled & ~self.held))),
            used.eq(sum((in_use[unit] for unit in range(1, host.units)), start=in_use[0])),
            check.command.eq(command),
            check.hit.eq(hit),
            check.block_used.eq(block_used),
            check.gathers.eq(self._states[hit_unit] == UnitState.GATHERING),
            check.overlap.eq(gatherer.overlap),
            check.full.eq(used >= self.unit_limit),
            check.block.eq(self.checked),
            gatherer.unit.eq(Mux(hit, hit_unit, free_unit)),
            gatherer.first.eq(command.first),
            gatherer.beats.eq(command.beats),
            gatherer.accepted.entry.eq(command.entry),
            gatherer.accepted.opens.eq(check.opens),
            gatherer.accepted.joins.eq(check.fate.status == WriteStatus.OK.value),
            gatherer.accepted.status.eq(check.fate.status),
            gatherer.accepted.info.eq(check.fate.info),
            self.opens.ready.eq(gatherer.accept),
        ]
        with m.If(opening):
            m.d.sync += [
                hit.eq(matching.any()),
                hit_unit.eq(one_hot_index(matching)),
                block_used.eq((addresses.same_block & self._live).any()),
            ]

        opened = Signal()
        with m.If(self._turn == Turn.CHECK):
            # A unit that is about to become free is waited for.
            m.d.comb += [
                gatherer.accept.eq(~check.opens | free.any()),
                opened.eq(check.opens & free.any()),
            ]
        m.d.comb += [
            self._opened_at.addr.eq(free_unit),
            self._opened_at.data.eq(self._now),
            self._opened_at.en.eq(opened),
        ]
        with m.If(opened):
            m.d.comb += [
                addresses.set.eq(1),
                addresses.set_unit.eq(free_unit),
                addresses.set_page.bank.eq(command.bank),
                addresses.set_page.row.eq(command.row),
                self.update.en.eq(1),
                self.update.bank.eq(command.bank),
                self.update.block.eq(self._block(command.row)),
                self.update.next_page.eq(self._page(command.row) + 1),
            ]
            m.d.sync += self._states[free_unit].eq(UnitState.GATHERING)

    def _add_secure_erase(self, m: Module, opening: Signal) -> None:
        """Units erase blocks, without a page to program."""
        addresses, visited, free = self._addresses, self.visited, self._free
        m.submodules.zones = zones = EraseZones(self._config)
        m.d.comb += [
            zones.zones.eq(self.erase_zones),
            zones.start.eq(
                self.erase_request
                & ~self._erasing_zones
                & free.all()
                & (self._turn == Turn.VISIT)
                & ~opening
            ),
            self.erase_done.eq(self._erasing_zones & zones.done & free.all()),
            zones.next.eq(self._visiting & zones.valid & (self._states[visited] == UnitState.FREE)),
        ]
        with m.If(zones.start):
            m.d.sync += self._erasing_zones.eq(1)
        with m.Elif(self.erase_done):
            m.d.sync += self._erasing_zones.eq(0)
        with m.If(zones.next):
            m.d.comb += [
                addresses.set.eq(1),
                addresses.set_unit.eq(visited),
                addresses.set_page.bank.eq(zones.bank),
                addresses.set_page.row.eq(zones.block << exact_log2(self._host.pages_a_block)),
            ]
            m.d.sync += self._states[visited].eq(UnitState.STARTING)
