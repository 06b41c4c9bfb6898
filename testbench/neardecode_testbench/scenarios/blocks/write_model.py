"""What must come of every write: a model that is told what happened and says what follows.

It takes from the hardware only when a step was made (a time limit, the end of a program), checks
that the step was allowed then, and predicts every answer, every change of the block table, and
what a probe sees.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from neardecode.config import Flash
from neardecode.flash.status import WriteStatus
from neardecode_testbench.scenarios.blocks.edge import CheckError

__all__ = ["Answer", "Block", "Command", "Page", "Unit", "WriteModel"]

Page = tuple[int, int]
"""Bank and logical row."""
Answer = tuple[int, int]
"""Status and information."""


@dataclass
class Block:
    """The record of a block."""

    physical: int
    next_page: int = 0
    failed: int = 0
    retired: int = 0


@dataclass
class Command:
    """A write.

    Attributes:
        entry: Names it.
        page: Where it goes.
        first, beats: Which beats of the page.
        data: Beats as they are sent; the last one has ``last``.
        refused: How the command front refuses it, or (0, 0).
        unit: What it joined.
        answer: Its answer, once it is known.
        index: Beats that came.
        wrong: A beat came with a wrong ``last``.
        come: All its data came.
    """

    entry: int
    page: Page
    first: int
    beats: int
    data: list[int]
    refused: Answer = (0, 0)
    unit: "Unit | None" = None
    answer: Answer | None = None
    index: int = 0
    wrong: bool = False
    come: bool = False


@dataclass(eq=False)
class Unit:
    """A page on its way.

    Attributes:
        page: Which.
        opened: The cycle of its first command.
        promised: Beats that commands brought or will bring.
        data: Beats that came, by number.
        outstanding: Entries that were not answered.
        live: Its fate is not known.
        answer: Its fate.
        operating: Its bank works for it.
        number: Which unit of the hardware it is, once a probe told.
        readers: How many hold it.
    """

    page: Page
    opened: int
    promised: set[int] = field(default_factory=set)
    data: dict[int, int] = field(default_factory=dict)
    outstanding: set[int] = field(default_factory=set)
    live: bool = True
    answer: Answer | None = None
    operating: bool = False
    number: int | None = None
    readers: int = 0

    @property
    def in_use(self) -> bool:
        """Whether it counts against the limit."""
        return self.live or bool(self.outstanding) or self.readers > 0


class WriteModel:
    """Units, commands and the block table.

    Args:
        config: The flash section.
    """

    def __init__(self, config: Flash):
        if config.host is None:
            raise ValueError("config must have host")
        self.config = config
        self.pages_a_block = config.host.pages_a_block
        self.blocks = {
            (bank, block): Block(block)
            for bank in range(config.banks)
            for block in range(config.blocks_a_bank)
        }
        self.units: list[Unit] = []
        self.commands: dict[int, Command] = {}
        self.answers: list[tuple[Command, Answer]] = []

    def block_of(self, page: Page) -> tuple[int, int]:
        """The block of a page."""
        return page[0], page[1] // self.pages_a_block

    def live_unit(self, page: Page) -> Unit | None:
        """The live unit of a page."""
        found = [unit for unit in self.units if unit.live and unit.page == page]
        if len(found) > 1:
            raise CheckError(f"two live units of page {page}")
        return found[0] if found else None

    def units_of_block(self, block: tuple[int, int]) -> list[Unit]:
        """The live units of a block, the oldest first."""
        units = (u for u in self.units if u.live and self.block_of(u.page) == block)
        return sorted(units, key=lambda unit: unit.page[1])

    def complete(self, unit: Unit) -> bool:
        """Whether all beats came."""
        return len(unit.data) == self.config.page_beats

    def fate_of(self, command: Command, limit: int) -> tuple[Answer, Unit | None]:
        """How a command is refused, or (0, 0), and the unit that it joins."""
        if command.refused[0]:
            return command.refused, None
        wanted = set(range(command.first, command.first + command.beats))
        unit = self.live_unit(command.page)
        if unit is not None:
            if unit.operating or wanted & unit.promised:
                return (WriteStatus.OVERLAP.value, 0), None
            return (0, 0), unit
        if sum(unit.in_use for unit in self.units) >= limit:
            return (WriteStatus.TOO_MANY_UNITS.value, 0), None
        block = self.block_of(command.page)
        record, page = self.blocks[block], command.page[1] % self.pages_a_block
        if record.retired:
            return (WriteStatus.INVALID_ADDRESS.value, 0), None
        if page == 0:
            used = bool(self.units_of_block(block))
            return ((WriteStatus.ORDER.value, 1) if used else (0, 0)), None
        if record.failed:
            return (WriteStatus.ORDER.value, 2), None
        if page < record.next_page:
            return (WriteStatus.OVERLAP.value, 0), None
        if page > record.next_page:
            return (WriteStatus.ORDER.value, 1), None
        return (0, 0), None

    def open(self, command: Command, limit: int, cycle: int) -> tuple[int, int, int, int] | None:
        """A command was accepted; the update of the table that must come of it."""
        fate, unit = self.fate_of(command, limit)
        if command.entry in self.commands:
            raise CheckError(f"entry {command.entry} is open already")
        self.commands[command.entry] = command
        update = None
        if fate[0]:
            command.answer = fate
        else:
            if unit is None:
                unit = Unit(command.page, cycle)
                self.units.append(unit)
                bank, block = self.block_of(command.page)
                update = (bank, block, command.page[1] % self.pages_a_block + 1, 0)
            command.unit = unit
            unit.promised |= set(range(command.first, command.first + command.beats))
            unit.outstanding.add(command.entry)
        return update

    def beat(self, command: Command, data: int, last: bool) -> None:
        """A beat was taken."""
        command.wrong |= last != (command.index == command.beats - 1)
        if command.unit is not None and not command.wrong:
            command.unit.data[command.first + command.index] = data
        command.index += 1
        command.come = last
        if last and command.unit is not None and command.wrong:
            command.answer = (WriteStatus.INVALID_USER.value, 0)

    def offered(self, entry: int) -> None:
        """The answer of an entry is offered: its unit is done with it."""
        unit = self.commands[entry].unit
        if unit is not None:
            unit.outstanding.discard(entry)

    def answered(self, entry: int, answer: Answer) -> None:
        """An answer was taken.

        Raises:
            CheckError: if it is not the right one, or comes too early.
        """
        command = self.commands.pop(entry, None)
        if command is None:
            raise CheckError(f"entry {entry} was answered and is not open")
        if not command.come:
            raise CheckError(f"entry {entry} was answered before its data")
        expected = command.answer
        if expected is None and command.unit is not None:
            expected = command.unit.answer
        if answer != expected:
            raise CheckError(f"entry {entry}, page {command.page}: {answer}, not {expected}")
        self.answers.append((command, answer))

    def end(self, unit: Unit, status: WriteStatus, info: int = 0) -> None:
        """The fate of a unit is known; younger ones of its block share it."""
        if not unit.live:
            raise CheckError(f"page {unit.page} ended twice")
        if status is WriteStatus.BLOCKED:
            self.doom(unit, (status.value, info))
        elif status is not WriteStatus.OK:
            self.doom(unit, (WriteStatus.ORDER.value, 1 if status is WriteStatus.TIMEOUT else 2))
        unit.live = False
        unit.answer = (status.value, info)

    def doom(self, unit: Unit, answer: Answer) -> None:
        """Units of the same block and a later page end."""
        for younger in self.units_of_block(self.block_of(unit.page)):
            if younger.page[1] > unit.page[1]:
                if younger.operating:
                    raise CheckError(f"page {younger.page} went before {unit.page}")
                younger.live = False
                younger.answer = answer

    def forget(self) -> None:
        """Drops units that are out of use."""
        self.units = [unit for unit in self.units if unit.in_use]

    def pending(self, unit: Unit, beats: Iterable[int]) -> bool:
        """Whether one of some beats has not come."""
        return any(beat not in unit.data for beat in beats)
