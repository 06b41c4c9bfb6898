"""The step that a unit makes when its turn comes.

Source: OCP HBF v0.7.0, sections 5.4, 5.6 (table 13) and 11.5.2.
"""

from amaranth.hdl import Module, Signal, ValueLike, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from neardecode.flash.status import WriteStatus
from neardecode.flash.write.ports import Fate, WriteEvents
from neardecode.flash.write.units import UnitState

__all__ = ["Turn", "UnitFacts", "UnitStep", "UnitSteps"]


class Turn(enum.Enum, shape=3):
    """What the block table is asked for, and what is done in a cycle."""

    VISIT = 0
    """A unit makes a step, or a command's page is looked up."""
    CHECK = 1
    """The record of a command's block has come."""
    START = 2
    """The record of a unit's block has come."""
    REPLACE = 3
    """The record of a bad block has come."""
    REPLACING = 4
    RESTORE = 5
    """The replacement gets the next page of the record."""


class UnitFacts(data.StructLayout):
    """What a unit's step depends on.

    Fields:
        state: Its state.
        complete: All its beats came.
        overdue: Its time is over.
        first: No live unit has an earlier page of its block.
        bank_free: No other unit has its bank to itself.
        done, failed: Its operation ended, and how.
        listed: Some of its commands can be answered.
        idle: All were, and no reader holds it.
    """

    def __init__(self):
        facts = ("complete", "overdue", "first", "bank_free", "done", "failed", "listed", "idle")
        super().__init__({"state": UnitState, **{fact: unsigned(1) for fact in facts}})


class UnitStep(data.StructLayout):
    """What a unit's step is.

    Fields:
        moves, state: Its next state.
        decided, fate: Its fate is known.
        doom, doom_fate: Later pages of its block that were not begun end, and how.
        look_up, turn: Its block's record is wanted, and for what.
        seen: The end of its operation was taken note of.
        update, back, failed: The block's next page becomes that of the unit (``back``) or 0, and
            whether a program failed.
        reopen: Its bank may be read.
        erased: Its block is erased.
        start, copy, answer: Its bank is to be shut, its page programmed, its commands answered.
        events: What happened.
    """

    def __init__(self):
        strobes = ("moves", "decided", "doom", "look_up", "seen", "update", "back", "failed")
        strobes += ("reopen", "erased", "start", "copy", "answer")
        super().__init__(
            {
                **{strobe: unsigned(1) for strobe in strobes},
                "state": UnitState,
                "fate": Fate(),
                "doom_fate": Fate(),
                "turn": Turn,
                "events": WriteEvents(),
            }
        )


