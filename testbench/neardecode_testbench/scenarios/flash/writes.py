"""What every write to the flash must bring, and what it leaves there.

Source: OCP HBF v0.7.0, sections 5.4, 5.6 (table 13) and 11.5.2.

When a command is checked, when a time limit is noticed and when a page's fate is known, the
specification leaves to the product. These moments are taken from a log; whether each of them was
permitted, what had to be decided in it, and that every command was answered so, is said here.
"""

from collections import defaultdict
from collections.abc import Callable

from neardecode.config import Config
from neardecode.flash.status import WriteStatus
from neardecode_testbench.devices.write_log import Decision
from neardecode_testbench.scenarios.flash.contents import ERASED, LOST, Contents
from neardecode_testbench.scenarios.flash.traffic import Command
from neardecode_testbench.scenarios.flash.units import NEVER, SLACK, Timing, Unit

__all__ = ["WriteModel"]

Answer = tuple[int, int]
Name = tuple[int, int]
"""Bank and number of a block."""
W = WriteStatus
BLOCKS_BEFORE_BANK = 4
"""Retired blocks of a bank beyond which the bank is retired."""
NOTICED = 2
"""Cycles until a beat that came makes its page complete."""
SEEN = 4
"""Cycles until heat keeps a page from being begun."""
EARLY = 2
"""Cycles by which a page's new state may be seen before the log tells of it."""


class _Block:
    def __init__(self) -> None:
        self.next_page = 0
        self.failed = False


