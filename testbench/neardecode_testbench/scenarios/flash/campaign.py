"""A campaign of faults: each kind many times, each time corrected or reported, never hidden.

A trial starts from reset with erased dies, writes pages, lets one thing go wrong, and reads back.
Whatever comes with a good status is compared with what was written.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from neardecode.config import Config
from neardecode.flash.admin.logs import ErrorEntry
from neardecode.flash.status import Opcode, PacketType, ReadStatus, Retired, WriteStatus
from neardecode_testbench.devices.controller_bench import ControllerBench
from neardecode_testbench.drive.backends import Backend, simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Step
from neardecode_testbench.scenarios.flash.host_port import Answered, HostPort, Issued

__all__ = ["KINDS", "Trial", "TrialResult", "run_trial"]

CERTAIN = 0xFFFF
CANDIDATES_RATE = 1 << 20
BUCR, TTTEMP = 0x14, 0x150
ERROR_LOG = Opcode.GET_LOG_PAGE.value | 1 << 8
RETRY_MODE, RETRY_STAGES = 0, 3
"""Features."""
WARM_RESET = 0x484246 << 8 | 2
COOL, HOT = 100, 245
"""Half degrees above 0 C: 50 C, and 122.5 C."""
SEVERE_AT_100 = 1 << 23 | 80 << 16 | 60 << 8 | 50
"""``TTTEMP``: severe throttling, without light, above 100 C."""


@dataclass
class TrialResult:
    """What came of a trial.

    Attributes:
        injected: Whether anything went wrong at all.
        outcomes: How often what came of it.
        wrong: What the specification does not permit, a line each.
    """

    injected: bool = False
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass
class Trial:
    """One fault of a kind.

    Attributes:
        config: A configuration with ``ecc``, ``repair`` and ``host``.
        kind: One of `KINDS`.
        seed: Of all that is left to chance.
    """

    config: Config
    kind: str
    seed: int

    def __call__(self, step: Step) -> TrialResult:
        """Runs it."""
        return _Trial(self, step).run()


class _Trial:
    def __init__(self, trial: Trial, step: Step):
        flash = trial.config.flash
        self.draw = random.Random(f"{trial.kind} {trial.seed}")
        self.port = HostPort(flash, step, {"temperature": COOL})
        self.flash = flash
        self.host = self.port.host
        self.kind = trial.kind
        self.result = TrialResult()
        self.written: dict[int, tuple[int, ...]] = {}

    def run(self) -> TrialResult:
        KINDS[self.kind](self)
        if self.port.sample("violated"):
            self.wrong("the dies were used against their rules")
        return self.result

    def wrong(self, text: str) -> None:
        self.result.wrong.append(f"{self.kind}: {text}")

    def came(self, what: str) -> None:
        self.result.outcomes[what] += 1

    def page(self, bank: int, block: int, number: int) -> int:
        """The address of a page, by its bank, its block in it and its number in that."""
        return (block * self.host.pages_a_block + number) * self.flash.banks + bank

    def words(self) -> tuple[int, ...]:
        bits = 8 * self.flash.beat_bytes
        return tuple(self.draw.getrandbits(bits) for _ in range(self.flash.page_beats))

    def write(self, page: int) -> Answered:
        """Writes a page; it counts as written if the answer says so."""
        words = self.words()
        answer = self.port.write(page, words)
        self.written.pop(page, None)
        if answer.status == WriteStatus.OK.value:
            self.written[page] = words
        return answer

    def write_well(self, pages: list[int]) -> None:
        for page in pages:
            answer = self.write(page)
            if answer.status:
                self.wrong(f"page {page}: write status {answer.status}, nothing was injected")

    def expect(self, what: str, answer: Answered, status: int, info: int = 0) -> None:
        if (answer.status, answer.info) != (status, info):
            self.wrong(
                f"{what}: status {answer.status} info {answer.info}, not {status} info {info}"
            )

    def read_back(self, permitted: set[int]) -> None:
        """Reads every page that was written: right where the status is good."""
        good = {ReadStatus.OK.value, ReadStatus.CORRECTED.value}
        for page, words in self.written.items():
            answer = self.port.read(page)
            if answer.status in good:
                if answer.words != words:
                    self.wrong(f"page {page}: wrong data with status {answer.status}")
                self.came("read right")
            else:
                if any(answer.words):
                    self.wrong(f"page {page}: data with status {answer.status}")
                self.came(f"reported as read status {answer.status}")
            if answer.status not in permitted | good:
                self.wrong(f"page {page}: read status {answer.status}")

    def check_log(self, status: int, command: Issued) -> None:
        """Looks for a refusal at the top of the error log; only flash has one there."""
        if command.user & 3 != PacketType.FLASH.value:
            return
        read = Issued(ERROR_LOG, user=PacketType.ADMIN.value)
        entry = ErrorEntry(self.flash)
        bits = self.port.play([read])[0][0].words[0]
        logged = {str(name): bits >> place.offset & (1 << place.width) - 1 for name, place in entry}
        page = command.address // self.flash.page_bytes % self.flash.pages
        if (logged["status"], logged["address"]) != (status, page):
            self.wrong(f"the error log tells of {logged}, not of status {status} at page {page}")

    # The kinds.

    def bit_errors(self, low: float, high: float, permitted: set[int]) -> None:
        assert self.flash.ecc is not None
        self.port.enable()
        bank = self.draw.randrange(self.flash.banks)
        self.write_well([self.page(bank, 0, number) for number in range(4)])
        beats = self.flash.ecc.codeword_bytes // self.flash.beat_bytes
        mean = self.draw.uniform(low, high) * self.flash.ecc.correctable
        rate = int(mean * CANDIDATES_RATE / (4 * beats))
        self.port.levels["faults__error_rate"] = min(rate, CANDIDATES_RATE - 1)
        self.result.injected = rate > 0
        self.read_back(permitted)

    def correctable(self) -> None:
        self.bit_errors(0.05, 0.5, {ReadStatus.UNCORRECTABLE.value})

    def uncorrectable(self) -> None:
        """Too many errors for the code: retried by the controller, by the host, or reported."""
        self.port.enable()
        bank = self.draw.randrange(self.flash.banks)
        pages = [self.page(bank, 0, number) for number in range(3)]
        self.write_well(pages)
        self.port.levels["faults__error_rate"] = CANDIDATES_RATE - 1
        self.result.injected = True
        way = self.draw.randrange(3)
        if way == 0:
            self.read_back({ReadStatus.UNCORRECTABLE.value})
        elif way == 1:
            self.expect("a feature", self.port.feature(RETRY_STAGES, 0), 0)
            for page in pages:
                answer = self.port.read(page)
                self.expect("a read", answer, ReadStatus.UNCORRECTABLE.value, 2)
                self.came("reported as read status 4")
        else:
            self.expect("a feature", self.port.feature(RETRY_MODE, 1), 0)
            for page in pages:
                self.retry(page)

    def retry(self, page: int) -> None:
        """Reads a page as the host that drives the retries."""
        stage = 0
        while True:
            answer = self.port.read(page, user=stage << 6)
            if answer.status != ReadStatus.RETRY.value:
                break
            if answer.info != stage + 1:
                self.wrong(f"retry stage {answer.info} is asked for after stage {stage}")
                return
            self.came("reported as read status 6")
            stage = answer.info
        if answer.status == ReadStatus.UNCORRECTABLE.value:
            self.came("reported as read status 4")
        elif answer.words != self.written[page]:
            self.wrong(f"page {page}: wrong data with status {answer.status} at stage {stage}")
        else:
            self.came("read right")

    def program_failure(self) -> None:
        self.port.enable()
        bank, block = self.draw.randrange(self.flash.banks), self.draw.randrange(4)
        number = self.draw.randrange(4)
        self.write_well([self.page(bank, block, before) for before in range(number)])
        self.port.levels["faults__program_failures"] = CERTAIN
        answer = self.write(self.page(bank, block, number))
        self.result.injected = True
        self.expect("the program that failed", answer, WriteStatus.PROGRAM_FAILED.value)
        self.came("reported as write status 7")
        self.port.levels["faults__program_failures"] = 0
        after = self.write(self.page(bank, block, number + 1))
        self.expect("the page after it", after, WriteStatus.ORDER.value, 2)
        self.written.clear()
        self.write_well([self.page(bank, block, again) for again in range(number + 2)])
        self.read_back(set())
        self.came("replayed")

    def bad_block(self) -> None:
        """Erases fail until the bank has no spare left, and the block is retired."""
        self.port.enable()
        bank = self.draw.randrange(self.flash.banks)
        others = [self.page((bank + 1) % self.flash.banks, 0, n) for n in range(2)]
        self.write_well(others)
        failing = self.draw.randrange(2)
        self.result.injected = True
        if failing:
            self.port.levels["faults__erase_failures"] = CERTAIN
            answer = self.write(self.page(bank, 0, 0))
            self.expect("the last erase", answer, WriteStatus.RETIRED.value, Retired.BLOCK.value)
            self.came("reported as write status 8")
            self.port.levels["faults__erase_failures"] = 0
            for answer in (
                self.write(self.page(bank, 0, 0)),
                self.port.read(self.page(bank, 0, 0)),
            ):
                self.expect("a command to what was retired", answer, 1)
        else:
            # One erase in two fails: spares take the place.
            self.port.levels["faults__erase_failures"] = CERTAIN // 2
            answer = self.write(self.page(bank, 0, 0))
            self.port.levels["faults__erase_failures"] = 0
            if answer.status == WriteStatus.OK.value:
                self.came("replaced or erased")
            else:
                self.expect("the write", answer, WriteStatus.RETIRED.value, Retired.BLOCK.value)
                self.came("reported as write status 8")
        self.read_back(set())

    def stuck_lanes(self) -> None:
        repair = self.flash.repair
        assert repair is not None
        size = self.flash.lanes // repair.groups
        groups = self.draw.sample(range(repair.groups), self.draw.randrange(1, repair.groups + 1))
        too_many = self.draw.random() < 0.3
        stuck = 0
        for index, group in enumerate(groups):
            count = repair.spares + (1 if too_many and index == 0 else 0)
            for lane in self.draw.sample(range(size), count):
                stuck |= 1 << (group * size + lane)
        self.port.levels |= {
            "faults__stuck": stuck,
            "faults__stuck_value": self.draw.getrandbits(self.flash.lanes) & stuck,
        }
        self.result.injected = True
        self.port.enable()
        page = self.page(self.draw.randrange(self.flash.banks), 0, 0)
        if too_many:
            first, second = self.write(page), self.port.read(page)
            channel = Retired.CHANNEL.value
            self.expect("the first command", first, WriteStatus.RETIRED.value, channel)
            self.expect("the second command", second, ReadStatus.INVALID_ADDRESS.value)
            self.came("reported as write status 8")
            return
        self.write_well([page, page + self.flash.banks])
        self.read_back(set())
        self.came("led around")

    def heat(self) -> None:
        self.port.enable()
        self.expect("TTTEMP", self.port.register(TTTEMP, SEVERE_AT_100), 0)
        bank = self.draw.randrange(self.flash.banks)
        self.write_well([self.page(bank, 0, 0)])
        # Whole pages wait for the bank as it gets hot, or half of one is left gathering.
        whole = self.draw.randrange(3)
        pages = [self.page(bank, 0, 1 + number) for number in range(whole + 1)]
        half = self.flash.page_beats // 2
        words = [self.words() for _ in pages]
        words[-1] = words[-1][:half]
        self.result.injected = True
        writes = [self.port.page_write(*each) for each in zip(pages, words, strict=True)]
        _, answers = self.port.play_hot(writes, HOT)
        programmed = 0
        while programmed < whole and answers[programmed].status == WriteStatus.OK.value:
            self.written[pages[programmed]] = words[programmed]
            programmed += 1
        for answer in answers[programmed:]:
            self.expect("a page as it got hot", answer, WriteStatus.BLOCKED.value, 1)
            self.came("reported as write status 9")
        if not self.port.sample("cattrip"):
            self.wrong("CATTRIP is low while it is hot")
        self.port.levels["temperature"] = COOL
        self.port.wait(10)
        if self.port.sample("cattrip"):
            self.wrong("CATTRIP is high while it is cool")
        self.write_well(pages[programmed:])
        self.read_back(set())

    def reset(self) -> None:
        self.port.enable()
        bank = self.draw.randrange(self.flash.banks)
        self.write_well([self.page(bank, 0, number) for number in range(2)])
        self.result.injected = True
        self.expect("the reset", self.port.register(BUCR, WARM_RESET), 0)
        self.port.wait(50)
        page = self.page(bank, 0, 0)
        self.expect("a read after it", self.port.read(page), ReadStatus.NOT_ENABLED.value)
        self.came("reported as read status 13")
        self.port.enable()
        self.write_well([self.page(bank, 0, 2)])
        self.read_back(set())

    def malformed(self) -> None:
        self.port.enable()
        bank = self.draw.randrange(self.flash.banks)
        self.write_well([self.page(bank, 0, number) for number in range(2)])
        before = self.port.memory.copy()
        flash = self.flash
        end = flash.pages * flash.page_bytes
        page = self.page(bank, 0, 0) * flash.page_bytes
        invalid, user = ReadStatus.INVALID_ADDRESS.value, ReadStatus.INVALID_USER.value
        commands = {
            "a reserved type": (Issued(page, user=PacketType.RESERVED.value), user),
            "reserved user bits": (Issued(page, user=1 << self.draw.randrange(3, 6)), user),
            "an address between beats": (Issued(page + self.draw.randrange(1, 64)), user),
            "a burst over the page's end": (
                Issued(page + flash.page_bytes - flash.beat_bytes, 2),
                user,
            ),
            "an address beyond the capacity": (
                Issued(end + self.draw.randrange(1000) * flash.beat_bytes),
                invalid,
            ),
        }
        name, (command, status) = self.draw.choice(list(commands.items()))
        self.result.injected = True
        if self.draw.random() < 0.5:
            answer = self.port.play([command])[0][0]
        else:
            payload = self.words()[: command.beats]
            answer = self.port.play(
                (), [Issued(command.address, payload=payload, user=command.user)]
            )[1][0]
        self.expect(name, answer, status)
        self.came(f"refused with status {status}")
        self.check_log(status, command)
        if (self.port.memory != before).any():
            self.wrong(f"{name} changed the contents of the dies")
        self.write_well([self.page(bank, 0, 2)])
        self.read_back(set())


KINDS: dict[str, Callable[[_Trial], None]] = {
    "bit errors": _Trial.correctable,
    "bit errors beyond the code": _Trial.uncorrectable,
    "program failures": _Trial.program_failure,
    "bad blocks": _Trial.bad_block,
    "stuck lanes": _Trial.stuck_lanes,
    "heat": _Trial.heat,
    "resets": _Trial.reset,
    "malformed commands": _Trial.malformed,
}
"""What goes wrong, by its name."""


def run_trial(trial: Trial, backend: Backend = "native") -> TrialResult:
    """Runs a trial on a channel whose dies can fail."""
    return simulate(Design(ControllerBench, (trial.config, True)), trial, backend)
