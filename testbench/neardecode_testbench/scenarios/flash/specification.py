"""What every command of a channel must bring: a model written from the specification.

Source: OCP HBF v0.7.0, sections 5.2 to 5.6 and 11.5; what it leaves to the product, from the
contracts of the controller's parts.

It is told the commands of a round in the order of their acceptance, with all that was seen at the
ports, and says of each whether its answer was the right one. Where the moment of an event inside
decides (a time limit, the end of a program, a buffer let go), the event lies in a window, from what
caused it to what shows that it was over, and a command that falls into the window may be answered
as before it or as after it. Outside of these windows there is one right answer.
"""

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations

from neardecode.config import Config
from neardecode.flash.status import AdminStatus, ReadStatus, WriteStatus
from neardecode_testbench.scenarios.blocks import admin_model
from neardecode_testbench.scenarios.flash.contents import CHANNEL, ERASED, LOST, RETIRED, Contents
from neardecode_testbench.scenarios.flash.logged import Logged
from neardecode_testbench.scenarios.flash.traffic import (
    ADMIN,
    FLASH,
    RESERVED,
    SCRATCHPAD,
    Command,
    PageState,
)
from neardecode_testbench.scenarios.flash.units import NEVER, SLACK, Timing, Unit

__all__ = ["Specification", "refusal"]

Answer = tuple[int, int]
Name = tuple[int, int]
"""Bank and number of a block."""
SlicePage = tuple[int, int, int, list[int], bool]
"""A page, the cycles in which it was asked for and came, its words, and whether it is an error."""
W, R = WriteStatus, ReadStatus
LONGEST_ADMIN = 64
"""Beats of the longest admin command."""
MOST_ASSUMPTIONS = 400
BLOCKS_BEFORE_BANK = 4
"""Retired blocks of a bank beyond which the bank is retired."""


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


class _Block:
    def __init__(self) -> None:
        self.next_page = 0
        self.failed = False
        self.units: list[Unit] = []