class WriteModel:
    """The units, the blocks' records, and the contents of the flash.

    Args:
        config: The configuration, with ``flash.host``.
        timing: Its times in cycles.
        differ: Is told of a command or a decision, what was expected and what came.

    Attributes:
        contents: What is in the flash.
        failures: Programs and erases may fail.
        halts: When it was too hot: first and last cycles.
        page_units: For each page the units of this round.
    """

    def __init__(
        self, config: Config, timing: Timing, differ: Callable[[object, object, object], None]
    ):
        flash = config.flash
        assert flash.host is not None
        self.flash, self.host, self.timing = flash, flash.host, timing
        self.contents = Contents(flash)
        self.failures = False
        self.halts: list[tuple[int, int]] = []
        self.page_units: dict[tuple[int, int], list[Unit]] = defaultdict(list)
        self._differ = differ
        self._blocks: dict[Name, _Block] = defaultdict(_Block)
        self._live: dict[int, Unit] = {}
        self._over: list[Unit] = []
        self._reads: dict[tuple[int, int], list[Command]] = {}

    def block(self, name: Name) -> tuple[int, bool]:
        """The next page of a block, and whether a program in it failed."""
        block = self._blocks[name]
        return block.next_page, block.failed

    def name(self, page: tuple[int, int]) -> Name:
        """The block of a page."""
        return page[0], page[1] // self.host.pages_a_block

    def place(self, command: Command) -> tuple[tuple[int, int], int]:
        """The page (bank, row) and the first beat of a command for flash."""
        page, first = divmod(command.address // self.flash.beat_bytes, self.flash.page_beats)
        row, bank = divmod(page, self.flash.banks)
        return (bank, row), first

    def round(
        self,
        writes: list[tuple[Command, int]],
        decisions: list[Decision],
        reads: dict[tuple[int, int], list[Command]],
    ) -> None:
        """Checks the writes of a round, in which everything was answered.

        Args:
            writes: Those that the write path was told of, in order; each with the status that
                it was refused with at sight, or 0.
            decisions: The log.
            reads: The reads of each page.
        """
        self._reads = reads
        self.page_units.clear()
        self._over = []
        commands = iter(writes)
        for decision in decisions:
            if decision.checked:
                last, refused = next(commands, (None, 0))
                if last is None:
                    self._differ(decision, "a command", "none")
                    break
                self._check(last, refused, decision)
            elif decision.begun:
                self._begin(decision)
            else:
                self._end(decision)
        for command, _ in commands:
            self._differ(command, "a check", "none")
        for unit in self._live.values():
            self._differ((*unit.commands, *unit.torn)[0], "an end of its page", "none")
        self._live.clear()
        # Pages of a block are programmed in the order in which they were begun.
        units = (unit for units in self.page_units.values() for unit in units)
        for unit in sorted(units, key=lambda unit: unit.opened):
            self._answers(unit)
            self._store(unit)

    # Commands.

    def _check(self, command: Command, refused: int, decision: Decision) -> None:
        """What had to be decided on a command, and was."""
        seen = command.status, command.info
        cycle = decision.cycle
        if not command.accepted < cycle < command.answered[0]:
            self._differ(command, "a check between its acceptance and its answer", decision)
        told = (decision.status, decision.info)
        if refused:
            permitted: list[Answer | Unit | None] = [(refused, 0)]
        else:
            permitted = self._permitted(command, cycle)
        if not decision.joins:
            if told not in permitted or decision.opens:
                self._differ(command, permitted, told)
            if seen != told:
                self._differ(command, told, seen)
            return
        unit = None if decision.opens else self._live.get(decision.unit)
        if unit not in permitted or (decision.opens and decision.unit in self._live):
            self._differ(command, permitted, decision)
            return
        self._join(command, unit, decision)

    def _permitted(self, command: Command, cycle: int) -> list[Answer | Unit | None]:
        """Answers, the unit that a command joins, or None for a new one."""
        page, first = self.place(command)
        name, place = self.name(page), page[1] % self.host.pages_a_block
        retired, maybe_retired = self.contents.retired(*name, command.accepted, cycle)
        gone: list[Answer | Unit | None] = [(W.INVALID_ADDRESS.value, 0)]
        gone += self.contents.channel_told()
        if retired:
            return gone
        permitted = self._by_state(page, name, place, self._wanted(command, first), cycle)
        if maybe_retired:
            # It was looked up before, or is found in the record now.
            permitted = [*gone, *(what for what in permitted if isinstance(what, tuple))]
        return permitted

    def _by_state(
        self, page: tuple[int, int], name: Name, place: int, wanted: int, cycle: int
    ) -> list[Answer | Unit | None]:
        for unit in self._live.values():
            if unit.page == page:
                return [(W.OVERLAP.value, 0)] if unit.promised & wanted else [unit]
        permitted: list[Answer | Unit | None] = []
        if self._most_used(cycle) >= self.host.units:
            permitted.append((W.TOO_MANY_UNITS.value, 0))
        if len(self._live) >= self.host.units:
            return permitted
        block = self._blocks[name]
        if place == 0:
            used = any(self.name(unit.page) == name for unit in self._live.values())
            permitted.append((W.ORDER.value, 1) if used else None)
        elif block.failed:
            permitted.append((W.ORDER.value, 2))
        elif place == block.next_page:
            permitted.append(None)
        elif place < block.next_page:
            permitted.append((W.OVERLAP.value, 0))
        else:
            permitted.append((W.ORDER.value, 1))
        return permitted

    @staticmethod
    def _wanted(command: Command, first: int) -> int:
        return (1 << command.length + 1) - 1 << first

    def _most_used(self, cycle: int) -> int:
        """Units that may be in use: live, being answered, or held by a reader."""
        kept = []
        for unit in self._over:
            last_read = max(
                (
                    read.answered[-1]
                    for read in self._reads[unit.page]
                    if unit.opened < read.settled and read.accepted <= unit.ended
                ),
                default=-1,
            )
            if unit.freed(last_read) >= cycle:
                kept.append(unit)
        self._over = kept
        return len(self._live) + len(kept)

    def _join(self, command: Command, unit: Unit | None, decision: Decision) -> None:
        """Lets a command join a unit or open it."""
        page, first = self.place(command)
        place = page[1] % self.host.pages_a_block
        if unit is None:
            unit = Unit(page, place, decision.cycle, self.flash.page_beats)
            self._live[decision.unit] = unit
            self.page_units[page].append(unit)
            block = self._blocks[self.name(page)]
            block.next_page, block.failed = place + 1, False
        unit.promised |= self._wanted(command, first)
        sound = len(command.data)
        torn = sound != command.length + 1
        (unit.torn if torn else unit.commands).append(command)
        if torn:
            sound = min(sound, command.length + 1) - 1
        for beat in range(sound):
            unit.arrived[first + beat] = command.arrived[beat], command.data[beat]

    # Beginnings and ends.

    def _begin(self, decision: Decision) -> None:
        """A page is begun when it is complete, but not while it is hot, nor after (9.2)."""
        unit, cycle = self._live.get(decision.unit), decision.cycle
        if unit is None:
            self._differ(decision, "a page", "none")
            return
        if unit.begun != NEVER:
            # Its block was replaced.
            return
        unit.begun = cycle
        command = (*unit.commands, *unit.torn)[0]
        if cycle <= unit.complete:
            self._differ(command, f"a beginning after cycle {unit.complete}", decision)
        if self._halted(unit) < cycle or any(
            start + SEEN < cycle <= end for start, end in self.halts
        ):
            self._differ(command, "no beginning, for heat", decision)

    def _end(self, decision: Decision) -> None:
        """What had to become of a unit, and did."""
        unit = self._live.get(decision.unit)
        if unit is None:
            self._differ(decision, "a page", "none")
            return
        command = (*unit.commands, *unit.torn)[0]
        fate = decision.status, decision.info
        block = self._blocks[self.name(unit.page)]
        if not decision.ended:
            unit.failed = decision.cycle
            self._programmed(unit, command, decision)
            if not self.failures:
                self._differ(command, "no failure", decision)
            block.next_page, block.failed = 0, True
            self._doom(unit, (W.ORDER.value, 2), decision.cycle)
            return
        self._over_with(decision.unit, fate, decision.cycle)
        status = fate[0]
        if status in (W.TIMEOUT.value, W.BLOCKED.value):
            if fate[1] != (status == W.BLOCKED.value):
                self._differ(command, "its information", decision)
            self._gave_up(unit, command, decision)
            block.next_page = unit.place
            hot = status == W.BLOCKED.value
            self._doom(unit, fate if hot else (W.ORDER.value, 1), decision.cycle)
        elif status == W.OK.value:
            self._programmed(unit, command, decision)
            if unit.failed != NEVER or fate[1]:
                self._differ(command, "a failure", decision)
        elif status == W.PROGRAM_FAILED.value:
            if unit.failed == NEVER or fate[1]:
                self._differ(command, "no failure", decision)
        elif status == W.RETIRED.value:
            self._retired(unit, command, decision)
            self._doom(unit, (W.ORDER.value, 2), decision.cycle)
        else:
            self._differ(command, "the end of a page", decision)

    def _over_with(self, number: int, fate: Answer, cycle: int) -> None:
        unit = self._live.pop(number)
        unit.fate, unit.ended = fate, cycle
        self._over.append(unit)

    def _doom(self, unit: Unit, fate: Answer, cycle: int) -> None:
        """Later pages of a block end with an earlier one."""
        for number, other in list(self._live.items()):
            if self.name(other.page) == self.name(unit.page) and other.place > unit.place:
                self._over_with(number, fate, cycle)

    def _halted(self, unit: Unit) -> int:
        """By when a page ends by heat, if it was not begun."""
        begins = (
            max(start, unit.opened) + SLACK
            for start, end in self.halts
            if end - max(start, unit.opened) > SLACK
        )
        return min(begins, default=NEVER)

    def _limit(self, unit: Unit) -> int:
        """By when a page has to be complete: its time limit, or its end by heat."""
        return min(unit.opened + self.timing.gather + SLACK, self._halted(unit))

    def _gave_up(self, unit: Unit, command: Command, decision: Decision) -> None:
        """A page that was not begun is given up when it is too hot, or late and not complete."""
        cycle = decision.cycle
        if decision.status == W.TIMEOUT.value:
            right = cycle >= unit.opened + self.timing.gather and cycle <= unit.complete + NOTICED
        else:
            right = any(start <= cycle <= end + NOTICED for start, end in self.halts)
        limit = self._halted(unit) if unit.complete < cycle else self._limit(unit)
        if not right or cycle > limit or unit.begun != NEVER:
            self._differ(command, f"the page's end by {limit}", decision)

    def _programmed(self, unit: Unit, command: Command, decision: Decision) -> None:
        """A page that was programmed was complete in time, and the first of its block."""
        takes = unit.beats + self.timing.program + (unit.place == 0) * self.timing.erase
        if unit.begun == NEVER or decision.cycle < unit.begun + takes:
            self._differ(command, f"{takes} cycles after {unit.begun}", decision)
        self._complete_in_time(unit, command, decision)
        for other in self._live.values():
            if self.name(other.page) == self.name(unit.page) and other.place < unit.place:
                self._differ(command, f"the end of page {other.place} before", decision)

    def _complete_in_time(self, unit: Unit, command: Command, decision: Decision) -> None:
        if unit.complete > self._limit(unit):
            self._differ(command, f"complete by {self._limit(unit)}", decision)

    def _retired(self, unit: Unit, command: Command, decision: Decision) -> None:
        """What a page retires that could not be programmed, or whose bank was retired before."""
        if not (self.failures or self.contents.some_retired):
            self._differ(command, "no failure", decision)
        self._complete_in_time(unit, command, decision)
        told = self.contents.retire(
            self.name(unit.page),
            decision.info,
            unit.complete,
            decision.cycle,
            BLOCKS_BEFORE_BANK,
        )
        if told is not None:
            self._differ(command, f"8/{told}", decision)

    # What came of it.

    def _answers(self, unit: Unit) -> None:
        """Everybody who joined is told the unit's fate, after it was known."""
        for command in unit.commands:
            seen = command.status, command.info
            if seen != unit.fate or command.answered[0] <= unit.ended:
                self._differ(command, f"{unit.fate} after cycle {unit.ended}", seen)
        for command in unit.torn:
            seen = command.status, command.info
            if seen != (W.INVALID_USER.value, 0):
                self._differ(command, (W.INVALID_USER.value, 0), seen)

    def _store(self, unit: Unit) -> None:
        """What the flash holds after a unit's end."""
        fate = unit.fate
        if fate is None or fate[0] not in (0, W.PROGRAM_FAILED.value, W.RETIRED.value):
            return
        low, high = unit.ended - EARLY, unit.ended + EARLY
        name, contents = self.name(unit.page), self.contents
        if unit.complete == NEVER:
            return
        if unit.place == 0:
            if self.failures:
                contents.change_block(name, unit.complete, high, LOST)
            contents.change_block(name, unit.complete, high, ERASED)
        if fate[0] == 0:
            words = [unit.arrived[beat][1] for beat in range(unit.beats)]
            contents.change(unit.page, low, high, words)
        else:
            contents.change(unit.page, unit.complete, high, LOST)
            if fate[0] == W.PROGRAM_FAILED.value:
                contents.change_block(name, unit.complete, high, ERASED)
