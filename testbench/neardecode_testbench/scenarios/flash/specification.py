"""What every command of a channel must bring: a model written from the specification.

Source: OCP HBF v0.7.0, sections 5.2 to 5.6 and 11.5; what it leaves to the product, from the
contracts of the controller's parts.

It is told the commands of a round in the order of their acceptance, with all that was seen at the
ports and the log of the write path, and says of each whether its answer was the right one. A read
that comes about when a page changes may find it as before or as after; all else has one answer.
"""

from collections import defaultdict
from collections.abc import Iterable

from neardecode.config import Config
from neardecode.flash.status import AdminStatus, ReadStatus, WriteStatus
from neardecode_testbench.devices.write_log import Decision
from neardecode_testbench.scenarios.blocks import admin_model
from neardecode_testbench.scenarios.flash.contents import ERASED, LOST, RETIRED
from neardecode_testbench.scenarios.flash.logged import Logged
from neardecode_testbench.scenarios.flash.traffic import (
    ADMIN,
    FLASH,
    RESERVED,
    SCRATCHPAD,
    Command,
    PageState,
)
from neardecode_testbench.scenarios.flash.units import NEVER, Timing
from neardecode_testbench.scenarios.flash.writes import EARLY, WriteModel

__all__ = ["Specification", "refusal"]

Answer = tuple[int, int]
Name = tuple[int, int]
"""Bank and number of a block."""
SlicePage = tuple[int, int, int, list[int], bool]
"""A page, the cycles in which it was asked for and came, its words, and whether it is an error."""
W, R = WriteStatus, ReadStatus
LONGEST_ADMIN = 64
"""Beats of the longest admin command."""


def refusal(config: Config, command: Command, enabled: bool) -> int:
    """The status that a command for flash or scratchpad is refused with at sight, or 0."""
    flash, host = config.flash, config.flash.host
    assert host is not None
    stages = 0 if flash.ecc is None else flash.ecc.retry_stages
    stage = command.user >> 6
    beats = command.length + 1
    beat, rest = divmod(command.address, flash.beat_bytes)
    if (
        command.kind == RESERVED
        or command.user >> 3 & 7
        or (stage and (command.write or command.kind != FLASH))
        or stage > stages
        or rest
        or beats > flash.page_beats
        or (command.kind == FLASH and beat % flash.page_beats + beats > flash.page_beats)
    ):
        return W.INVALID_USER.value
    if command.kind == FLASH:
        beyond = beat // flash.page_beats >= flash.pages
    else:
        beyond = beat + beats > host.scratchpad_bytes // flash.beat_bytes
    if beyond:
        return W.INVALID_ADDRESS.value
    return 0 if enabled else W.NOT_ENABLED.value