class Specification:
    """The model.

    Args:
        config: The configuration, with ``flash.host``.
        timing: Its times in cycles.

    Attributes:
        enabled: Commands are accepted.
        bit_errors: Bits may flip on their way out of the dies.
        many_reads: Blocks may have been read too often.
        failures: Programs and erases may fail.
        differences: What was not as it should be, one line each.
        compared: Words of data that were compared.
    """

    def __init__(self, config: Config, timing: Timing):
        flash = config.flash
        assert flash.host is not None
        self.config, self.flash, self.host = config, flash, flash.host
        self.timing = timing
        self.enabled = False
        self.bit_errors = False
        self.failures = False
        self.differences: list[str] = []
        self.many_reads = False
        self.compared = 0
        self._slices: list[SlicePage] = []
        self.contents = Contents(flash)
        self.halts: list[tuple[int, int]] = []
        self.around = admin_model.Surroundings()
        self.admin = admin_model.AdminModel(flash, config.clock_ghz, self.around)
        self._logged = Logged(flash)
        self._blocks: dict[Name, _Block] = defaultdict(_Block)
        self._units: list[Unit] = []
        self._refused_first = False
        self._old: list[Unit] = []
        self._retiring: list[Unit] = []
        self._unsure: list[tuple[int, int]] = []
        self._reads: dict[tuple[int, int], list[Command]] = {}
        self._page_units: dict[tuple[int, int], list[Unit]] = {}
        self._scratch: dict[int, list[tuple[int, int, int]]] = {}
        self._assumed: list[int] = []
        self._made: list[int] = []
        self._everything = (1 << flash.page_beats) - 1

    def blocks(self) -> dict[Name, PageState]:
        """Every block as it stands while no command is open."""
        states = {}
        for bank in range(self.flash.banks):
            for number in range(self.flash.blocks_a_bank):
                block = self._blocks[bank, number]
                retired = self.contents.is_retired(bank, number)
                states[bank, number] = PageState(block.next_page, block.failed, retired)
        return states

    def round(self, commands: list[Command], slices: list[SlicePage]) -> None:
        """Checks a round, in which everything was answered.

        Args:
            commands: The host's, in the order of acceptance.
            slices: The slice's pages.
        """
        self._slices = slices
        self._reads, self._page_units = defaultdict(list), defaultdict(list)
        for command, following in zip(commands, [*commands[1:], None], strict=True):
            command.settled = command.answered[0]
            if following is not None:
                command.settled = min(command.settled, following.accepted)
            if command.kind == FLASH and not command.write:
                self._reads[self.place(command)[0]].append(command)
        self._logged.round(commands)
        self._simple(commands)
        self._search(commands)
        self._slices = []
        self.contents.settle()
        for beat, history in self._scratch.items():
            self._scratch[beat] = history[-1:]

    def _search(self, commands: list[Command]) -> None:
        """Looks for moments of the events inside, each in its window, that explain everything.

        First the likeliest are assumed; then one after another is assumed otherwise, and kept so
        where that explains more. What is left unexplained is a difference.
        """
        before = len(self.differences)
        saved = self._saved()

        def unexplained(choices: list[int]) -> int:
            self._restore(saved, before)
            self._assumed, self._made = choices, []
            self._flash(commands)
            return len(self.differences) - before

        # Where a write may have joined a page or have been refused beside it, all of them once
        # the one way and once the other: they mostly share their reason.
        for self._refused_first in (False, True):
            choices: list[int] = []
            least = unexplained(choices)
            tries, better = 0, True
            while least and better and tries < MOST_ASSUMPTIONS:
                better = False
                made = list(self._made)
                for place, count in enumerate(made):
                    for value in range(count):
                        given = (choices + [0] * len(made))[: len(made)]
                        if value == given[place] or tries >= MOST_ASSUMPTIONS:
                            continue
                        given[place] = value
                        tries += 1
                        rest = unexplained(given)
                        if rest < least:
                            choices, least, better = given, rest, True
                            break
                    if better:
                        break
                if not better:
                    unexplained(choices)
            if not least:
                return

    def _saved(self) -> tuple:
        blocks = {name: (b.next_page, b.failed) for name, b in self._blocks.items()}
        return blocks, self.contents.saved(), self.compared

    def _restore(self, saved: tuple, before: int) -> None:
        blocks, contents, self.compared = saved
        del self.differences[before:]
        self._blocks.clear()
        for name, (next_page, failed) in blocks.items():
            block = self._blocks[name]
            block.next_page, block.failed = next_page, failed
        self.contents.restore(contents)
        self._units, self._old, self._retiring, self._unsure = [], [], [], []
        self._page_units = defaultdict(list)

    def _choice(self, count: int) -> int:
        """Which of some ways in which a command may have met an event is assumed."""
        if count < 2:
            return 0
        place = len(self._made)
        self._made.append(count)
        assumed = self._assumed[place] if place < len(self._assumed) else 0
        # An earlier choice that is made otherwise can leave fewer ways here.
        return assumed if assumed < count else 0

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

    def _flash(self, commands: list[Command]) -> None:
        """Checks the writes, then what the reads found."""
        reads = []
        for command in commands:
            if command.kind == FLASH and not refusal(self.config, command, self.enabled):
                if command.write:
                    self._write(command)
                else:
                    reads.append(command)
        self._finish()
        for command in reads:
            self._read(command)
        for page in self._slices:
            self.slice_page(*page)

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

    def place(self, command: Command) -> tuple[tuple[int, int], int]:
        """The page (bank, row) and the first beat of a command for flash."""
        page, first = divmod(command.address // self.flash.beat_bytes, self.flash.page_beats)
        row, bank = divmod(page, self.flash.banks)
        return (bank, row), first

    # Answers.

    def _difference(self, command: Command, expected: object, got: object) -> None:
        self.differences.append(f"{command}: expected {expected}, got {got}")

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

    # Writes.

    def _window(self, unit: Unit) -> tuple[int, int]:
        return unit.window(self.timing, self.halts)

    def _block(self, page: tuple[int, int]) -> tuple[Name, _Block, int]:
        number, place = divmod(page[1], self.host.pages_a_block)
        name = page[0], number
        return name, self._blocks[name], place

    def _settle_before(self, cycle: int) -> None:
        """Ends that certainly lie before a cycle."""
        ended = [(self._window(unit)[1], -unit.place, unit) for unit in self._units]
        for _, _, unit in sorted((e for e in ended if e[0] < cycle), key=lambda e: e[:2]):
            self._apply(unit)

    def _apply(self, unit: Unit) -> None:
        if unit.applied:
            return
        unit.applied = True
        self._units.remove(unit)
        self._old.append(unit)
        if unit.fate is not None and unit.fate[0] == 8:
            self._retiring.append(unit)
        _, block, _ = self._block(unit.page)
        block.units.remove(unit)
        if unit.root is not None:
            return
        self._change(block, unit)
        if unit.fate is None or unit.fate[0] in (0, 6):
            return
        # A unit of nothing but torn writes has nobody to tell that it ended with this one.
        low = self._window(unit)[0]
        for other in list(block.units):
            if other.fate is None and other.place > unit.place and other.last < low:
                other.root = unit
                self._apply(other)

    @staticmethod
    def _change(block: _Block, unit: Unit) -> None:
        """What the end of a unit changes in its block."""
        status = 5 if unit.fate is None else unit.fate[0]
        if status in (5, 9):
            # A halt ends several pages of a block, and the last one answered need not be the first.
            block.next_page = min(block.next_page, unit.place)
        elif status in (7, 8):
            block.next_page, block.failed = 0, True

    def _write(self, command: Command) -> None:
        low, high = command.accepted + 1, command.settled
        page, first = self.place(command)
        self._settle_before(low)
        name, block, place = self._block(page)
        wanted = (1 << command.length + 1) - 1 << first
        seen = command.status, command.info
        torn = len(command.data) != command.length + 1

        retired, maybe_retired = self.contents.retired(*name, low, high)
        permitted: set[Answer] = set(self.contents.channel_told()) if retired else set()
        for unit in (*self._units, *self._retiring):
            if unit.fate is not None and unit.fate[0] == 8 and self._covers(unit, name):
                start, end = self._window(unit)
                retired |= end < low
                maybe_retired |= start <= high
                if unit.fate[1] == CHANNEL and start <= high:
                    permitted.add(unit.fate)
        if retired or maybe_retired:
            permitted.add((W.INVALID_ADDRESS.value, 0))
            if seen == (W.INVALID_ADDRESS.value, 0):
                return
        if retired:
            self._expect(command, permitted)
            return

        used, maybe_used = self._used(low, high)
        events = {unit.root or unit for unit in block.units}
        events = [unit for unit in events if self._window(unit)[0] <= high]
        actions = []
        for count in range(len(events) + 1):
            for over in combinations(events, count):
                action = self._fate(block, page, place, wanted, over)
                if isinstance(action, tuple) and action[0] == W.OVERLAP.value and action[1] == 1:
                    permitted.add((W.OVERLAP.value, 0))
                    continue
                if isinstance(action, Unit):
                    actions.append((over, action))
                    continue
                if maybe_used >= self.host.units:
                    permitted.add((W.TOO_MANY_UNITS.value, 0))
                if used >= self.host.units:
                    continue
                if action is None:
                    actions.append((over, None))
                else:
                    permitted.add(action)
        if any(unit.fate is not None and unit.fate[0] == 8 for unit in events):
            permitted.add((W.ORDER.value, 2))
        ways: list[tuple[tuple[Unit, ...], Unit | None, Unit | None] | None] = []
        if seen in permitted:
            ways.append(None)
        for over, unit in actions:
            possible, root = self._possible(seen, block, place, unit, over, torn)
            if possible:
                ways.append((over, unit, root))
        if ways:
            if self._refused_first:
                ways.sort(key=lambda way: way is not None)
            else:
                ways.sort(key=lambda way: self._is_unlikely(command, way))
            way = ways[self._choice(len(ways))]
            if way is None:
                if actions:
                    self._unsure.append((low, command.answered[0]))
            else:
                self._join(command, way, page, place, wanted, torn)
            return
        told = [f"{s}/{i}" for s, i in sorted(permitted)]
        told += ["its unit's" if unit else "a new unit's" for _, unit in actions]
        self._difference(
            command, " or ".join(told), f"{seen[0]}/{seen[1]} in cycle {command.answered[0]}"
        )

    def _fate(
        self,
        block: _Block,
        page: tuple[int, int],
        place: int,
        wanted: int,
        over: tuple[Unit, ...],
    ) -> Answer | Unit | None:
        """How a command is refused, the unit that it joins, or None for a new one.

        Overlap with a unit is told as 2/1, since it comes before the limit of units.
        """
        live = [unit for unit in block.units if (unit.root or unit) not in over]
        for unit in live:
            if unit.page == page:
                return (W.OVERLAP.value, 1) if unit.promised & wanted else unit
        state = _Block()
        state.next_page, state.failed = block.next_page, block.failed
        for unit in sorted(over, key=lambda unit: -unit.place):
            self._change(state, unit)
        if place == 0:
            return (W.ORDER.value, 1) if live else None
        if state.failed:
            return W.ORDER.value, 2
        if place == state.next_page:
            return None
        return (W.OVERLAP.value, 0) if place < state.next_page else (W.ORDER.value, 1)

    def _is_unlikely(self, command: Command, way: tuple | None) -> bool:
        """Whether an answer came too late for a refusal, or for a unit that had ended."""
        if way is None:
            due = max(command.settled, command.arrived[-1]) + SLACK
            if command.info == CHANNEL:
                return True
            return command.status == W.ORDER.value and command.answered[0] > due
        if command.status != W.TIMEOUT.value or way[1] is None:
            return False
        due = max(self._window(way[1])[1], command.arrived[-1]) + SLACK
        return command.answered[0] > max(due, command.accepted + self.timing.gather)

    def _possible(
        self,
        seen: Answer,
        block: _Block,
        place: int,
        unit: Unit | None,
        over: tuple[Unit, ...],
        torn: bool,
    ) -> tuple[bool, Unit | None]:
        """Whether a command with that answer may join a unit, or open one; and whose end is its."""
        if torn:
            return seen == (W.INVALID_USER.value, 0), None
        if unit is not None and unit.fate is not None:
            return unit.fate == seen, None
        if unit is None:
            if seen[0] not in (0, 5, 6, 7, 8, 9) or (seen[0] == 7 and not self.failures):
                return False, None
            if seen[0] == 8 and not (self.failures or self.contents.some_retired):
                return False, None
        if seen[0] == W.ORDER.value:
            causes = (7, 8) if seen[1] == 2 else (5, 9)
            for other in sorted(block.units, key=lambda unit: unit.place):
                cause = other.root or other
                fails = cause.fate is None or cause.fate[0] in causes
                if other.place < place and cause not in over and fails:
                    return True, cause
            return False, None
        return True, None

    def _join(
        self,
        command: Command,
        way: tuple[tuple[Unit, ...], Unit | None, Unit | None],
        page: tuple[int, int],
        place: int,
        wanted: int,
        torn: bool,
    ) -> None:
        """Lets a command join or open a unit."""
        over, unit, root = way
        low, high = command.accepted + 1, command.settled
        block = self._block(page)[1]
        for other in over:
            other.cap = min(other.cap, high)
            for ended in [u for u in block.units if (u.root or u) is other]:
                self._apply(ended)
        if unit is None:
            unit = Unit(page, place, command.accepted, low, high, self.flash.page_beats)
            self._units.append(unit)
            block.units.append(unit)
            self._page_units[page].append(unit)
            block.next_page, block.failed = place + 1, False
        if root is not None and root is not unit:
            unit.root = root
        cause = unit.root or unit
        cause.floor = max(cause.floor, low)
        unit.promised |= wanted
        (unit.torn if torn else unit.commands).append(command)
        first = wanted.bit_length() - command.length - 1
        sound = len(command.data)
        if torn:
            sound = min(sound, command.length + 1) - 1
        for beat in range(sound):
            unit.arrived[first + beat] = command.arrived[beat], command.data[beat]

    def _covers(self, unit: Unit, name: Name) -> bool:
        """Whether what a unit's end retired is also a block."""
        assert unit.fate is not None
        own = self._block(unit.page)[0]
        return self.contents.covers(own, unit.fate[1], name)

    def _used(self, low: int, high: int) -> tuple[int, int]:
        """Units that are certainly, and that may be in use."""
        used = maybe = 0
        kept = []
        for unit in (*self._units, *self._old):
            start, end = self._window(unit)
            last_read = max(
                (
                    r.answered[-1]
                    for r in self._reads[unit.page]
                    if unit.accepted < r.accepted <= end
                ),
                default=-1,
            )
            if unit.freed(end, last_read) < low:
                continue
            maybe += 1
            used += start >= high
            if unit.applied:
                kept.append(unit)
        self._old = kept
        self._unsure = [unsure for unsure in self._unsure if unsure[1] >= low]
        return used, maybe + len(self._unsure)

    def _finish(self) -> None:
        """Checks the fates of the units of a round, and what they left in the flash."""
        units = [unit for units in self._page_units.values() for unit in units]
        for unit in units:
            self._check(unit)
        self._settle_before(NEVER)
        self._old, self._retiring, self._unsure = [], [], []
        # Pages of a block are programmed in the order in which they were begun.
        for unit in sorted(units, key=lambda unit: unit.accepted):
            self._store(unit)

    def _check(self, unit: Unit) -> None:
        fate, complete, timing = unit.fate, unit.complete, self.timing
        if fate is None:
            return
        command = unit.commands[0]
        low, high = self._window(unit)
        status = fate[0]
        if low > high:
            self._difference(
                command, f"its page's end not before cycle {low}", f"{fate} by cycle {high}"
            )
            return
        if status == 5 and complete < unit.first + timing.gather:
            self._difference(command, "no time-out of a complete page", f"complete in {complete}")
        # Whoever is answered for a page that went on had it complete in time, without a halt.
        if status in (0, 7) or (status == 8 and complete != NEVER):
            limits = [unit.last + timing.gather]
            for start, end in self.halts:
                begin = max(start, unit.last)
                if end - begin > SLACK and end > unit.last:
                    limits.append(begin)
            if complete > min(limits) + SLACK:
                self._difference(command, "a time-out or a halt", f"complete in {complete}")
        if unit.root is None and status in (5, 7, 8, 9):
            for other in self._page_units_of_block(unit):
                if other.place > unit.place and other.root is not unit and other.last < low:
                    start, _ = self._window(other)
                    if other.fate is not None and other.root is None and start > high:
                        self._difference(
                            other.commands[0], f"6 after {fate} of page {unit.place}", other.fate
                        )

    def _page_units_of_block(self, unit: Unit) -> list[Unit]:
        name = self._block(unit.page)[0]
        return [
            other
            for page, units in self._page_units.items()
            if self._block(page)[0] == name
            for other in units
        ]

    def _store(self, unit: Unit) -> None:
        """What the flash holds after a unit's end."""
        fate = unit.fate
        if fate is None or unit.root is not None or fate[0] not in (0, 7, 8):
            return
        low, high = self._window(unit)
        name = self._block(unit.page)[0]
        contents = self.contents
        if unit.place == 0:
            if self.failures:
                contents.change_block(name, unit.complete, high, LOST)
            contents.change_block(name, unit.complete, high, ERASED)
        if fate[0] == 0:
            words = [unit.arrived[beat][1] for beat in range(unit.beats)]
            contents.change(unit.page, low, high, words)
        else:
            contents.change(unit.page, unit.complete, high, LOST)
            if fate[0] == 7:
                contents.change_block(name, low, high, ERASED)
            else:
                told = contents.retire(name, fate[1], low, high, BLOCKS_BEFORE_BANK)
                if told is not None:
                    self._difference(unit.commands[0], f"8/{told}", f"8/{fate[1]}")

    # Reads.

    def _read(self, command: Command) -> None:
        low, high = command.accepted + 1, command.settled
        page, first = self.place(command)
        count = command.length + 1
        name = self._block(page)[0]
        statuses: set[Answer] = set()
        words: list[list[int]] = []
        retired, maybe_retired = self.contents.retired(*name, low, high)
        if retired or maybe_retired:
            statuses.add((R.INVALID_ADDRESS.value, 0))
            statuses |= self.contents.channel_told()
        certain = retired
        for unit in () if retired else self._page_units.get(page, ()):
            start, end = self._window(unit)
            if unit.accepted >= command.accepted or end < low:
                continue
            certain = certain or start > high
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
