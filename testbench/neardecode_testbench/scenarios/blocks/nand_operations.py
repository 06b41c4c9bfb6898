"""Programs and erases of core dies, and their blocks' records, predicted cycle by cycle.

- An operation makes its bank busy from the cycle after its acceptance until that of its end.
- A program takes the next beats that come, from the cycle after its acceptance on.
- Records are read in one cycle and written in the next. The order is: senses, starts, ends; of each
  kind one waits, from the cycle after it came until the cycle in which it is read.
- An end comes to wait two cycles before its time is over, programs before erases.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from neardecode.config import Flash
from neardecode_testbench.devices.faults import Contents
from neardecode_testbench.devices.operations import OPERATION_GENERATOR
from neardecode_testbench.devices.records import RECORD_TYPE, RecordFlag
from neardecode_testbench.scenarios.blocks.nand_faults import XorshiftModel, page_rate

__all__ = ["Command", "OperationsModel", "Page", "random_records"]


def random_records(flash: Flash, seed: int) -> np.ndarray:
    """Records of blocks with any history: some torn, some not erased to the end."""
    assert flash.host is not None
    random = np.random.default_rng(seed)
    pages = flash.host.pages_a_block
    records = np.zeros((flash.rows // pages, flash.banks), RECORD_TYPE)
    shape = records.shape
    records["programmed"] = random.integers(pages + 1, size=shape)
    records["erases"] = random.choice([0, 1, 1000, 2**32 - 2, 2**32 - 1], size=shape)
    records["reads"] = random.choice([0, 7, 100_000, 2**32 - 3, 2**32 - 1], size=shape)
    records["time"] = random.integers(2**32, size=shape)
    whole = records["programmed"] == pages
    records["flags"] = np.where(
        random.random(shape) < 0.3,
        np.where(whole, RecordFlag.UNERASED, random.choice([1, 2], size=shape)),
        0,
    )
    return records


@dataclass
class Page:
    """A page that was sensed, and what it reads as once that is known."""

    bank: int
    row: int
    stage: int = 0
    contents: Contents = Contents.STORED
    rate: int = 0


@dataclass(frozen=True)
class Command:
    """A program or an erase."""

    bank: int
    row: int
    erase: bool


@dataclass
class _Timer:
    """Operations of one kind under way: when each comes to wait, and how it ends."""

    cycles: int
    queue: deque[tuple[int, Command, bool]] = field(default_factory=deque)

    def begin(self, cycle: int, command: Command, failed: bool) -> None:
        self.queue.append((cycle + self.cycles - 2, command, failed))

    def due(self, cycle: int) -> bool:
        return bool(self.queue) and cycle >= self.queue[0][0]


class OperationsModel:
    """Dies with a host, beside their senses and transfers.

    Args:
        flash: The flash section.
        program_cycles, erase_cycles: tPROG and tBERS.
        seed: The dies'.
        records: The blocks' records, which the model keeps up to date as the dies must.
    """

    def __init__(
        self,
        flash: Flash,
        program_cycles: int,
        erase_cycles: int,
        seed: int,
        records: np.ndarray,
    ):
        assert flash.host is not None
        self._banks = flash.banks
        self._pages = flash.host.pages_a_block
        self._page_beats = flash.page_beats
        self._random = XorshiftModel(seed, OPERATION_GENERATOR)
        self._programs = _Timer(program_cycles)
        self._erases = _Timer(erase_cycles)
        self.records = records
        self.busy: set[int] = set()
        self.ends: list[tuple[int, Command, bool]] = []
        # What waits for its record, and what was read in the last cycle.
        self.sense: Page | None = None
        self.start: Command | None = None
        self._end: tuple[Command, bool] | None = None
        self._changing: Page | Command | tuple[Command, bool] | None = None
        # The program whose beats come.
        self.writing: Command | None = None
        self.beat = 0
        self._fails = False

    @property
    def next_beat(self) -> int:
        """Where the next beat written goes."""
        assert self.writing is not None
        page = self.writing.row * self._banks + self.writing.bank
        return page * self._page_beats + self.beat

    @property
    def last(self) -> bool:
        """The next beat is its page's last."""
        return self.beat == self._page_beats - 1

    @property
    def ended(self) -> tuple[Command, bool] | None:
        """The operation that ends in this cycle, and whether it failed."""
        return self._changing if isinstance(self._changing, tuple) else None

    def record(self, bank: int, row: int) -> np.ndarray:
        """The record of a block."""
        return self.records[row // self._pages, bank, ...]

    def _block(self, place: Page | Command) -> int:
        return place.row // self._pages * self._banks + place.bank

    def read(self) -> int | None:
        """The block whose record is read in this cycle."""
        waiting = self._waiting()
        if self._changing is not None or waiting is None:
            return None
        return self._block(waiting[0] if isinstance(waiting, tuple) else waiting)

    def _waiting(self) -> Page | Command | tuple[Command, bool] | None:
        return self.sense or self.start or self._end

    def write(self, cycle: int, faults: dict[str, int]) -> tuple[int, int] | None:
        """The block whose record is written in this cycle, and with what; a page becomes known."""
        changing = self._changing
        if changing is None:
            return None
        place = changing[0] if isinstance(changing, tuple) else changing
        old = self.record(place.bank, place.row)
        new = old.copy()
        page = place.row % self._pages
        if isinstance(changing, Page):
            new["reads"] = min(int(old["reads"]) + 1, 2**32 - 1)
            if old["flags"] & RecordFlag.UNERASED or (
                old["flags"] & RecordFlag.TORN and page == old["programmed"]
            ):
                changing.contents = Contents.GARBAGE
            elif page >= old["programmed"]:
                changing.contents = Contents.ERASED
            age = ((cycle >> 16) - int(old["time"])) % 2**32
            changing.rate = page_rate(
                faults, changing.stage, int(old["erases"]), int(old["reads"]), age
            )
        elif isinstance(changing, Command):
            if changing.erase:
                new["programmed"] = new["reads"] = 0
                new["erases"] = min(int(old["erases"]) + 1, 2**32 - 1)
                new["flags"] = RecordFlag.UNERASED
            else:
                new["flags"] = int(old["flags"]) | RecordFlag.TORN
        elif not changing[1]:
            new["flags"] = 0
            if changing[0].erase:
                new["time"] = cycle >> 16
            else:
                new["programmed"] = page + 1
        return self._block(place), int.from_bytes(new.tobytes(), "little")

    def advance(
        self,
        cycle: int,
        sense: Page | None,
        command: Command | None,
        written: bool,
        faults: dict[str, int],
    ) -> None:
        """What follows from a cycle.

        Args:
            cycle: Which.
            sense: A sense that was taken.
            command: An operation that was taken.
            written: Whether a beat was written.
            faults: The rates in this cycle.
        """
        end_was_free = self._end is None
        if self._changing is not None:
            if (ended := self.ended) is not None:
                self.busy.remove(ended[0].bank)
                self.ends.append((cycle, *ended))
            self._changing = None
        elif (waiting := self._waiting()) is not None:
            self._changing = waiting
            if waiting is self.sense:
                self.sense = None
            elif waiting is self.start:
                self.start = None
            else:
                self._end = None
        for timer in (self._programs, self._erases):
            if end_was_free and timer.due(cycle):
                self._end = timer.queue.popleft()[1:]
                break

        if written:
            assert self.writing is not None
            self.beat += 1
            if self.beat == self._page_beats:
                self._programs.begin(cycle, self.writing, self._fails)
                self.writing = None
        if sense is not None:
            self.sense = sense
        if command is not None:
            self.busy.add(command.bank)
            self.start = command
            chance = faults.get("erase_failures" if command.erase else "program_failures", 0)
            fails = self._random.take() >> 48 < chance or chance == 0xFFFF
            if command.erase:
                self._erases.begin(cycle, command, fails)
            else:
                self.writing, self.beat, self._fails = command, 0, fails
