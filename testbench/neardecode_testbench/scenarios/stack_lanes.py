"""TSVs that stick: repaired while there are spares, and a vault retired beyond that."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from amaranth.utils import exact_log2

from neardecode.config import Stack, StackCycles
from neardecode.lib.page import BeatRequest, BeatWrite, PageBeat
from neardecode_testbench.drive.stimulus import Play, Probe, Sink, Source, Step, Storage
from neardecode_testbench.scenarios.blocks.edge import CheckError
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["LaneTrial", "NeighbourTrial", "any_lanes", "single_lanes", "spare_lanes", "worn_lanes"]


def _group_lanes(config: Stack) -> int:
    return config.lanes // config.repair.groups


def single_lanes(config: Stack) -> Iterator[tuple[int, int]]:
    """Every lane alone, stuck at zero and at one: (stuck, value)."""
    for lane in range(config.lanes):
        yield 1 << lane, 0
        yield 1 << lane, 1 << lane


def any_lanes(config: Stack, count: int) -> Iterator[tuple[int, int]]:
    """Every choice of so many lanes of the first group, at every value."""
    for lanes in combinations(range(_group_lanes(config)), count):
        for values in range(1 << count):
            yield (
                sum(1 << lane for lane in lanes),
                sum(1 << lane for index, lane in enumerate(lanes) if values >> index & 1),
            )


def spare_lanes(config: Stack, count: int, seed: int) -> Iterator[tuple[int, int]]:
    """Random lanes, in every group as many as it has spares."""
    yield from _random_lanes(config, count, seed, 0)


def worn_lanes(config: Stack, count: int, seed: int) -> Iterator[tuple[int, int]]:
    """Random lanes, one more than its spares in one group and at most as many in the others."""
    yield from _random_lanes(config, count, seed, 1)


def _random_lanes(config: Stack, count: int, seed: int, more: int) -> Iterator[tuple[int, int]]:
    random = np.random.default_rng(seed)
    size, repair = _group_lanes(config), config.repair
    for _ in range(count):
        stuck = 0
        worn = int(random.integers(repair.groups))
        for group in range(repair.groups):
            bad = repair.spares + (more if group == worn else 0)
            for lane in random.choice(size, bad, replace=False):
                stuck |= 1 << group * size + int(lane)
        value = int.from_bytes(random.bytes(config.lanes // 8 + 1), "little") & stuck
        yield stuck, value


@dataclass
class LaneTrial:
    """Beats written and read over lanes of which some stick.

    Attributes:
        config: The stack section of a configuration.
        cycles: Its timings.
        stuck, value: Which lanes, and what they carry.
        repairable: What is to come of it: every bit right, or a retired vault.
        beats: How many are read, and as many written.
        seed: Of contents and addresses.
        vault: Of `Vaults` which one; None where there is one alone.
    """

    config: Stack
    cycles: StackCycles
    stuck: int
    value: int
    repairable: bool
    beats: int = 6
    seed: int = 1
    vault: int | None = None

    def _port(self, name: str) -> str:
        return name if self.vault is None else f"{name}__{self.vault}"

    def __call__(self, step: Step) -> None:
        """Plays it.

        Raises:
            CheckError: if a bit is wrong, or the vault does not tell what is the matter.
        """
        config, size = self.config, self.config.beat_bytes
        random = np.random.default_rng(self.seed)
        memory = random.integers(256, size=(config.pages, config.page_bytes), dtype=np.uint8)
        after = memory.copy()
        beats = memory.reshape(-1, size)
        places = random.choice(len(beats), 2 * self.beats, replace=False)
        read_at, write_at = places[: self.beats], places[self.beats :]
        address, page_beats = exact_log2(config.pages), config.page_beats
        single = Packer(BeatRequest(address, page_beats)).pack
        write = Packer(BeatWrite(address, page_beats, size)).pack
        answer = Packer(PageBeat(size)).pack

        def reads(wanted: np.ndarray) -> list[int]:
            return [
                single({"page": int(at) // page_beats, "beat": int(at) % page_beats})
                for at in wanted
            ]

        def answers(wanted: np.ndarray, contents: np.ndarray) -> list[int]:
            return [
                answer(
                    {
                        "data": int.from_bytes(contents.reshape(-1, size)[at].tobytes(), "little")
                        if self.repairable
                        else 0,
                        "first": 1,
                        "last": 1,
                        "error": not self.repairable,
                    }
                )
                for at in wanted
            ]

        writes = []
        for at in write_at:
            value = random.integers(256, size=size, dtype=np.uint8)
            strobe = int.from_bytes(random.bytes(size // 8), "little")
            writes.append(
                write(
                    {
                        "page": int(at) // page_beats,
                        "beat": int(at) % page_beats,
                        "data": int.from_bytes(value.tobytes(), "little"),
                        "strobe": strobe,
                    }
                )
            )
            kept = np.array([strobe >> byte & 1 for byte in range(size)], bool)
            if self.repairable:
                after.reshape(-1, size)[at] = np.where(kept, value, beats[at])
        storages = [
            Storage(self._port("stored"), memory, size),
            Storage(self._port("stores"), memory, size, writable=True),
        ]
        levels = {self._port("stuck"): self.stuck, self._port("stuck_value"): self.value}
        limit = 200 * self.beats + 2000
        # The writes first, then reads of what was there and of what was written.
        for given, wanted, contents in (
            (writes, read_at, memory.copy()),
            ([], write_at, after),
        ):
            expected = answers(wanted, contents)
            outcome = step(
                Play(
                    sources=[
                        Source(self._port("writes"), given),
                        Source(self._port("reads"), reads(wanted)),
                    ],
                    sinks=[Sink(self._port("beats"), len(expected), expected)],
                    storages=storages,
                    levels=levels,
                    limit=limit,
                    trailing=4,
                )
            )
            if outcome.sinks[self._port("beats")].mismatches:
                raise CheckError(f"lanes {self.stuck:#x} at {self.value:#x}: wrong beats")
        ports = [self._port(name) for name in ("repaired", "retired", "violated")]
        told = step(Probe({}, ports)).outputs
        seen = {name: told[self._port(name)] for name in ("repaired", "retired", "violated")}
        if seen["retired"] == self.repairable or seen["repaired"] != (
            self.repairable and self.stuck != 0
        ):
            raise CheckError(f"lanes {self.stuck:#x} at {self.value:#x}: reported as {seen}")
        if seen["violated"]:
            raise CheckError(f"lanes {self.stuck:#x}: timings of the DRAM were broken")
        if not np.array_equal(memory, after):
            raise CheckError(f"lanes {self.stuck:#x} at {self.value:#x}: memory was spoilt")


@dataclass
class NeighbourTrial:
    """A vault that is used before and after its neighbour in the stack is retired.

    Attributes:
        config: The stack section of a configuration.
        cycles: Its timings.
        stuck, value: Of the neighbour, more lanes than it has spares.
        seed: Of contents and addresses.
    """

    config: Stack
    cycles: StackCycles
    stuck: int
    value: int
    seed: int = 1

    def __call__(self, step: Step) -> None:
        """Plays it on `Vaults`, of which vault 0 is retired.

        Raises:
            CheckError: if a bit of the other is wrong, or the vault does not tell.
        """
        given = (self.config, self.cycles)
        # What sticks does so from the start: the lanes are tested once.
        step(Probe({"stuck__0": self.stuck, "stuck_value__0": self.value}, ["retired__0"]))
        LaneTrial(*given, 0, 0, True, seed=self.seed, vault=1)(step)
        LaneTrial(*given, self.stuck, self.value, False, seed=self.seed, vault=0)(step)
        LaneTrial(*given, 0, 0, True, seed=self.seed + 1, vault=1)(step)
