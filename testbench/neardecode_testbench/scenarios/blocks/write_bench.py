"""The surroundings of a write path: host, block table, read path with its readers, core dies.

They answer after random delays. Everything that the write path does is compared with `WriteModel`,
cycle by cycle.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from neardecode.config import Flash
from neardecode.flash.status import Retired, WriteStatus
from neardecode_testbench.drive.stimulus import Probe, Step, StuckError
from neardecode_testbench.scenarios.blocks.edge import CheckError
from neardecode_testbench.scenarios.blocks.write_around import (
    EVENTS,
    STREAMS,
    WriteAround,
    WriteSettings,
)
from neardecode_testbench.scenarios.blocks.write_banks import Banks
from neardecode_testbench.scenarios.blocks.write_model import Command, Unit
from neardecode_testbench.scenarios.blocks.write_readers import Readers

__all__ = ["STREAMS", "WriteBench", "WriteSettings"]

Update = tuple[int, int, int, int]
"""Bank, block, next page, failed."""


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


class WriteBench:
    """The surroundings of a write path, a cycle at a time.

    Args:
        config: The flash section.
        settings: How they behave.
        step: The simulator.

    Attributes:
        around: What all parts of it know.
        banks, readers: Two of them.
        model: What must come of it.
        events: How often each event came.
        halt: As the port.
        busy: As the port, in the last cycle.
        opens: Commands that the host is to send.
        host_stalled: No data is sent.
        spares: Blocks that each bank has left.
    """

    def __init__(self, config: Flash, settings: WriteSettings, step: Step):
        self.around = around = WriteAround(config, settings)
        self.config, self.host, self.settings = config, around.host, settings
        self.model = around.model
        self.random = around.random
        self.banks = Banks(around)
        self.readers = Readers(around)
        self._step = step
        self.events = dict.fromkeys(EVENTS, 0)
        self.spares = dict.fromkeys(range(config.banks), self.host.spare_blocks)
        self.halt = 0
        self.busy = 0
        self.host_stalled = False
        self._outputs = [
            *(f"{name}__ready" for name in ("opens", "data")),
            *(f"{name}__{end}" for name in STREAMS[2:] for end in ("valid", "payload")),
            *("check", "update", "replace", "erased", "kill", "reopen"),
            *("close", "close_bank", "bus_request", "erase_done", "busy", "events"),
        ]
        self._levels: dict[str, int] = {}
        self.opens: deque[Command] = deque()
        self._opening: Command | None = None
        self._data: deque[tuple[Command, int, int]] = deque()
        self._data_offered = False
        self._checked = 0
        self._bad: _Bad | None = None
        self._failed_units: list[Unit] = []
        self._restored = False

    @property
    def cycle(self) -> int:
        """The next cycle."""
        return self.around.cycle

    def secure_erase(self, zones: int) -> None:
        """Asks for a secure erase, and stops asking when it is done."""
        self.around.erase_request, self.around.erase_zones = 1, zones

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
            or not self.readers.idle
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
        seen = self._step(Probe(changed, [*self._outputs, *self.readers.outputs])).outputs
        self._watch(levels, seen)
        self.around.cycle += 1

    def _drive(self) -> dict[str, int]:
        levels = {
            "unit_limit": self.limit,
            "gather_cycles": self.settings.gather_cycles,
            "halt": self.halt,
            "erase_request": self.around.erase_request,
            "erase_zones": self.around.erase_zones,
            "checked": self._checked,
            "replaced": 0,
            "closed": 0,
            "ended": 0,
            "opens__valid": 0,
            "data__valid": 0,
            "ends__ready": int(not self.around.hold("ends")),
            "beats__ready": int(not self.around.hold("beats")),
        }
        if self._opening is None and self.opens and not self.around.hold("opens"):
            self._opening = command = self.opens.popleft()
            last = len(command.data) - 1
            self._data.extend(
                (command, data, int(index == last)) for index, data in enumerate(command.data)
            )
        if self._opening is not None:
            command = self._opening
            levels["opens__valid"] = 1
            levels["opens__payload"] = self.around.pack(
                "opens",
                entry=command.entry,
                bank=command.page[0],
                row=command.page[1],
                first=command.first,
                beats=command.beats,
                refused=command.refused[0],
                info=command.refused[1],
            )
        if self._data and not self._data_offered:
            self._data_offered = not self.around.hold("data") and not self.host_stalled
        if self._data_offered:
            levels["data__valid"] = 1
            _, data, last = self._data[0]
            levels["data__payload"] = self.around.pack("data", data=data, last=last)
        self._drive_table(levels)
        self.banks.drive(levels)
        self.readers.drive(levels)
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

    def _watch(self, levels: dict[str, int], seen: dict[str, int]) -> None:
        model = self.model
        complete = {unit for unit in model.units if model.complete(unit)}
        self.readers.watch(seen)
        opened = self._watch_streams(levels, seen)
        self.readers.settle()
        self._watch_steps(levels, seen, opened, complete)
        self._watch_replace(seen)
        self.banks.watch(levels, seen)
        self.busy = seen["busy"]
        if seen["erase_done"]:
            self.around.erase_request = 0
            self.around.erasing_zones = False
        self._check_times()
        model.forget()

    def _check_times(self) -> None:
        """No unit gathers much beyond its time."""
        slack = 5 * max(self.host.units, 4) + 4 * (self.settings.replace_cycles + 5)
        for unit in self.model.units:
            late = self.cycle - unit.opened - self.settings.gather_cycles
            if unit.live and not self.model.complete(unit) and late > slack:
                raise CheckError(f"page {unit.page} gathers {late} cycles too long")

    def _watch_streams(self, levels: dict[str, int], seen: dict[str, int]) -> Update | None:
        update = None
        if seen["ends__valid"]:
            entry, status, info = self.around.fields(
                "ends", seen["ends__payload"], "entry", "status", "info"
            )
            if entry in self.model.commands:
                self.model.offered(entry)
            if levels["ends__ready"]:
                self.model.answered(entry, (status, info))
        if levels["opens__valid"] and seen["opens__ready"]:
            assert self._opening is not None
            if self.around.erasing_zones:
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
        en, bank, block = self.around.fields("block", seen["check"], "en", "bank", "block")
        if en:
            self._checked = self.around.pack("checked", **vars(model.blocks[bank, block]))
        events = dict(
            zip(EVENTS, self.around.fields("events", seen["events"], *EVENTS), strict=True)
        )
        for event, count in events.items():
            self.events[event] += count
        reopened, reopened_bank = self.around.fields("bank", seen["reopen"], "en", "bank")
        erased, erased_bank, row, erased_block = self.around.fields(
            "erased", seen["erased"], "en", "bank", "row", "block"
        )
        en, *fields = self.around.fields(
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
            self.banks.take_end(erased_bank, erase=True, failed=False, row=row)
            if model.blocks[erased_bank, erased_block].physical != row // pages:
                raise CheckError(f"row {row} of bank {erased_bank} is not in block {erased_block}")
            if self.around.erasing_zones:
                reopens = erased_bank
                expected = (erased_bank, erased_block, 0, 0)
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
            self.banks.reopen(reopened_bank)

    def _programmed(self, bank: int, failed: bool) -> Update | None:
        """A program ended."""
        model = self.model
        work, unit = self.banks.take_end(bank, erase=False, failed=failed), self.banks.unit_of(bank)
        if failed:
            model.doom(unit, (WriteStatus.ORDER.value, 2))
            self._failed_units.append(unit)
            return (*model.block_of(unit.page), 0, 1)
        self.banks.flash[bank, work.row] = work.beats
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
        en, bank, block = self.around.fields("block", seen["replace"], "en", "bank", "block")
        if not en:
            return
        if self._bad is not None:
            raise CheckError("two blocks are replaced at a time")
        model = self.model
        record = model.blocks[bank, block]
        failed = [u for u in self._failed_units if model.block_of(u.page) == (bank, block)]
        erase = not failed
        if erase:
            self.banks.take_end(bank, erase=True, failed=True)
            unit = None if self.around.erasing_zones else self.banks.unit_of(bank)
        else:
            (unit,) = failed
            self._failed_units.remove(unit)
        if unit is not None and model.block_of(unit.page) != (bank, block):
            raise CheckError(f"block {block} of bank {bank} was replaced for {unit.page}")
        delay = self.random.randint(0, self.settings.replace_cycles)
        before = (record.next_page, record.failed)
        self._bad = _Bad((bank, block), delay, before, unit, erase)