class Specification:
    """The model.

    Args:
        config: The configuration, with ``flash.host``.
        timing: Its times in cycles.

    Attributes:
        enabled: Commands are accepted.
        bit_errors: Bits may flip on their way out of the dies.
        many_reads: Blocks may have been read too often.
        writes: The model of the write path.
        differences: What was not as it should be, one line each.
        compared: Words of data that were compared.
    """

    def __init__(self, config: Config, timing: Timing):
        flash = config.flash
        assert flash.host is not None
        self.config, self.flash, self.host = config, flash, flash.host
        self.writes = WriteModel(config, timing, self._difference)
        self.enabled = False
        self.bit_errors = False
        self.differences: list[str] = []
        self.many_reads = False
        self.compared = 0
        self._slices: list[SlicePage] = []
        self.contents = self.writes.contents
        self.around = admin_model.Surroundings()
        self.admin = admin_model.AdminModel(flash, config.clock_ghz, self.around)
        self._logged = Logged(flash)
        self._reads: dict[tuple[int, int], list[Command]] = {}
        self._scratch: dict[int, list[tuple[int, int, int]]] = {}

    def blocks(self) -> dict[Name, PageState]:
        """Every block as it stands while no command is open."""
        states = {}
        for bank in range(self.flash.banks):
            for number in range(self.flash.blocks_a_bank):
                retired = self.contents.is_retired(bank, number)
                states[bank, number] = PageState(*self.writes.block((bank, number)), retired)
        return states

    def round(
        self, commands: list[Command], slices: list[SlicePage], decisions: list[Decision]
    ) -> None:
        """Checks a round, in which everything was answered.

        Args:
            commands: The host's, in the order of acceptance.
            slices: The slice's pages.
            decisions: The log of the write path.
        """
        self._reads = defaultdict(list)
        for command, following in zip(commands, [*commands[1:], None], strict=True):
            command.settled = command.answered[0]
            if following is not None:
                command.settled = min(command.settled, following.accepted)
            if command.kind == FLASH and not command.write:
                self._reads[self.writes.place(command)[0]].append(command)
        self._logged.round(commands)
        self._simple(commands)
        self._flash(commands, decisions)
        for page in slices:
            self.slice_page(*page)
        self.contents.settle()
        for beat, history in self._scratch.items():
            self._scratch[beat] = history[-1:]

    def _simple(self, commands: list[Command]) -> None:
        """Checks what no event inside has to do with."""
        reads = []
        for command in commands:
            if command.kind == ADMIN:
                if self._logged.is_read_by(command):
                    if difference := self._logged.difference(command):
                        self.differences.append(f"{command}: {difference}")
                    continue
                if command.length >= LONGEST_ADMIN:
                    prediction = admin_model.Prediction(
                        AdminStatus.UNSUPPORTED.value, [0] * (command.length + 1)
                    )
                else:
                    prediction = self.admin(self._admin(command))
                self._expect(command, [(prediction.status, 0)])
                if not command.write:
                    self._words(command, [prediction.data])
            elif refused := refusal(self.config, command, self.enabled):
                self._expect(command, [(refused, 0)])
                if not command.write:
                    self._zeros(command)
            elif command.kind == SCRATCHPAD:
                if command.write:
                    self._scratch_write(command)
                else:
                    reads.append(command)
        for command in reads:
            self._scratch_read(command)

    def _flash(self, commands: list[Command], decisions: list[Decision]) -> None:
        """Checks the writes, then what the reads found."""
        writes, reads = [], []
        for command in commands:
            refused = 0
            if command.kind != ADMIN:
                refused = refusal(self.config, command, self.enabled)
            if command.write and (command.kind == FLASH or refused):
                writes.append((command, refused))
            elif command.kind == FLASH and not refused:
                reads.append(command)
        self.writes.round(writes, decisions, self._reads)
        for command in reads:
            self._read(command)

    def slice_page(self, page: int, first: int, last: int, words: list[int], error: bool) -> None:
        """Checks a page that the slice asked for in one cycle and got from another one on."""
        what = f"slice's page {page:#x}, asked for in cycle {first}, got in cycle {last}"
        zeros = [0] * self.flash.page_beats
        options: list[tuple[bool, list[int]]] = []
        if page >= self.flash.pages:
            options.append((True, zeros))
        else:
            row, bank = divmod(page, self.flash.banks)
            for content in self.contents.permitted((bank, row), first, last):
                if content is RETIRED:
                    options.append((True, zeros))
                elif content is ERASED:
                    if self.flash.ecc is None:
                        ones = (1 << 8 * self.flash.beat_bytes) - 1
                        options.append((False, [ones] * self.flash.page_beats))
                    else:
                        options.append((True, zeros))
                elif content is LOST:
                    if self.flash.ecc is None:
                        return
                    options.append((True, zeros))
                elif isinstance(content, list):
                    options.append((False, content))
                    if self.bit_errors:
                        options.append((True, zeros))
        self.compared += len(words)
        if (error, words) not in options:
            self.differences.append(
                f"{what}: {_told(error, words)}, not {' or '.join(_told(*o) for o in options)}"
            )

    # Answers.

    def _difference(self, what: object, expected: object, got: object) -> None:
        self.differences.append(f"{what}: expected {expected}, got {got}")

    def _expect(self, command: Command, answers: Iterable[Answer]) -> bool:
        if (command.status, command.info) in answers:
            return True
        self._difference(
            command,
            "status " + " or ".join(f"{s}/{i}" for s, i in answers),
            f"{command.status}/{command.info} in cycle {command.answered[0]}",
        )
        return False

    def _zeros(self, command: Command) -> None:
        if any(command.answer):
            self._difference(command, "zeros beside an error", "data")

    def _words(self, command: Command, options: list[list[int]]) -> None:
        self.compared += len(command.answer)
        if command.answer not in options:
            for beat, word in enumerate(command.answer):
                if all(word != option[beat] for option in options):
                    expected = " or ".join({f"{option[beat]:#x}" for option in options})
                    self._difference(
                        command,
                        f"beat {beat} {expected}",
                        f"{word:#x} in cycle {command.answered[beat]}",
                    )
                    return
            self._difference(command, "one version of its data", "a mixture")

    def _admin(self, command: Command) -> admin_model.Command:
        return admin_model.Command(
            command.write,
            command.address,
            command.user,
            command.length + 1,
            tuple(command.data),
        )

    # Scratchpad.

    def _scratch_write(self, command: Command) -> None:
        beats = command.length + 1
        torn = len(command.data) != beats
        self._expect(command, [(W.INVALID_USER.value if torn else 0, 0)])
        first = command.address // self.flash.beat_bytes
        for beat, (word, cycle) in enumerate(zip(command.data, command.arrived, strict=True)):
            if beat < beats:
                history = self._scratch.setdefault(first + beat, [])
                history.append((command.accepted, cycle, word))

    def _scratch_read(self, command: Command) -> None:
        """A beat is what the writes before it left, or what a later one brought before its answer.

        The host has to wait for the answer before it overwrites what it reads.
        """
        self._expect(command, [(0, 0)])
        first = command.address // self.flash.beat_bytes
        for beat, (word, cycle) in enumerate(zip(command.answer, command.answered, strict=True)):
            history = self._scratch.get(first + beat, [])
            before = [entry for entry in history if entry[0] < command.accepted]
            after = [e for e in history if e[0] >= command.accepted and e[1] <= cycle]
            if not before:
                continue
            permitted = {before[-1][2], *(entry[2] for entry in after)}
            self.compared += 1
            if word not in permitted:
                self._difference(command, f"beat {beat} {before[-1][2]:#x}", f"{word:#x}")

    # Reads.

    def _read(self, command: Command) -> None:
        low, high = command.accepted + 1, command.settled
        page, first = self.writes.place(command)
        count = command.length + 1
        name = self.writes.name(page)
        statuses: set[Answer] = set()
        words: list[list[int]] = []
        retired, maybe_retired = self.contents.retired(*name, low, high)
        if retired or maybe_retired:
            statuses.add((R.INVALID_ADDRESS.value, 0))
            statuses |= self.contents.channel_told()
        certain = retired
        for unit in () if retired else self.writes.page_units.get(page, ()):
            if unit.accepted >= command.accepted or unit.ended + EARLY < low:
                continue
            certain = certain or unit.ended - EARLY > high
            cycles = [unit.arrived.get(first + beat, (NEVER, 0)) for beat in range(count)]
            last = max(cycle for cycle, _ in cycles)
            if last >= low:
                statuses.add((R.PENDING_WRITE.value, 0))
            if last < high:
                statuses.add((0, 0))
                words.append([word for _, word in cycles])
        if not certain:
            self._permit_flash(page, first, count, low, high, statuses, words)
        if not self._expect(command, statuses):
            return
        if command.status in (0, R.CORRECTED.value):
            if words or self.flash.ecc is not None:
                self._words(command, words)
        else:
            self._zeros(command)

    def _permit_flash(self, page, first, count, low, high, statuses, words) -> None:
        """What the dies may bring."""
        ecc = self.flash.ecc
        for content in self.contents.permitted(page, low, high):
            if content is RETIRED:
                continue
            unreadable = self.bit_errors
            if content is ERASED:
                if ecc is None:
                    statuses.add((0, 0))
                    words.append([(1 << 8 * self.flash.beat_bytes) - 1] * count)
                else:
                    statuses.add((R.ERASED.value, 0))
            elif content is LOST:
                unreadable = True
                if ecc is None:
                    statuses.add((0, 0))
                    words.clear()
                    return
            elif isinstance(content, list):
                statuses.add((0, 0))
                words.append(content[first : first + count])
                if (self.bit_errors or self.many_reads) and ecc is not None:
                    statuses |= {(R.CORRECTED.value, 1), (R.CORRECTED.value, 2)}
            if unreadable and ecc is not None:
                statuses |= {(R.UNCORRECTABLE.value, info) for info in (1, 2)}
                statuses |= {(R.RETRY.value, stage) for stage in range(1, ecc.retry_stages + 1)}


def _told(error: bool, words: list[int]) -> str:
    return "an error" if error else f"{words[0]:#x}, ..."