class UnitSteps(wiring.Component):
    """Decides on one unit's step.

    Latency: none, it has no state.

    Members:
        turn: In(`Turn`). In which turn; no step in those of others.
        facts: In(`UnitFacts`).
        halt: In(1). No page is begun.
        erase_only: In(1). Blocks are erased, no pages programmed.
        starting, preparing, copying, answering: In(1). That is busy with another unit.
        retired: In. What the record says of the block, or the replacement.
        step: Out(`UnitStep`).
    """

    turn: data.View
    facts: data.View
    halt: Signal
    erase_only: Signal
    starting: Signal
    preparing: Signal
    copying: Signal
    answering: Signal
    retired: Signal
    step: data.View

    def __init__(self):
        super().__init__(
            {
                "turn": In(Turn),
                "facts": In(UnitFacts()),
                "halt": In(1),
                "erase_only": In(1),
                "starting": In(1),
                "preparing": In(1),
                "copying": In(1),
                "answering": In(1),
                "retired": In(3),
                "step": Out(UnitStep()),
            }
        )

    def elaborate(self, platform) -> Module:
        """A choice by turn, then by state."""
        m = Module()
        with m.Switch(self.turn):
            with m.Case(Turn.VISIT):
                self._add_visit(m)
            with m.Case(Turn.START):
                self._add_start(m)
            with m.Case(Turn.RESTORE):
                self._add_restore(m)
        return m

    def _move(self, m: Module, state: UnitState) -> None:
        m.d.comb += [self.step.moves.eq(1), self.step.state.eq(state)]

    def _doom(self, m: Module, status: WriteStatus, info: int) -> None:
        m.d.comb += [
            self.step.doom.eq(1),
            self.step.doom_fate.status.eq(status.value),
            self.step.doom_fate.info.eq(info),
        ]

    def _end(self, m: Module, status: WriteStatus, info: ValueLike = 0) -> None:
        self._move(m, UnitState.ENDED)
        m.d.comb += [
            self.step.decided.eq(1),
            self.step.fate.status.eq(status.value),
            self.step.fate.info.eq(info),
        ]

    def _give_up(self, m: Module, status: WriteStatus, info: int = 0) -> None:
        """The host has to begin the page again."""
        self._end(m, status, info)
        m.d.comb += [self.step.update.eq(1), self.step.back.eq(1)]

    def _look_up(self, m: Module, turn: Turn) -> None:
        m.d.comb += [self.step.look_up.eq(1), self.step.turn.eq(turn)]

    def _add_visit(self, m: Module) -> None:
        facts, step = self.facts, self.step
        may_start = ~self.starting & facts.bank_free
        with m.Switch(facts.state):
            with m.Case(UnitState.GATHERING):
                # 9.2: whatever is in flight is answered before it has cooled, by 9 if need be.
                with m.If(self.halt):
                    self._give_up(m, WriteStatus.BLOCKED, 1)
                    self._doom(m, WriteStatus.BLOCKED, 1)
                with m.Elif(facts.complete):
                    m.d.comb += step.look_up.eq(may_start & facts.first)
                    m.d.comb += step.turn.eq(Turn.START)
                with m.Elif(facts.overdue):
                    self._give_up(m, WriteStatus.TIMEOUT)
                    self._doom(m, WriteStatus.ORDER, 1)
                    m.d.comb += step.events.timeouts.eq(1)
            with m.Case(UnitState.STARTING), m.If(may_start):
                self._look_up(m, Turn.START)
            with m.Case(UnitState.RESTARTING), m.If(~self.preparing):
                self._look_up(m, Turn.START)
            with m.Case(UnitState.ERASING), m.If(facts.done):
                m.d.comb += step.seen.eq(1)
                with m.If(facts.failed):
                    self._move(m, UnitState.ERASE_FAILED)
                    m.d.comb += step.events.erase_failures.eq(1)
                with m.Else():
                    self._move(m, UnitState.READY)
                    m.d.comb += [step.erased.eq(1), step.events.erases.eq(1)]
                    with m.If(self.erase_only):
                        self._end(m, WriteStatus.OK)
                        m.d.comb += [step.update.eq(1), step.reopen.eq(1)]
            with m.Case(UnitState.READY), m.If(~self.copying):
                self._move(m, UnitState.PROGRAMMING)
                m.d.comb += step.copy.eq(1)
            with m.Case(UnitState.PROGRAMMING), m.If(facts.done):
                m.d.comb += [step.seen.eq(1), step.reopen.eq(1)]
                with m.If(facts.failed):
                    # Its commands are answered when the block has been replaced.
                    self._move(m, UnitState.PROGRAM_FAILED)
                    self._doom(m, WriteStatus.ORDER, 2)
                    m.d.comb += [
                        step.update.eq(1),
                        step.failed.eq(1),
                        step.events.program_failures.eq(1),
                    ]
                with m.Else():
                    self._end(m, WriteStatus.OK)
                    m.d.comb += step.events.programs.eq(1)
            with m.Case(UnitState.ERASE_FAILED, UnitState.PROGRAM_FAILED):
                self._look_up(m, Turn.REPLACE)
            with m.Case(UnitState.ENDED):
                with m.If(facts.idle):
                    self._move(m, UnitState.FREE)
                m.d.comb += step.answer.eq(facts.listed & ~self.answering)

    def _add_start(self, m: Module) -> None:
        restarting = self.facts.state == UnitState.RESTARTING
        # Another bank may have been shut since the visit; then the next visit tries again.
        with m.If((self.retired == 0) & ~(restarting & self.preparing)):
            self._move(m, UnitState.CLOSING)
            m.d.comb += self.step.start.eq(1)
        with m.If(self.retired != 0):
            # The whole bank was retired since, or a secure erase comes to a retired block.
            self._end(m, WriteStatus.RETIRED, self.retired)
            self._doom(m, WriteStatus.ORDER, 2)
            m.d.comb += self.step.reopen.eq(restarting)

    def _add_restore(self, m: Module) -> None:
        erasing = self.facts.state == UnitState.ERASE_FAILED
        with m.If(self.retired != 0):
            self._end(m, WriteStatus.RETIRED, self.retired)
            self._doom(m, WriteStatus.ORDER, 2)
            # After a program it was reopened when that failed.
            m.d.comb += self.step.reopen.eq(erasing)
        with m.Elif(erasing):
            self._move(m, UnitState.RESTARTING)
        with m.Else():
            self._end(m, WriteStatus.PROGRAM_FAILED)
