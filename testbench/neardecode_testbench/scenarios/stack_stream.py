"""How many beats a DRAM vault moves, against the bound of its timings, and where the rest went.

Everything is asked as fast as it is taken. What is measured is whole refresh intervals, after as
many as may be postponed; every beat is compared with the numpy memory behind the DRAM.
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from amaranth.utils import exact_log2

from neardecode.config import TAG_BITS, HeatConstants, Stack, StackCycles, VaultCause, VaultEvent
from neardecode.lib.page import BeatRequest, BeatWrite, PageBeat, PageRequest
from neardecode_testbench.devices.dram_rules import DramRule
from neardecode_testbench.devices.vault_bench import VaultBench
from neardecode_testbench.drive.backends import Backend, simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.stimulus import Play, Probe, Sink, Source, Step, Storage
from neardecode_testbench.scenarios.blocks.edge import CheckError, read_counts
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["PATTERNS", "Pattern", "StackMeasure", "StackStream", "measure_stack", "stack_bound"]

Pattern = Literal["stream", "random", "mixed"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)

LARGEST_RATIO = 1.0001
"""Above this a measurement is wrong: nothing is faster than its bound."""
BEATS_BESIDE_A_PAGE = 8
"""Single beats for each page in the mixed pattern."""


def stack_bound(config: Stack, cycles: StackCycles, pages: int, singles: int) -> float:
    """Most beats a cycle for so many pages and single beats, each beat in a row of its own.

    No time is shorter than that of: a beat a cycle; an activate every tRRD, four every tFAW and
    one of a bank every row cycle; `queue` single beats, each there for tRP + tRCD and its own
    cycle. With all-bank refresh, only 1 - tRFC / tREFI of the time is left. Of a bank, a refresh
    stands between two activates, which are then tRRD + tRREFD apart: four activates last
    4 tRRD + tRREFD, not the longer of 4 tRRD and tFAW.
    """
    beats = pages * config.page_beats + singles
    activates = pages * config.bank_groups + singles
    row = max(cycles.rc, cycles.ras + cycles.rp)
    available, activating = 1.0, 1.0
    if config.refresh == "all-bank":
        available -= cycles.rfc / cycles.refi
    else:
        longer = 4 * cycles.rrd + cycles.refresh_gap - max(4 * cycles.rrd, cycles.faw)
        activating -= config.banks * max(longer, 0) / cycles.refi
    time = max(
        beats * cycles.ccd_s,
        activates * max(cycles.rrd, cycles.faw / 4) / activating,
        activates * row / config.banks,
        singles * (1 + cycles.rp + cycles.rcd) / config.queue,
    )
    return beats / time * available


@dataclass(frozen=True)
class StackMeasure:
    """What a vault did.

    Attributes:
        utilisation: Beats a cycle in the intervals measured.
        bound, ratio: `stack_bound`, and the one by the other.
        cycles: Of the intervals measured.
        causes: Cycles by cause, over the whole run.
        events: Events, over the whole run.
        temperature_c: At the end, where there is heat.
        throttle: Of 16 cycles, those that the reader rests, at the end.
    """

    utilisation: float
    bound: float
    ratio: float
    cycles: int
    causes: dict[str, int]
    events: dict[str, int]
    temperature_c: float | None = None
    throttle: int = 0


@dataclass
class StackStream:
    """Reads and writes as fast as a vault takes them.

    Attributes:
        config: The stack section of a configuration.
        cycles: Its timings.
        pattern: Pages one after the other, random beats, or both at once.
        read_share: The share of beats that are read; the others are written to other pages.
        intervals: Refresh intervals that are measured.
        heat: The thermal constants the design was made with.
        seed: Of contents and addresses.
    """

    config: Stack
    cycles: StackCycles
    pattern: Pattern = "stream"
    read_share: float = 1.0
    intervals: int = 8
    heat: HeatConstants | None = None
    seed: int = 1
    _random: np.random.Generator = field(init=False, repr=False)

    def _counts(self, window: int) -> tuple[int, int]:
        """Pages and single beats that take somewhat longer than the window."""
        config = self.config
        pages, singles = {"stream": (1, 0), "random": (0, 1), "mixed": (1, BEATS_BESIDE_A_PAGE)}[
            self.pattern
        ]
        beats = pages * config.page_beats + singles
        rate = stack_bound(config, self.cycles, pages, singles)
        rounds = int(1.02 * window * rate / beats) + 2
        return rounds * pages, rounds * singles

    def __call__(self, step: Step) -> StackMeasure:
        """Measures.

        Raises:
            CheckError: if a beat is wrong, or a timing of the DRAM was broken.
            ValueError: if it was faster than the bound.
        """
        config = self.config
        self._random = random = np.random.default_rng(self.seed)
        shape = (config.pages, config.page_bytes)
        memory = random.integers(256, size=shape, dtype=np.uint8)
        after = memory.copy()
        warm = (config.postponed + 2) * self.cycles.refi
        window = self.intervals * self.cycles.refi
        pages, singles = self._counts(warm + window)
        reads = round(pages * self.read_share)
        # Reads keep to the lower half of the pages where there are writes, so that each has one
        # right answer whatever the order of the two.
        lower = config.pages if self.read_share == 1 else config.pages // 2
        read_pages = [number % lower for number in range(reads)]
        write_beats = [
            (lower + number % (config.pages - lower), beat)
            for number in range(pages - reads)
            for beat in range(config.page_beats)
        ]
        single_reads = round(singles * self.read_share)
        read_beats = self._places(0, lower, single_reads)
        write_beats += self._places(lower, config.pages - lower, singles - single_reads)
        written = random.integers(256, size=(len(write_beats), config.beat_bytes), dtype=np.uint8)
        size = config.beat_bytes
        for (page, beat), value in zip(write_beats, written, strict=True):
            after[page, beat * size : (beat + 1) * size] = value
        tags = {"requests": 1, "reads": 2}
        address = exact_log2(config.pages)
        request = Packer(PageRequest(address)).pack
        single = Packer(BeatRequest(address, config.page_beats)).pack
        write = Packer(BeatWrite(address, config.page_beats, size)).pack
        sources = [
            Source(
                "requests",
                [
                    request({"address": page, "pages": 1, "tag": tags["requests"]})
                    for page in read_pages
                ],
            ),
            Source(
                "reads",
                [
                    single({"page": page, "beat": beat, "tag": tags["reads"]})
                    for page, beat in read_beats
                ],
            ),
            Source(
                "writes",
                [
                    write(
                        {
                            "page": page,
                            "beat": beat,
                            "data": int.from_bytes(value.tobytes(), "little"),
                            "strobe": (1 << size) - 1,
                        }
                    )
                    for (page, beat), value in zip(write_beats, written, strict=True)
                ],
            ),
        ]
        expected = self._answers(memory, read_pages, read_beats, tags)
        tag_mask = Packer(PageBeat(size)).pack({"tag": (1 << TAG_BITS) - 1})
        total = len(expected) + len(write_beats)
        outcome = step(
            Play(
                sources=[source for source in sources if source.payloads],
                sinks=[Sink("beats", len(expected), expected, keys=tag_mask)],
                storages=[
                    Storage("stored", memory, size),
                    Storage("stores", memory, size, writable=True),
                ],
                levels={"counting": 1},
                limit=40 * total + 4 * self.cycles.refi,
                trailing=4 * (self.cycles.rp + self.cycles.rcd + self.cycles.cwl) + 600,
            )
        )
        causes = read_counts(step, "cycles", VaultCause)
        events = read_counts(step, "events", VaultEvent)
        shown = ["violated"] + (["temperature", "throttle"] if self.heat else [])
        outputs = step(Probe({}, shown)).outputs
        log = outcome.sinks["beats"]
        if log.mismatches:
            raise CheckError(f"{len(log.mismatches)} of {len(expected)} beats are wrong")
        if not np.array_equal(memory, after):
            raise CheckError(f"{int((memory != after).any(1).sum())} pages were not written right")
        if outputs["violated"]:
            broken = [rule.name for rule in DramRule if outputs["violated"] >> rule.value & 1]
            raise CheckError(f"timings of the DRAM were broken: {', '.join(broken)}")
        moved = np.sort(np.array(log.cycles + outcome.sources.get("writes", [])))
        window = min(window, int(moved[-1]) - warm)
        inside = int(((moved >= warm) & (moved < warm + window)).sum())
        utilisation = inside / window
        bound = stack_bound(config, self.cycles, pages, singles)
        ratio = utilisation / bound
        if ratio > LARGEST_RATIO:
            raise ValueError(f"measured {ratio:.6f} of the bound, which cannot be exceeded")
        return StackMeasure(
            utilisation,
            bound,
            ratio,
            window,
            causes,
            events,
            outputs["temperature"] / 2 if self.heat else None,
            outputs.get("throttle", 0),
        )

    def _places(self, first: int, pages: int, count: int) -> list[tuple[int, int]]:
        """Random beats."""
        if not count:
            return []
        where = self._random.integers(pages * self.config.page_beats, size=count)
        return [
            (first + int(place) // self.config.page_beats, int(place) % self.config.page_beats)
            for place in where
        ]

    def _answers(self, memory, read_pages, read_beats, tags) -> list[int]:
        """Every beat that is expected; those of pages and those of single reads in their order."""
        config, size = self.config, self.config.beat_bytes
        pack = Packer(PageBeat(size)).pack
        last = config.page_beats - 1

        def value(page: int, beat: int) -> int:
            return int.from_bytes(memory[page, beat * size : (beat + 1) * size].tobytes(), "little")

        return [
            pack(
                {
                    "data": value(page, beat),
                    "first": beat == 0,
                    "last": beat == last,
                    "tag": tags["requests"],
                }
            )
            for page in read_pages
            for beat in range(config.page_beats)
        ] + [
            pack({"data": value(page, beat), "first": 1, "last": 1, "tag": tags["reads"]})
            for page, beat in read_beats
        ]


def measure_stack(stream: StackStream, backend: Backend = "native") -> StackMeasure:
    """Measures a vault with its DRAM."""
    design = Design(VaultBench, (stream.config, stream.cycles, stream.heat))
    return simulate(design, stream, backend)
