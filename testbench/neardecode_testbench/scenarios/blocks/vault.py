"""A vault with its DRAM: every beat in its cycle, every cause, and the memory behind it."""

from dataclasses import dataclass, field

import numpy as np
from amaranth.utils import exact_log2

from neardecode.config import Stack, StackCycles, VaultCause, VaultEvent
from neardecode.lib.page import BeatRequest, BeatWrite, PageBeat, PageRequest
from neardecode_testbench.drive.stimulus import Play, Probe, Sink, Source, Step, Storage
from neardecode_testbench.scenarios.blocks.edge import (
    FULL_RATE,
    CheckError,
    Pacing,
    Recorder,
    check_counts,
    check_cycles,
    check_sink,
    read_counts,
)
from neardecode_testbench.scenarios.blocks.vault_model import Asked, VaultModel
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["STREAMS", "VaultAccesses", "VaultRun", "random_accesses"]

STREAMS = ("requests", "reads", "writes", "beats")
TRAILING = 120
"""Cycles in which the last writes reach the DRAM."""


@dataclass
class VaultRun:
    """What a vault did."""

    taken: dict[str, list[int]]
    beats: list[int]
    counts: dict[str, int]
    events: dict[str, int]
    commands: list[tuple[int, str, int]]


def random_accesses(
    seed: int, config: Stack, pages: int, reads: int, writes: int, *, spread: int | None = None
) -> dict[str, list[tuple[Asked, int]]]:
    """Runs of pages, beats and writes, some of the pages beyond the vault."""
    random = np.random.default_rng(seed)
    spread = spread or config.pages + 2
    size, beats = config.beat_bytes, config.page_beats

    def number(end: int) -> int:
        return int(random.integers(end))

    return {
        "requests": [
            (Asked(number(spread), tag=number(1 << 16)), 1 + number(3)) for _ in range(pages)
        ],
        "reads": [(Asked(number(spread), number(beats), number(1 << 16)), 1) for _ in range(reads)],
        "writes": [
            (
                Asked(
                    number(min(spread, config.pages)),
                    number(beats),
                    data=random.bytes(size),
                    strobe=number(1 << size),
                ),
                1,
            )
            for _ in range(writes)
        ],
    }


