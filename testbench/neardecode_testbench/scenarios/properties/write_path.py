"""The write path: no more units than allowed, and one answer for each command."""

from amaranth.asserts import AnyConst, AnySeq  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import (
    Assert,
    Assume,
    Cat,
    Const,
    Cover,
    Elaboratable,
    Module,
    Mux,
    Signal,
    Value,
)

from neardecode.config import Flash
from neardecode.flash.write.control import WriteControl
from neardecode.flash.write.gatherer import COMMANDS_AHEAD, Gatherer
from neardecode.flash.write.steps import Turn
from neardecode.flash.write.units import UnitState

__all__ = ["GathererProperties", "ObservedWriteControl", "WriteControlProperties"]


class ObservedWriteControl(WriteControl):
    """A control that shows its units."""

    def __init__(self, config: Flash):
        super().__init__(config)
        self.units = len(self.held)

    def is_in(self, unit: int, state: UnitState) -> Value:
        """Whether a unit is in a state."""
        return Value.cast(self._states[unit]) == state.value

    @property
    def erases_zones(self) -> Value:
        """Whether a secure erase runs."""
        return self._erasing_zones

    @property
    def starts(self) -> Value:
        """Whether the record of the visited unit's block has come, to start it."""
        return self._turn == Turn.START

    @property
    def replaces(self) -> Value:
        """Whether the visited unit's block is being replaced."""
        return Value.cast(self._turn).matches(
            Turn.REPLACE.value, Turn.REPLACING.value, Turn.RESTORE.value
        )

    def visits(self, *states: UnitState) -> Value:
        """Whether the visited unit is in one of some states."""
        return Value.cast(self._states[self.visited]).matches(*(state.value for state in states))

    @property
    def checks(self) -> Value:
        """Whether a command's record has come."""
        return self._turn == Turn.CHECK


class WriteControlProperties(Elaboratable):
    """Commands never bring more units into use than the limit.

    A unit that is settled stays so until a command joins it; `GathererProperties` says that of the
    gatherer. Readers hold nothing, and there is no secure erase, which takes units at will.

    Args:
        control: The control.
    """

    def __init__(self, control: ObservedWriteControl):
        self.control = control

    def elaborate(self, platform) -> Module:
        """The control in a free environment, and a count of its units."""
        m = Module()
        m.submodules.control = control = self.control
        gatherer, programmer = control.gatherer, control.programmer
        units = control.units
        for name in ("gather_cycles", "halt", "checked", "replaced", "replacement", "ended", "end"):
            value = Value.cast(getattr(control, name))
            m.d.comb += value.eq(AnySeq(len(value)))
        for name in ("overlap", "room", "answering", "complete", "listed", "settled"):
            value = getattr(gatherer, name)
            m.d.comb += value.eq(AnySeq(len(value)))
        for name in ("starting", "preparing", "started", "started_unit", "erases", "copying"):
            value = getattr(programmer, name)
            m.d.comb += value.eq(AnySeq(len(value)))
        payload = Value.cast(control.opens.payload)
        limit = Signal.like(control.unit_limit)
        m.d.comb += [
            control.opens.valid.eq(AnySeq(1)),
            payload.eq(AnySeq(len(payload))),
            limit.eq(AnyConst(len(limit))),
            Assume(limit <= units, "the limit is a number of units"),
            control.unit_limit.eq(limit),
        ]
        joined = Signal(units)
        was_settled = Signal(units)
        in_use = Signal(units)
        m.d.comb += [
            joined.eq((gatherer.accept & gatherer.accepted.joins) << gatherer.unit),
            Assume((was_settled & ~gatherer.settled) == 0, "a unit stays settled"),
            Assume(
                ~programmer.started
                | Cat(control.is_in(unit, UnitState.CLOSING) for unit in range(units)).bit_select(
                    programmer.started_unit, 1
                ),
                "what is started was closing",
            ),
        ]
        m.d.sync += was_settled.eq(gatherer.settled & ~joined)
        for unit in range(units):
            free = control.is_in(unit, UnitState.FREE)
            ended = control.is_in(unit, UnitState.ENDED)
            m.d.comb += in_use[unit].eq(~free & ~(ended & gatherer.settled[unit]))
        used = Signal(range(units + 1))
        m.d.comb += [
            used.eq(sum((in_use[unit] for unit in range(1, units)), start=in_use[0])),
            Assert(used <= limit, "no more units are in use than the limit"),
            Assert(
                ~gatherer.accept | control.checks, "a command is accepted when it was looked up"
            ),
            Assert(
                ~(gatherer.accept & gatherer.accepted.opens)
                | Cat(control.is_in(unit, UnitState.FREE) for unit in range(units)).bit_select(
                    gatherer.unit, 1
                ),
                "a command opens a free unit",
            ),
            Assert(
                ~control.starts
                | control.visits(UnitState.GATHERING, UnitState.STARTING, UnitState.RESTARTING),
                "what starts was ready for it",
            ),
            Assert(
                ~control.replaces
                | control.visits(UnitState.ERASE_FAILED, UnitState.PROGRAM_FAILED),
                "what is replaced is bad",
            ),
            Assert(~control.erases_zones, "a secure erase runs only when it was asked for"),
            Cover((limit == units) & (used == limit), "all units are in use"),
        ]
        return m


