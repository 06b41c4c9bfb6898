"""Random traffic through a whole controller, for as long as one likes, every answer checked.

An episode starts from reset with erased dies. It goes round by round: some pages are written, many
are read, everything is answered, and the model says whether it was right. In some rounds it gets
too hot in the middle.
"""

import random
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np

from neardecode.config import Config, Ecc, Flash, Host, Repair
from neardecode.flash.axi import ADDRESS_BITS
from neardecode.flash.status import PacketType
from neardecode_testbench.devices.records import RECORD_TYPE, new_records
from neardecode_testbench.devices.write_log import WriteLog
from neardecode_testbench.drive.stimulus import Play, Probe, Sink, Source, Step, Storage
from neardecode_testbench.scenarios.blocks.admin_model import (
    read_register,
    set_feature,
    write_register,
)
from neardecode_testbench.scenarios.blocks.edge import Pacing, Recorder
from neardecode_testbench.scenarios.flash.specification import Specification
from neardecode_testbench.scenarios.flash.traffic import Command, SliceRead, Traffic, TrafficMix
from neardecode_testbench.scenarios.flash.units import SLACK, Timing

__all__ = [
    "STREAMS",
    "VARIANTS",
    "Episode",
    "EpisodeResult",
    "Variant",
    "configuration",
]

STREAMS = (
    *("axi__ar", "axi__aw", "axi__w", "axi__b", "axi__r"),
    *("requests", "beats"),
)
COOL, WARM, HOT = 2 * 60, 2 * 97, 2 * 110
"""Half degrees: normal, light and severe throttling."""
HEAT_CYCLES = 400
BUCC = 0x00C
SHARES = (0.0, 0.1, 0.3, 0.6)
PATTERNS = 12


@dataclass(frozen=True)
class Variant:
    """A channel to soak.

    Attributes:
        config: Its configuration.
        faults: Its dies can fail.
    """

    config: Config
    faults: bool


def configuration(page_beats: int = 8, *, ecc: bool = False) -> Config:
    """A channel of four banks, with short times, so that many pages come and go."""
    host = Host(
        id_bits=3,
        reads=16,
        writes=16,
        units=4,
        pages_a_block=8,
        spare_blocks=2,
        zones=2,
        scratchpad_bytes=4096,
        accumulate_ns=20.0,
        gather_ns=300.0 * page_beats if page_beats > 8 else 880.0,
    )
    flash = Flash(
        dies=2,
        banks_a_die=2,
        page_bytes=64 * page_beats,
        beat_bytes=64,
        pages_a_bank=64,
        sense_ns=50.0,
        program_ns=200.0,
        erase_ns=500.0,
        ecc=Ecc(correctable=10, codeword_bytes=512, engines=2, retry_stages=3) if ecc else None,
        repair=Repair(groups=8, spares=1) if ecc else None,
        host=host,
    )
    return Config(clock_ghz=1.0, flash=flash)


VARIANTS: dict[str, Variant] = {
    "short pages": Variant(configuration(8), False),
    "whole pages": Variant(configuration(64), False),
    "correction": Variant(configuration(8, ecc=True), True),
}


@dataclass
class EpisodeResult:
    """What came of an episode.

    Attributes:
        kinds: Transactions by kind.
        reads, writes: Answers of flash and scratchpad by status, and information where it tells.
        admin: Answers of the admin by status.
        compared: Words that were compared.
        cycles: Cycles.
        differences: What was not as it should be.
    """

    kinds: Counter = field(default_factory=Counter)
    reads: Counter = field(default_factory=Counter)
    writes: Counter = field(default_factory=Counter)
    admin: Counter = field(default_factory=Counter)
    compared: int = 0
    cycles: int = 0
    differences: list[str] = field(default_factory=list)

    def add(self, other: "EpisodeResult") -> None:
        """Adds another episode."""
        for name in ("kinds", "reads", "writes", "admin"):
            getattr(self, name).update(getattr(other, name))
        self.compared += other.compared
        self.cycles += other.cycles
        self.differences += other.differences

    @property
    def transactions(self) -> int:
        """All of them."""
        return sum(self.kinds.values())


@dataclass
class Episode:
    """A scenario: so many transactions from reset on.

    Attributes:
        variant: The channel.
        seed: Of everything.
        transactions: How many at least; the last round is played to its end.
        mix: How often things happen.
        recorder: Watches the streams, where the simulator lets it.
    """

    variant: Variant
    seed: int
    transactions: int
    mix: TrafficMix = field(default_factory=TrafficMix)
    recorder: Recorder = field(default_factory=lambda: Recorder(STREAMS))

    def __call__(self, step: Step) -> EpisodeResult:
        """Plays it.

        Raises:
            StuckError: if a command is not answered.
        """
        return _Run(self, step)()