@dataclass
class VaultAccesses:
    """Accesses of all kinds at a vault, compared with the model in every cycle.

    Attributes:
        config: The stack section of a configuration.
        cycles: Its timings.
        accesses: For each input what is asked, with the pages of a run.
        seed: Of the contents.
        pacing: Of the streams.
        hot: The refresh input.
        recorder: Sees every stream, where the simulator is driven from Python.
    """

    config: Stack
    cycles: StackCycles
    accesses: dict[str, list[tuple[Asked, int]]]
    seed: int = 1
    pacing: Pacing = FULL_RATE
    hot: bool = False
    recorder: Recorder = field(default_factory=lambda: Recorder(STREAMS))

    def __call__(self, step: Step) -> VaultRun:
        """Plays the accesses and checks every value and every cycle."""
        config, size = self.config, self.config.beat_bytes
        random = np.random.default_rng(self.seed)
        memory = random.integers(256, size=(config.pages, config.page_bytes), dtype=np.uint8)
        model = VaultModel(config, self.cycles, memory.copy(), self.hot)
        accepted, taken = self._predict(model)
        beat = Packer(PageBeat(size))
        names = ("data", "first", "last", "error", "tag")
        expected = [
            beat.pack(
                dict(zip(names, (int.from_bytes(fields[0], "little"), *fields[1:]), strict=True))
            )
            for fields in model.beats
        ]
        outcome = step(
            Play(
                sources=self._sources(),
                sinks=[Sink("beats", len(expected), expected, self.pacing.stalls("beats"))],
                storages=[
                    Storage("stored", memory, size),
                    Storage("stores", memory, size, writable=True),
                ],
                levels={"counting": 1, "hot": int(self.hot)},
                limit=2 * model.now + 1000,
                trailing=TRAILING,
            )
        )
        for source, cycles in outcome.sources.items():
            check_cycles(source, cycles, accepted[source])
        check_sink("beats", outcome.sinks["beats"])
        check_cycles("beat", outcome.sinks["beats"].cycles, taken)
        counts = read_counts(step, "cycles", VaultCause)
        events = read_counts(step, "events", VaultEvent)
        seen = step(Probe({}, ["violated", "retired", "ready"])).outputs
        if seen != {"violated": 0, "retired": 0, "ready": 1}:
            raise CheckError(f"the vault and its DRAM say {seen}")
        check_counts("vault", counts, model.causes)
        kinds = [kind for _, kind, _ in model.commands]
        known = {
            "READS": sum(not fields[3] for fields in model.beats),
            "WRITES": sum(asked.page < config.pages for asked, _ in self.accesses["writes"]),
            "ACTIVATES": kinds.count("ACTIVATE"),
            "REFRESHES": kinds.count("REFRESH_ALL") + kinds.count("REFRESH_BANK"),
        }
        check_counts("vault", {name: events[name] for name in known}, known)
        if not np.array_equal(memory, model.memory):
            raise CheckError("the memory is not what was written")
        return VaultRun(
            outcome.sources, outcome.sinks["beats"].cycles, counts, events, model.commands
        )

    def _sources(self) -> list[Source]:
        address, beats = exact_log2(self.config.pages), self.config.page_beats
        request = Packer(PageRequest(address)).pack
        read = Packer(BeatRequest(address, beats)).pack
        write = Packer(BeatWrite(address, beats, self.config.beat_bytes)).pack
        packed = {
            "requests": [
                request({"address": asked.page, "pages": run, "tag": asked.tag})
                for asked, run in self.accesses["requests"]
            ],
            "reads": [
                read({"page": asked.page, "beat": asked.beat, "tag": asked.tag})
                for asked, _ in self.accesses["reads"]
            ],
            "writes": [
                write(
                    {
                        "page": asked.page,
                        "beat": asked.beat,
                        "data": int.from_bytes(asked.data or b"", "little"),
                        "strobe": asked.strobe,
                    }
                )
                for asked, _ in self.accesses["writes"]
            ],
        }
        return [
            Source(name, payloads, self.pacing.stalls(name))
            for name, payloads in packed.items()
            if payloads
        ]

    def _predict(self, model: VaultModel) -> tuple[dict[str, list[int]], list[int]]:
        """When each payload is accepted and each beat taken."""
        names: tuple[str, ...] = ("requests", "reads", "writes")
        waiting = {name: list(self.accesses[name]) for name in names}
        stalls = {name: self.pacing.stalls(name) for name in STREAMS}
        offered: dict[str, bool] = dict.fromkeys(names, False)
        accepted: dict[str, list[int]] = {name: [] for name in names}
        taken: list[int] = []
        total = sum(
            run * (self.config.page_beats if name == "requests" else 1)
            for name in ("requests", "reads")
            for _, run in self.accesses[name]
        )

        def stalled(stream: str) -> bool:
            pattern = stalls[stream]
            return pattern is not None and bool(pattern[model.now % len(pattern)])

        trailing = TRAILING
        while True:
            if not any(waiting.values()) and len(taken) == total:
                if trailing == 0:
                    return accepted, taken
                trailing -= 1
            for name in names:
                if waiting[name] and not offered[name]:
                    offered[name] = not stalled(name)
            offers = {name: waiting[name][0][0] if offered[name] else None for name in names}
            run = waiting["requests"][0][1] if waiting["requests"] else 0
            ready = not stalled("beats")
            if ready and model.output is not None:
                taken.append(model.now)
            now = model.now
            source = model.cycle(offers, run, ready)
            if source is not None and (source != "requests" or model.ran_out):
                accepted[source].append(now)
                waiting[source].pop(0)
                offered[source] = False
