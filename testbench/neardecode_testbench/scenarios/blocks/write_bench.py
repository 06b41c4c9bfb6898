"""The surroundings of a write path: host, block table, read path with its readers, core dies.

They answer after random delays. Everything that the write path does is compared with `WriteModel`,
cycle by cycle.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from neardecode.config import Flash
from neardecode.flash.axi import AxiWriteBeat
from neardecode.flash.blocks.ports import BlockAddress, BlockRow, BlockState, BlockUpdate
from neardecode.flash.bus import Operation, OperationEnd
from neardecode.flash.read.pages import Kill
from neardecode.flash.status import Retired, WriteStatus
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
from neardecode.flash.write.programmer import PageData
from neardecode_testbench.drive.stimulus import Probe, Step, StuckError
from neardecode_testbench.scenarios.blocks.edge import CheckError
from neardecode_testbench.scenarios.blocks.write_model import Command, Page, Unit, WriteModel
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["EVENTS", "STREAMS", "WriteBench", "WriteSettings"]

STREAMS: tuple[str, ...] = ("opens", "data", "ends", "operations", "beats")
EVENTS = ("programs", "erases", "program_failures", "erase_failures", "timeouts")


Update = tuple[int, int, int, int]
"""Bank, block, next page, failed."""


@dataclass(frozen=True)
class WriteSettings:
    """How the stand-ins behave.

    Attributes:
        seed: Of everything random.
        stalls: The share of cycles in which a stream is held back.
        unit_limit, gather_cycles: As the ports; no limit given means all units.
        close_cycles, grant_cycles, replace_cycles: Longest delays of an answer.
        erase_cycles, program_cycles: Longest time of an operation.
        erase_failures, program_failures: The share of operations that fail.
        probes: The share of cycles with a probe.
    """

    seed: int = 0
    stalls: float = 0.3
    unit_limit: int | None = None
    gather_cycles: int = 400
    close_cycles: int = 12
    grant_cycles: int = 6
    replace_cycles: int = 5
    erase_cycles: int = 60
    program_cycles: int = 40
    erase_failures: float = 0.0
    program_failures: float = 0.0
    probes: float = 0.5


@dataclass
class _Operation:
    """What a bank works on."""

    bank: int
    erase: bool
    row: int
    starts: int
    beats: list[int] = field(default_factory=list)
    ends: int | None = None
    failed: bool = False


@dataclass
class _Bad:
    """A block that is being replaced.

    Attributes:
        block: Which.
        delay: Cycles until the table has done it.
        record: What its record said before: next page and whether a program failed.
        unit: Whose; a secure erase has none.
        erase: An erase failed, not a program.
        replacement: What the table says.
        answered: It has said it.
    """

    block: tuple[int, int]
    delay: int
    record: tuple[int, int]
    unit: Unit | None
    erase: bool
    replacement: int = 0
    answered: bool = False


@dataclass
class _Reader:
    """A reader that was told of a unit, and reads its buffer."""

    unit: Unit
    number: int
    beats: list[int]
    acquires: int


class WriteBench:
    """The surroundings of a write path, a cycle at a time.

    Args:
        config: The flash section.
        settings: How they behave.
        step: The simulator.

    Attributes:
        model: What must come of it.
        cycle: The next cycle.
        events: How often each event came.
        flash: The pages programmed, by bank and physical row.
        programmed: The pages programmed in each physical block since its erase.
        most_at_once: Most banks that operated at a time.
        host_stalled: No data is sent.
        withheld: The readers of a bank that is to be shut do not come to an end.
        held_after_end: Reads of a unit's buffer after its fate was known.
    """

    def __init__(self, config: Flash, settings: WriteSettings, step: Step):
        assert config.host is not None
        self.config, self.host, self.settings = config, config.host, settings
        self._step = step
        self.random = random.Random(settings.seed)
        self.model = WriteModel(config)
        self.cycle = 0
        self.events = dict.fromkeys(EVENTS, 0)
        self.flash: dict[tuple[int, int], list[int]] = {}
        self.programmed: dict[tuple[int, int], int] = {}
        self.spares = dict.fromkeys(range(config.banks), self.host.spare_blocks)
        self.most_at_once = 0
        self.held_after_end = 0
        self.halt = 0
        self.erase_request = 0
        self.erase_zones = 0
        self.erasing_zones = False
        self.busy = 0
        self.host_stalled = False
        self.withheld = False
        self._packers = {
            "probe": Packer(UnitProbe(config)),
            "probed": Packer(UnitProbed(config)),
            "unit": Packer(UnitStrobe(config)),
            "read": Packer(UnitRead(config)),
            "block": Packer(BlockAddress(config)),
            "checked": Packer(BlockState(config)),
            "update": Packer(BlockUpdate(config)),
            "erased": Packer(BlockRow(config)),
            "kill": Packer(Kill(config)),
            "bank": Packer(BankStrobe(config)),
            "end": Packer(OperationEnd(config.banks)),
            "events": Packer(WriteEvents()),
            "opens": Packer(WriteOpen(config)),
            "data": Packer(AxiWriteBeat(config.beat_bytes)),
            "ends": Packer(WriteEnd(self.host.writes)),
            "operations": Packer(Operation(config.banks, config.rows)),
            "beats": Packer(PageData(config.beat_bytes)),
        }
        self._outputs = [
            *(f"{name}__ready" for name in ("opens", "data")),
            *(f"{name}__{end}" for name in STREAMS[2:] for end in ("valid", "payload")),
            *("probed", "check", "update", "replace", "erased", "kill", "reopen"),
            *("close", "close_bank", "bus_request", "erase_done", "busy", "events"),
        ]
        self._levels: dict[str, int] = {}
        # Streams.
        self.opens: deque[Command] = deque()
        self._opening: Command | None = None
        self._data: deque[tuple[Command, int, int]] = deque()
        self._data_offered = False
        self._stalled = dict.fromkeys(STREAMS, False)
        # The table.
        self._checked = 0
        self._bad: _Bad | None = None
        self._failed_units: list[Unit] = []
        self._restored = False
        # The read path.
        self._closing: tuple[int, int] | None = None
        self._shut: set[int] = set()
        self._killed: dict[int, int] = {}
        self._grant = 0
        self._granted = 0
        self._halted = 0
        # The dies.
        self.banks: dict[int, _Operation] = {}
        self._ended: dict[int, _Operation] = {}
        self._filling: _Operation | None = None
        self._offered_bank: int | None = None
        # Readers.
        self._asked: tuple[Page, list[int]] | None = None
        self._probe: tuple[Unit | None, list[int], bool] | None = None
        self._readers: list[_Reader] = []
        self._acquired: _Reader | None = None
        self._released: _Reader | None = None
        self._reading: int | None = None
        self._read: int | None = None

    def _any_page(self) -> Page:
        units = self.model.units
        if units and self.random.random() < 0.7:
            return self.random.choice(units).page
        return self.random.randrange(self.config.banks), self.random.randrange(
            self.config.pages_a_bank
        )

    def _chance(self, share: float) -> bool:
        return self.random.random() < share

    def _hold(self, stream: str) -> bool:
        """Whether a stream is held back in this cycle: now and then for a while."""
        if self._chance(0.2):
            self._stalled[stream] = self._chance(self.settings.stalls)
        return self._stalled[stream]

    def free_entries(self) -> list[int]:
        """Entries that no command has."""
        taken = set(self.model.commands) | {command.entry for command in self.opens}
        if self._opening is not None:
            taken.add(self._opening.entry)
        return [entry for entry in range(self.host.writes) if entry not in taken]

    def write(self, command: Command) -> None:
        """Adds a command to those that the host sends."""
        self.opens.append(command)

    @property
    def limit(self) -> int:
        """Most units."""
        limit = self.settings.unit_limit
        return self.host.units if limit is None else limit

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not (
            self.opens
            or self._opening
            or self._data
            or self.model.commands
            or any(unit.live for unit in self.model.units)
            or self._readers
        )

    def run(self, cycles: int, until: Callable[[], bool] = lambda: False) -> None:
        """Goes on for some cycles.

        Raises:
            CheckError: if something is not as it must be.
        """
        for _ in range(cycles):
            if until():
                return
            self._one_cycle()

    def finish(self, limit: int = 20_000) -> None:
        """Goes on until nothing is under way.

        Raises:
            StuckError: if that does not come.
        """
        self.run(limit, lambda: self.idle and not self.busy)
        if not self.idle or self.busy:
            raise StuckError(f"after {limit} cycles: {sorted(self.model.commands)} not answered")

    # One cycle: inputs, then what is seen of the outputs.

    def _one_cycle(self) -> None:
        levels = self._drive()
        changed = {port: value for port, value in levels.items() if self._levels.get(port) != value}
        self._levels |= changed
        # A memory that was never read gives nothing that could be sampled.
        outputs = [*self._outputs, *(["read_data"] if self._read is not None else [])]
        seen = self._step(Probe(changed, outputs)).outputs
        self._watch(levels, seen)
        self.cycle += 1

    def _field(self, name: str, bits: int, *fields: str) -> list[int]:
        return [self._packers[name].field(bits, each) for each in fields]

    def _drive(self) -> dict[str, int]:
        levels = {
            "unit_limit": self.limit,
            "gather_cycles": self.settings.gather_cycles,
            "halt": self.halt,
            "erase_request": self.erase_request,
            "erase_zones": self.erase_zones,
            "checked": self._checked,
            "replaced": 0,
            "closed": 0,
            "bus_granted": self._granted,
            "ended": 0,
            "opens__valid": 0,
            "data__valid": 0,
            "ends__ready": int(not self._hold("ends")),
            "beats__ready": int(not self._hold("beats")),
        }
        if self._opening is None and self.opens and not self._hold("opens"):
            self._opening = command = self.opens.popleft()
            last = len(command.data) - 1
            self._data.extend(
                (command, data, int(index == last)) for index, data in enumerate(command.data)
            )
        if self._opening is not None:
            command = self._opening
            levels["opens__valid"] = 1
            levels["opens__payload"] = self._packers["opens"].pack(
                {
                    "entry": command.entry,
                    "bank": command.page[0],
                    "row": command.page[1],
                    "first": command.first,
                    "beats": command.beats,
                    "refused": command.refused[0],
                    "info": command.refused[1],
                }
            )
        if self._data and not self._data_offered:
            self._data_offered = not self._hold("data") and not self.host_stalled
        if self._data_offered:
            levels["data__valid"] = 1
            _, data, last = self._data[0]
            levels["data__payload"] = self._packers["data"].pack({"data": data, "last": last})
        self._drive_table(levels)
        self._drive_read_path(levels)
        self._drive_dies(levels)
        self._drive_reader(levels)
        return levels

    def _drive_table(self, levels: dict[str, int]) -> None:
        bad = self._bad
        if bad is None or bad.answered:
            return
        if bad.delay:
            bad.delay -= 1
            return
        record = self.model.blocks[bad.block]
        record.next_page = 0
        bank = bad.block[0]
        if self.spares[bank]:
            self.spares[bank] -= 1
            record.physical = self.config.blocks_a_bank + self.spares[bank]
        else:
            record.retired = bad.replacement = Retired.BLOCK.value
        levels |= {"replaced": 1, "replacement": bad.replacement}
        bad.answered = True

    def _drive_read_path(self, levels: dict[str, int]) -> None:
        if self._closing is not None:
            bank, delay = self._closing
            if delay or self.withheld:
                self._closing = (bank, max(delay - 1, 0))
            else:
                levels["closed"] = 1

    def _drive_dies(self, levels: dict[str, int]) -> None:
        due = [
            bank
            for bank, work in self.banks.items()
            if work.ends is not None and work.ends <= self.cycle
        ]
        if due:
            bank = self.random.choice(due)
            work = self._ended[bank] = self.banks.pop(bank)
            levels["ended"] = 1
            levels["end"] = self._packers["end"].pack({"bank": bank, "failed": work.failed})
            block = (bank, work.row // self.host.pages_a_block)
            if not work.failed:
                self.programmed[block] = 0 if work.erase else self.programmed[block] + 1
        # An operation is taken when its bank is idle and no page is on its way.
        levels["operations__ready"] = int(
            not self._hold("operations")
            and self._filling is None
            and self._offered_bank is not None
            and self._offered_bank not in self.banks
        )

    def _drive_reader(self, levels: dict[str, int]) -> None:
        levels |= {"probe": 0, "acquire": 0, "release": 0, "read": 0}
        self._asked = None
        if self._chance(self.settings.probes):
            bank, row = self._any_page()
            first = self.random.randrange(self.config.page_beats)
            beats = self.random.randint(1, self.config.page_beats - first)
            levels["probe"] = self._packers["probe"].pack(
                {"en": 1, "bank": bank, "row": row, "first": first, "beats": beats}
            )
            self._asked = ((bank, row), list(range(first, first + beats)))
        self._acquired = self._released = None
        for reader in self._readers:
            if reader.acquires == self.cycle:
                levels["acquire"] = self._packers["unit"].pack({"en": 1, "unit": reader.number})
                self._acquired = reader
        self._reading = None
        held = [reader for reader in self._readers if reader.acquires < self.cycle]
        if held and self._chance(0.5):
            reader = self.random.choice(held)
            if reader.beats:
                beat = reader.beats.pop()
                levels["read"] = self._packers["read"].pack(
                    {"en": 1, "unit": reader.number, "beat": beat}
                )
                self._reading = reader.unit.data[beat]
                self.held_after_end += not reader.unit.live
            else:
                levels["release"] = self._packers["unit"].pack({"en": 1, "unit": reader.number})
                self._released = reader

    def _watch(self, levels: dict[str, int], seen: dict[str, int]) -> None:
        model = self.model
        complete = {unit for unit in model.units if model.complete(unit)}
        hit = None if self._asked is None else model.live_unit(self._asked[0])
        self._watch_probed(seen)
        opened = self._watch_streams(levels, seen)
        self._probe = None
        if self._asked is not None:
            beats = self._asked[1]
            self._probe = (hit, beats, hit is not None and model.pending(hit, beats))
        if self._acquired is not None:
            unit = self._acquired.unit
            unit.readers += 1
            if unit not in model.units:
                model.units.append(unit)
        if self._released is not None:
            self._released.unit.readers -= 1
            self._readers.remove(self._released)
        self._watch_steps(levels, seen, opened, complete)
        self._watch_replace(seen)
        self._watch_read_path(levels, seen)
        self._watch_dies(levels, seen)
        self.busy = seen["busy"]
        self.most_at_once = max(self.most_at_once, len(self.banks))
        if seen["erase_done"]:
            self.erase_request = 0
            self.erasing_zones = False
        self._check_times()
        model.forget()

    def _check_times(self) -> None:
        """No unit gathers much beyond its time."""
        slack = 5 * max(self.host.units, 4) + 4 * (self.settings.replace_cycles + 5)
        for unit in self.model.units:
            late = self.cycle - unit.opened - self.settings.gather_cycles
            if unit.live and not self.model.complete(unit) and late > slack:
                raise CheckError(f"page {unit.page} gathers {late} cycles too long")

    def _watch_probed(self, seen: dict[str, int]) -> None:
        if self._read is not None and seen["read_data"] != self._read:
            raise CheckError(f"read {seen['read_data']:#x}, not {self._read:#x}")
        self._read = self._reading
        if self._probe is None:
            return
        unit, beats, waits = self._probe
        hit, number, pending = self._field("probed", seen["probed"], "hit", "unit", "pending")
        if hit != (unit is not None):
            raise CheckError(f"cycle {self.cycle}: a probe of {unit} hit: {hit}")
        if unit is None:
            return
        if pending != waits:
            raise CheckError(f"cycle {self.cycle}: beats {beats} of {unit} pending: {pending}")
        if unit.number is None:
            unit.number = number
            if any(u.number == number and u is not unit and u.in_use for u in self.model.units):
                raise CheckError(f"unit {number} has two pages")
        if unit.number != number:
            raise CheckError(f"page {unit.page} moved from unit {unit.number} to {number}")
        if not pending and len(self._readers) < 3 and self._chance(0.2):
            acquires = self.cycle + self.random.randint(1, 2)
            if all(reader.acquires != acquires for reader in self._readers):
                self._readers.append(_Reader(unit, number, list(beats), acquires))

    def _watch_streams(self, levels: dict[str, int], seen: dict[str, int]) -> Update | None:
        update = None
        if seen["ends__valid"]:
            entry, status, info = self._field(
                "ends", seen["ends__payload"], "entry", "status", "info"
            )
            if entry in self.model.commands:
                self.model.offered(entry)
            if levels["ends__ready"]:
                self.model.answered(entry, (status, info))
        if levels["opens__valid"] and seen["opens__ready"]:
            assert self._opening is not None
            if self.erasing_zones:
                raise CheckError("a command was accepted during a secure erase")
            update = self.model.open(self._opening, self.limit, self.cycle)
            self._opening = None
        if levels["data__valid"] and seen["data__ready"]:
            command, data, last = self._data.popleft()
            if command is self._opening:
                raise CheckError("data was taken before its command")
            self.model.beat(command, data, bool(last))
            self._data_offered = False
        return update

    def _watch_steps(
        self,
        levels: dict[str, int],
        seen: dict[str, int],
        expected: Update | None,
        complete: set[Unit],
    ) -> None:
        """The steps that units made, and the changes of the table and of the banks with them."""
        model, pages = self.model, self.host.pages_a_block
        en, bank, block = self._field("block", seen["check"], "en", "bank", "block")
        if en:
            self._checked = self._packers["checked"].pack(vars(model.blocks[bank, block]))
        events = dict(zip(EVENTS, self._field("events", seen["events"], *EVENTS), strict=True))
        for event, count in events.items():
            self.events[event] += count
        reopened, reopened_bank = self._field("bank", seen["reopen"], "en", "bank")
        erased, erased_bank, row = self._field("erased", seen["erased"], "en", "bank", "row")
        en, *fields = self._field(
            "update", seen["update"], "en", "bank", "block", "next_page", "failed"
        )
        update = (fields[0], fields[1], fields[2], fields[3]) if en else None
        reopens: int | None = None
        if events["programs"] or events["program_failures"]:
            reopens = reopened_bank
            expected = self._programmed(reopened_bank, bool(events["program_failures"]))
        if erased != events["erases"]:
            raise CheckError("the strobe of an erase is not its event")
        if erased:
            self._take_end(erased_bank, erase=True, failed=False, row=row)
            if self.erasing_zones:
                reopens = erased_bank
                (block,) = (
                    block
                    for (bank, block), record in model.blocks.items()
                    if bank == erased_bank and record.physical == row // pages
                )
                expected = (erased_bank, block, 0, 0)
        if self._restored:
            expected, reopens = self._restore()
        self._restored = self._bad is not None and self._bad.answered
        if update and expected is None:
            expected = self._gave_up(update, levels, bool(events["timeouts"]), complete)
        elif events["timeouts"]:
            raise CheckError("a time limit without a change of the table")
        if update != expected:
            raise CheckError(f"cycle {self.cycle}: update {update}, not {expected}")
        if update:
            record = model.blocks[update[:2]]
            record.next_page, record.failed = update[2:]
        if (reopened_bank if reopened else None) != reopens:
            raise CheckError(f"cycle {self.cycle}: reopened {reopened_bank}, not {reopens}")
        if reopened:
            if reopened_bank in self.banks or reopened_bank not in self._shut:
                raise CheckError(f"bank {reopened_bank} was reopened")
            self._shut.remove(reopened_bank)
            del self._killed[reopened_bank]

    def _take_end(self, bank: int, erase: bool, failed: bool, row: int | None = None) -> _Operation:
        """The hardware has seen the end of an operation."""
        work = self._ended.pop(bank, None)
        if work is None or work.erase != erase or work.failed != failed:
            raise CheckError(f"bank {bank}: no such end (erase: {erase}, failed: {failed}): {work}")
        if row is not None and row != work.row:
            raise CheckError(f"bank {bank}: row {work.row} was erased, not {row}")
        return work

    def _operating(self, bank: int) -> Unit:
        (unit,) = (u for u in self.model.units if u.live and u.operating and u.page[0] == bank)
        return unit

    def _programmed(self, bank: int, failed: bool) -> Update | None:
        """A program ended."""
        model = self.model
        work, unit = self._take_end(bank, erase=False, failed=failed), self._operating(bank)
        if failed:
            model.doom(unit, (WriteStatus.ORDER.value, 2))
            self._failed_units.append(unit)
            return (*model.block_of(unit.page), 0, 1)
        self.flash[bank, work.row] = work.beats
        model.end(unit, WriteStatus.OK)
        return None

    def _gave_up(
        self, update: Update, levels: dict[str, int], late: bool, complete: set[Unit]
    ) -> Update:
        """A unit ended that no bank worked for: it was late, or it is too hot."""
        bank, block, page, _ = update
        unit = self.model.live_unit((bank, block * self.host.pages_a_block + page))
        if unit is None or unit.operating or (late and unit in complete):
            raise CheckError(f"cycle {self.cycle}: update {update} out of the blue")
        if late:
            if self.cycle - unit.opened < self.settings.gather_cycles:
                raise CheckError(f"page {unit.page} ran out of time too early")
            self.model.end(unit, WriteStatus.TIMEOUT)
        else:
            if not levels["halt"]:
                raise CheckError(f"page {unit.page} was given up")
            self.model.end(unit, WriteStatus.BLOCKED, 1)
        return (bank, block, page, 0)

    def _restore(self) -> tuple[Update, int | None]:
        """A block was replaced a cycle ago: its next page comes back, its unit goes on or ends."""
        bad, self._bad = self._bad, None
        assert bad is not None
        reopens = None
        if bad.replacement:
            if bad.unit is not None:
                self.model.end(bad.unit, WriteStatus.RETIRED, bad.replacement)
            reopens = bad.block[0] if bad.erase else None
        elif not bad.erase:
            assert bad.unit is not None
            self.model.end(bad.unit, WriteStatus.PROGRAM_FAILED)
        return (*bad.block, *bad.record), reopens

    def _watch_replace(self, seen: dict[str, int]) -> None:
        en, bank, block = self._field("block", seen["replace"], "en", "bank", "block")
        if not en:
            return
        if self._bad is not None:
            raise CheckError("two blocks are replaced at a time")
        model = self.model
        record = model.blocks[bank, block]
        failed = [u for u in self._failed_units if model.block_of(u.page) == (bank, block)]
        erase = not failed
        if erase:
            self._take_end(bank, erase=True, failed=True)
            unit = None if self.erasing_zones else self._operating(bank)
        else:
            (unit,) = failed
            self._failed_units.remove(unit)
        if unit is not None and model.block_of(unit.page) != (bank, block):
            raise CheckError(f"block {block} of bank {bank} was replaced for {unit.page}")
        delay = self.random.randint(0, self.settings.replace_cycles)
        before = (record.next_page, record.failed)
        self._bad = _Bad((bank, block), delay, before, unit, erase)

    def _watch_read_path(self, levels: dict[str, int], seen: dict[str, int]) -> None:
        self._halted = self._halted + 1 if levels["halt"] else 0
        bank = seen["close_bank"]
        if self._closing is None:
            if seen["close"]:
                if bank in self._shut or bank in self.banks:
                    raise CheckError(f"bank {bank} is shut twice")
                if self._halted > 3 and not self.erase_request:
                    raise CheckError(f"bank {bank} is shut in a halt")
                self._closing = (bank, self.random.randint(0, self.settings.close_cycles))
        elif not seen["close"] or bank != self._closing[0]:
            raise CheckError(f"bank {self._closing[0]} is no longer to be shut")
        elif levels["closed"]:
            self._shut.add(bank)
            self._closing = None
        en, bank, row, block = self._field("kill", seen["kill"], "en", "bank", "row", "block")
        if en:
            self._kill(bank, row, bool(block))
        if seen["bus_request"]:
            self._grant = self._grant or self.random.randint(1, self.settings.grant_cycles)
            self._grant -= not self._granted and self._grant > 1
            self._granted = int(self._grant == 1)
        else:
            if self._filling is not None and not self._filling.erase:
                raise CheckError("the lanes were let go within a page")
            self._grant = self._granted = 0

    def _kill(self, bank: int, row: int, whole: bool) -> None:
        """Copies of a page or a block are dropped, before it changes."""
        model, pages = self.model, self.host.pages_a_block
        if bank not in self._shut or bank in self.banks:
            raise CheckError(f"copies of row {row} of bank {bank} were dropped while it was open")
        blocks = [
            block
            for (of_bank, block), record in model.blocks.items()
            if of_bank == bank and record.physical == row // pages and not record.retired
        ]
        if len(blocks) != 1 or whole != (row % pages == 0):
            raise CheckError(f"copies of row {row} of bank {bank} were dropped: {blocks}, {whole}")
        (block,) = blocks
        self._killed[bank] = row
        if self.erase_request and not any(unit.live for unit in model.units):
            self.erasing_zones = True
            zone = block * self.host.zones // self.config.blocks_a_bank
            if row % pages or not self.erase_zones >> zone & 1:
                raise CheckError(f"row {row} of bank {bank} is not to be erased")
            return
        unit = model.live_unit((bank, block * pages + row % pages))
        if unit is None or not model.complete(unit):
            raise CheckError(f"row {row} of bank {bank} is no complete page")
        if model.units_of_block((bank, block))[0] is not unit:
            raise CheckError(f"page {unit.page} goes before an older one")
        unit.operating = True

    def _watch_dies(self, levels: dict[str, int], seen: dict[str, int]) -> None:
        self._offered_bank = None
        if seen["operations__valid"]:
            bank, row, erase = self._field(
                "operations", seen["operations__payload"], "bank", "row", "erase"
            )
            self._offered_bank = bank
            if not erase and not levels["bus_granted"]:
                raise CheckError("a program without the lanes")
            if levels["operations__ready"]:
                self._offered_bank = None
                self._operate(bank, row, bool(erase))
        if seen["beats__valid"] and levels["beats__ready"]:
            bits = seen["beats__payload"]
            data, first, last = self._field("beats", bits, "data", "first", "last")
            work = self._filling
            if work is None or work.starts == self.cycle or not levels["bus_granted"]:
                raise CheckError(f"cycle {self.cycle}: a beat without a program")
            work.beats.append(data)
            whole = len(work.beats) == self.config.page_beats
            if first != (len(work.beats) == 1) or last != whole:
                raise CheckError(f"beat {len(work.beats)} of a page: first {first}, last {last}")
            if whole:
                unit = self._operating(work.bank)
                if work.beats != [unit.data[beat] for beat in range(self.config.page_beats)]:
                    raise CheckError(f"page {unit.page} is programmed with other data")
                self._filling = None
                work.ends = self.cycle + self.random.randint(1, self.settings.program_cycles)

    def _operate(self, bank: int, row: int, erase: bool) -> None:
        """The dies take an operation."""
        settings, pages = self.settings, self.host.pages_a_block
        block = (bank, row // pages)
        if bank not in self._shut or self._killed.get(bank) != row:
            raise CheckError(f"row {row} of bank {bank}: its bank is open")
        work = _Operation(bank, erase, row, self.cycle)
        if erase:
            work.failed = self._chance(settings.erase_failures)
            work.ends = self.cycle + self.random.randint(1, settings.erase_cycles)
            if work.failed:
                self.programmed.pop(block, None)
        else:
            if self.programmed.get(block) != row % pages:
                raise CheckError(f"row {row} of bank {bank} is programmed out of order")
            work.failed = self._chance(settings.program_failures)
            self._filling = work
        self.banks[bank] = work