class _Run:
    """An episode under way."""

    def __init__(self, episode: Episode, step: Step):
        self.episode, self.step = episode, step
        self.variant = episode.variant
        config = self.variant.config
        self.flash = flash = config.flash
        assert flash.host is not None
        self.host = flash.host
        self.random = random.Random(episode.seed)
        self.result = EpisodeResult()
        self.timing = Timing(
            round(self.host.gather_ns * config.clock_ghz),
            config.cycles(flash.program_ns),
            config.cycles(flash.erase_ns),
        )
        self.specification = Specification(config, self.timing)
        self.traffic = Traffic(flash, episode.seed, episode.mix)
        beats = flash.banks * flash.rows * flash.page_beats
        records = new_records(flash, 0)
        self.log = WriteLog()
        self.storages = [
            Storage(
                "storage",
                np.zeros(beats * flash.stored_bytes, np.uint8),
                flash.stored_bytes,
                writable=True,
            ),
            Storage("records", records, RECORD_TYPE.itemsize, writable=True),
            Storage("decisions", self.log.memory, self.log.memory.shape[1], writable=True),
        ]
        self.levels: dict[str, int] = {"temperature": COOL}
        self.cycle = 0
        self.patterns = [
            Pacing(seed=episode.seed * PATTERNS + number, share=SHARES[number % len(SHARES)])
            for number in range(PATTERNS)
        ]
        self._due = {"axi__r": 0, "axi__b": 0, "beats": 0}
        self._sent: list[SliceRead] = []
        self._stalls: dict[tuple[int, str], np.ndarray | None] = {}

    def __call__(self) -> EpisodeResult:
        """Rounds until it is enough."""
        self._faults()
        self._round(*self.traffic.round(self.specification.blocks()))
        self._enable()
        while self.result.transactions < self.episode.transactions:
            reads, writes, slices = self.traffic.round(self.specification.blocks())
            self._round(reads, writes, slices)
            if self.result.differences:
                break
        self.result.compared = self.specification.compared
        self.result.cycles = self.cycle
        return self.result

    # What an episode is like.

    def _faults(self) -> None:
        if not self.variant.faults:
            return
        pick = self.random
        failing = pick.choice((0, 0, 600, 6000))
        rate = pick.choice((0, 0, 20_000, 200_000, 500_000))
        self.levels |= {
            "faults__program_failures": failing,
            "faults__erase_failures": pick.choice((0, failing)),
            "faults__error_rate": rate,
        }
        self.specification.writes.failures = failing > 0
        self.specification.bit_errors = rate > 0

    def _enable(self) -> None:
        """Enables commands, and sets how reads are retried."""
        bucc = self.specification.admin(read_register(True, BUCC)).data[0]
        commands = [write_register(True, BUCC, bucc | 1)]
        if self.flash.ecc is not None:
            commands.append(set_feature(0, self.random.randrange(2)))
            commands.append(set_feature(1, self.random.choice((1, 3, 7))))
            commands.append(set_feature(3, self.random.randint(1, self.flash.ecc.retry_stages)))
            limit = self.random.choice((1_000_000, 20))
            commands.append(set_feature(2, limit))
            self.specification.many_reads = limit == 20
        writes = [Command(True, 0, c.address, 0, c.user, list(c.data)) for c in commands]
        self._round([], writes, [])
        self.specification.enabled = True

    # A round.

    def _pattern(self, stream: str) -> np.ndarray | None:
        number = self.random.randrange(PATTERNS)
        key = number, stream
        if key not in self._stalls:
            pacing = self.patterns[number]
            self._stalls[key] = pacing.stalls(stream) if pacing.share else None
        return self._stalls[key]

    def _round(self, reads: list[Command], writes: list[Command], slices: list[SliceRead]) -> None:
        pick = self.random
        logs: dict[str, tuple[list[int], list[int]]] = {name: ([], []) for name in STREAMS}
        stalls = {stream: self._pattern(stream) for stream in STREAMS}
        hot = bool(self.specification.enabled and writes and pick.random() < 0.08)
        if self.specification.enabled and pick.random() < 0.1:
            self.levels["temperature"] = WARM if self.levels["temperature"] == COOL else COOL
        if hot:
            # Either all reads are answered when it gets hot, or there are so few commands that
            # they are accepted though no answer is taken.
            few = pick.random() < 0.5
            cut_writes = pick.randint(0, min(len(writes), 8) if few else len(writes))
            cut_reads = pick.randint(0, 3 if few else len(reads))
            first = (reads[:cut_reads], writes[:cut_writes], [] if few else slices)
            if few:
                self._play(first, logs, stalls, None, pick.randint(0, 200))
            else:
                self._play(first, logs, stalls, pick.randint(0, 6), 0)
                slices = []
            start = self.cycle
            cool = self.levels["temperature"]
            self.levels["temperature"] = HOT
            self._play(([], [], []), logs, stalls, None, pick.choice((20, HEAT_CYCLES, 2000)))
            self.levels["temperature"] = cool
            # Out of severe throttling the way leads through light throttling to normal.
            self.specification.writes.halts.append((start, self.cycle + 2))
        else:
            cut_reads = cut_writes = 0
        rest = (reads[cut_reads:], writes[cut_writes:], slices)
        # A page of nothing but torn writes is still open when all of them have been answered.
        torn = any(len(write.data) != write.length + 1 for write in writes)
        self._play(rest, logs, stalls, 0, self.timing.gather + SLACK if torn else 20)
        self._check(reads, writes, logs)

    def _play(self, commands, logs, stalls, left: int | None, trailing: int) -> None:
        """Sends commands, and takes answers.

        Args:
            commands: Reads, writes, and the slice's.
            logs: What was seen at each stream, to be added to.
            stalls: Each stream's.
            left: Answers to writes that may be left; None to wait for no answer at all.
            trailing: Cycles to go on.
        """
        reads, writes, slices = commands
        packed = self._packed(reads, writes, slices)
        due = self._due
        due["axi__r"] += sum(read.length + 1 for read in reads)
        due["axi__b"] += len(writes)
        due["beats"] += sum(item.pages for item in slices) * self.flash.page_beats
        counts = dict.fromkeys(due, 0) if left is None else dict(due)
        counts["axi__b"] = max(0, counts["axi__b"] - (left or 0))
        outcome = self.step(
            Play(
                sources=[
                    Source(stream, payloads, stalls[stream])
                    for stream, payloads in packed.items()
                    if payloads
                ],
                sinks=[
                    Sink(stream, count, stalls=stalls[stream]) for stream, count in counts.items()
                ],
                storages=self.storages,
                levels=dict(self.levels),
                limit=400_000,
                trailing=trailing,
            )
        )
        self.cycle = outcome.start + outcome.cycles
        for stream, payloads in packed.items():
            if payloads:
                logs[stream][0].extend(outcome.sources[stream])
        for stream in counts:
            log = outcome.sinks[stream]
            logs[stream][0].extend(log.cycles)
            logs[stream][1].extend(log.payloads)
            due[stream] -= len(log.cycles)
        if left == 0 and any(due.values()):
            self._wrong(f"more answers than commands: {due}")
        self._sent += slices

    def _packed(self, reads, writes, slices) -> dict[str, list[int]]:
        id_bits = self.host.id_bits
        shifts = id_bits, id_bits + ADDRESS_BITS, id_bits + ADDRESS_BITS + 8
        beat_bits = 8 * self.flash.beat_bytes
        last = 1 << beat_bits

        def address(c: Command) -> int:
            return c.id | c.address << shifts[0] | c.length << shifts[1] | c.user << shifts[2]

        words: list[int] = []
        for write in writes:
            words += write.data[:-1]
            words.append(write.data[-1] | last)
        page_bits = (self.flash.pages - 1).bit_length() + 1
        return {
            "axi__ar": [address(read) for read in reads],
            "axi__aw": [address(write) for write in writes],
            "axi__w": words,
            "requests": [
                item.address
                | item.pages << page_bits
                | item.fresh << page_bits + 8
                | item.tag << page_bits + 9
                for item in slices
            ],
        }

    # What came back.

    def _check(self, reads: list[Command], writes: list[Command], logs) -> None:
        specification = self.specification
        before = len(specification.differences)
        for commands, stream in ((reads, "axi__ar"), (writes, "axi__aw")):
            for command, cycle in zip(commands, logs[stream][0], strict=True):
                command.accepted = cycle
        arrivals = iter(logs["axi__w"][0])
        for write in writes:
            write.arrived = [next(arrivals) for _ in write.data]
        complete = self._match_writes(writes, logs["axi__b"])
        complete &= self._match_reads(reads, logs["axi__r"])
        if complete:
            commands = sorted([*reads, *writes], key=attrgetter("accepted"))
            specification.round(commands, list(self._slice_pages(logs)), self.log.read())
            for command in commands:
                self._count(command)
        if self.step(Probe({}, ["violated"])).outputs["violated"]:
            self.result.differences.append(
                f"cycle {self.cycle}: the core dies' bus was used against its rules"
            )
        self.cycle += 1
        self.result.differences += specification.differences[before:]

    def _count(self, command: Command) -> None:
        result, kind = self.result, PacketType(command.kind)
        result.kinds[f"{kind.name.lower()} {'write' if command.write else 'read'}"] += 1
        if kind is PacketType.ADMIN:
            result.admin[str(command.status)] += 1
        else:
            name = f"{command.status}/{command.info}" if command.info else str(command.status)
            (result.writes if command.write else result.reads)[name] += 1

    def _wrong(self, text: str) -> bool:
        self.result.differences.append(text)
        return False

    def _match_writes(self, writes: list[Command], log) -> bool:
        """Gives every write its answer, in order within an id."""
        waiting: dict[int, deque[Command]] = defaultdict(deque)
        for write in writes:
            waiting[write.id].append(write)
        id_bits = self.host.id_bits
        for cycle, bits in zip(*log, strict=True):
            queue = waiting[bits & (1 << id_bits) - 1]
            if not queue:
                return self._wrong(f"b in cycle {cycle}: nobody waits for {bits:#x}")
            write = queue.popleft()
            response, user = bits >> id_bits & 7, bits >> id_bits + 3
            write.status, write.info = user >> 2 & 15, user >> 6
            write.answered = [cycle]
            if cycle <= max(write.arrived[-1], write.accepted):
                return self._wrong(f"{write}: answered in cycle {cycle}, before its data")
            if user & 3 != write.kind or response != _response(write.status):
                return self._wrong(f"{write}: answered {bits:#x} in cycle {cycle}")
        if any(waiting.values()):
            return self._wrong("writes without an answer")
        return True

    def _match_reads(self, reads: list[Command], log) -> bool:
        """Gives every read its beats, those of one command together."""
        waiting: dict[int, deque[Command]] = defaultdict(deque)
        for read in reads:
            waiting[read.id].append(read)
        id_bits, beat_bits = self.host.id_bits, 8 * self.flash.beat_bytes
        read = None
        head = 0
        for cycle, bits in zip(*log, strict=True):
            id_ = bits & (1 << id_bits) - 1
            word = bits >> id_bits & (1 << beat_bits) - 1
            rest = bits >> id_bits + beat_bits
            if read is None:
                queue = waiting[id_]
                if not queue:
                    return self._wrong(f"r in cycle {cycle}: nobody waits for id {id_}")
                read = queue.popleft()
                head = rest | 8
                user = rest >> 4
                read.status, read.info = user >> 2 & 15, user >> 6
                warning = read.kind == 0 and read.status == 5
                response = 0 if warning else _response(read.status)
                if user & 3 != read.kind or rest & 7 != response or cycle <= read.accepted:
                    return self._wrong(f"{read}: answered {rest:#x} in cycle {cycle}")
            read.answer.append(word)
            read.answered.append(cycle)
            last = len(read.answer) == read.length + 1
            if id_ != read.id or rest | 8 != head or bool(rest & 8) != last:
                return self._wrong(
                    f"{read}: beat {len(read.answer) - 1} in cycle {cycle} is of id {id_},"
                    f" response and user {rest:#x}"
                )
            if last:
                read = None
        if read is not None or any(waiting.values()):
            return self._wrong("reads without an answer")
        return True

    def _slice_pages(self, logs):
        """The pages that the slice got: (page, asked for, got, words, error)."""
        sent, self._sent = self._sent, []
        asked = logs["requests"][0]
        cycles, payloads = logs["beats"]
        beat_bits, size = 8 * self.flash.beat_bytes, self.flash.page_beats
        position = 0
        for item, cycle in zip(sent, asked, strict=True):
            self.result.kinds["slice read"] += 1
            for page in range(item.pages):
                beats = payloads[position : position + size]
                marks = [bits >> beat_bits for bits in beats]
                error = marks[0] >> 2 & 1
                expected = [
                    (beat == 0) | (beat == size - 1) << 1 | error << 2 | item.tag << 3
                    for beat in range(size)
                ]
                if marks != expected:
                    self._wrong(f"slice's page in cycle {cycles[position]}: marks {marks}")
                words = [bits & (1 << beat_bits) - 1 for bits in beats]
                yield item.address + page, cycle, cycles[position], words, bool(error)
                position += size


def _response(status: int) -> int:
    return (2 if status else 0) | (status == 1)