class GathererProperties(Elaboratable):
    """Every command is answered once, after its data, and settles its unit.

    One entry, any, is followed from its acceptance to its answer. The environment accepts only
    entries that are not in use, opens only units that are settled, and answers units only where
    something is listed.

    Args:
        gatherer: The gatherer.
        units: Its units.
    """

    def __init__(self, gatherer: Gatherer, units: int):
        self.gatherer = gatherer
        self.units = units

    def elaborate(self, platform) -> Module:
        """The gatherer in such an environment; the entry that is followed."""
        m = Module()
        m.submodules.gatherer = gatherer = self.gatherer
        control, units = gatherer.control, self.units
        free = (
            *(control.unit, control.first, control.beats, control.accept),
            *(Value.cast(control.accepted), Value.cast(control.answer)),
            *(gatherer.data.valid, Value.cast(gatherer.data.payload), gatherer.ends.ready),
        )
        m.d.comb += [value.eq(AnySeq(len(value))) for value in free]

        entry = Signal.like(control.accepted.entry)
        accepted, joined = control.accept, control.accept & control.accepted.joins
        beat = gatherer.data.payload
        come = gatherer.data.valid & gatherer.data.ready & beat.last
        answered = gatherer.ends.valid & gatherer.ends.ready
        is_accepted = accepted & (control.accepted.entry == entry)
        is_offered = gatherer.ends.valid & (gatherer.ends.payload.entry == entry)
        opened = Signal()
        unit = Signal.like(control.unit)
        joins = Signal()
        waits = Signal()
        ahead = Signal(range(COMMANDS_AHEAD + 1))
        behind = Signal(range(COMMANDS_AHEAD + 1))
        used = Signal(1 << len(entry))
        m.d.comb += [
            entry.eq(AnyConst(len(entry))),
            Assume(~accepted | control.room, "there is room"),
            Assume(
                ~accepted | ~used.bit_select(control.accepted.entry, 1),
                "an entry is used once at a time",
            ),
            Assume(control.beats != 0, "a command has beats"),
            Assume(~control.accepted.opens | control.accepted.joins, "what opens joins"),
            Assume(
                ~(accepted & control.accepted.opens) | control.settled.bit_select(control.unit, 1),
                "a unit is opened when it is settled",
            ),
            Assume(
                ~control.answer.en
                | (control.listed.bit_select(control.answer.unit, 1) & ~control.answering),
                "a unit is answered when something is listed",
            ),
        ]
        m.d.sync += behind.eq(behind + accepted - come)
        with m.If(is_accepted):
            m.d.sync += [
                opened.eq(1),
                waits.eq(1),
                ahead.eq(behind - come),
                unit.eq(control.unit),
                joins.eq(control.accepted.joins),
            ]
        with m.Elif(waits & come):
            m.d.sync += [ahead.eq(ahead - 1), waits.eq(ahead != 0)]
        with m.If(answered & is_offered):
            m.d.sync += opened.eq(0)
        taken = Mux(accepted, Const(1, len(used)) << control.accepted.entry, 0)
        given = Mux(answered, Const(1, len(used)) << gatherer.ends.payload.entry, 0)
        m.d.sync += used.eq((used & ~given) | taken)

        was_settled = Signal(units)
        m.d.sync += was_settled.eq(control.settled & ~(joined << control.unit)[:units])
        m.d.comb += [
            Assert(~is_offered | opened, "what is answered is open"),
            Assert(~is_offered | ~waits, "an answer comes after the data"),
            Assert((was_settled & ~control.settled) == 0, "a unit stays settled"),
            Assert(
                ~(opened & joins & ~is_offered) | ~control.settled.bit_select(unit, 1),
                "a unit is not settled while a command of it is open",
            ),
            Cover(answered & is_offered & joins, "a command that joined is answered"),
        ]
        return m
