"""The merge of attention's parts by itself: every word, and its cycle.

A command's partials are looked at in turn, a part a cycle, and taken in turn, for their maxima
first and then for their sums of weights; then sums are taken, an element of every part in turn. A
word stands `LATENCY` cycles after the last part of its element. The next command's partials come in
the cycle after the last sum.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neardecode.attention.layouts import AttentionPartial
from neardecode.attention.merge import AttentionWords
from neardecode.compute.command import SliceSum
from neardecode.config import Config
from neardecode.vector.finish import SoftmaxFinish
from neardecode.vector.merge import SoftmaxMerge
from neardecode_testbench.drive.stimulus import Outcome, Play, Sink, Source, Step
from neardecode_testbench.reference.arithmetic import Partial, finish, merge
from neardecode_testbench.scenarios.blocks.edge import (
    FULL_RATE,
    Pacing,
    Recorder,
    check_cycles,
    check_sink,
    open_from,
)
from neardecode_testbench.scenarios.packing import Packer

__all__ = ["MergedParts", "streams_of"]

LATENCY = SoftmaxMerge.latency + SoftmaxFinish.latency
"""Cycles from an element of the last part to its word."""


def streams_of(parts: int) -> tuple[str, ...]:
    """The streams of a merge."""
    return (*(f"{name}__{part}" for name in ("partials", "sums") for part in range(parts)), "words")


class _Command(NamedTuple):
    """What every part gives, and the words that come of it."""

    partials: list[int]  # by part
    sums: list[list[int]]  # by part and element
    words: list[int]


@dataclass
class MergedParts:
    """Commands of random numbers, of most of which something is marked as wrong.

    Attributes:
        config: The merge's.
        parts: It has so many.
        used: For each command how many of them hold tokens.
        seed: Of the numbers.
        pacing: Of the streams.
        recorder: Sees every stream, where the simulator is driven from Python.
    """

    config: Config
    parts: int
    used: Sequence[int]
    seed: int = 1
    pacing: Pacing = FULL_RATE
    recorder: Recorder = field(init=False)

    def __post_init__(self) -> None:
        self.recorder = Recorder(streams_of(self.parts))

    def __call__(self, step: Step) -> list[int]:
        """Plays them; returns the cycle of each word.

        Raises:
            CheckError: if a word or, where words are not held back, a cycle is not as expected.
        """
        random = np.random.default_rng(self.seed)
        cycles: list[int] = []
        offered: list[int] = []
        at = 0
        while at < len(self.used):
            # How many parts hold tokens is a level: commands of as many are one play.
            used, first = self.used[at], at
            while at < len(self.used) and self.used[at] == used:
                at += 1
            commands = [self._command(random, used) for _ in range(first, at)]
            outcome = self._play(step, used, commands)
            offered += self._check_cycles(used, len(commands), outcome)
            cycles += outcome.sinks["words"].cycles
        if self.pacing.stalls("words") is None and self.recorder.cycles:
            check_cycles("words offered", self.recorder.offered["words"], offered)
        return cycles

    def _play(self, step: Step, used: int, commands: list[_Command]) -> Outcome:
        stalls = self.pacing.stalls
        given = {
            f"partials__{part}": [command.partials[part] for command in commands]
            for part in range(used)
        } | {
            f"sums__{part}": [sum_ for command in commands for sum_ in command.sums[part]]
            for part in range(used)
        }
        words = [word for command in commands for word in command.words]
        outcome = step(
            Play(
                sources=[Source(name, payloads, stalls(name)) for name, payloads in given.items()],
                sinks=[Sink("words", len(words), words, stalls("words"))],
                levels={"used": used},
                limit=60 * sum(map(len, given.values())) + 500,
                trailing=2 * LATENCY,
            )
        )
        check_sink("words", outcome.sinks["words"])
        return outcome

    def _command(self, random: np.random.Generator, used: int) -> _Command:
        compute, vector = self.config.compute, self.config.vector
        queries, size = compute.vectors, compute.head_elements

        # Far from each other, close to each other: every shift, and none.
        spread = random.choice([1, 8, (1 << vector.maximum_bits - 1) - 1])
        maximums = random.integers(-spread, spread + 1, (used, queries))
        # Of all parts together what one slice would have added up.
        least, most = vector.sum_fraction_bits - 1, vector.sum_bits - 1 - used.bit_length()
        scale = random.integers(least, most, (used, queries))
        totals = random.integers(1 << scale, 2 << scale)
        bits = compute.accumulator_bits - 1 - used.bit_length()
        largest = 1 << random.integers(bits // 2, bits, (size, 1, queries))
        values = random.integers(-largest, largest, (size, used, queries))

        merged = merge([Partial(*each) for each in zip(maximums, totals, strict=True)])
        moved = (values >> merged.shifts).sum(axis=1)  # (size, queries)
        words = finish(moved.T, merged.partial.total, compute.fraction_bits, vector)

        # One thing at most is wrong, so that none hides another.
        clamped, scores = (np.zeros((used, queries), int) for _ in range(2))
        sums_wrong = np.zeros((size, used, queries), int)
        error, sums_error = np.zeros(used, int), np.zeros((size, used), int)
        wrong = (clamped, scores, sums_wrong, error, sums_error)
        if (kind := random.integers(len(wrong) + 1)) < len(wrong):
            marks = wrong[kind]
            # Often the last part's, or of the last element.
            places = [random.integers(n) if random.integers(2) else n - 1 for n in marks.shape]
            marks[tuple(places)] = 1
        saturated = words.saturated.T.astype(int)  # (size, queries)
        saturated[-1] |= np.concatenate([clamped, scores, sums_wrong.reshape(-1, queries)]).max(0)
        any_error = int(error.any() or sums_error.any())

        partial = Packer(AttentionPartial(self.config)).pack
        sum_ = Packer(SliceSum(compute)).pack
        word = Packer(AttentionWords(self.config)).pack
        return _Command(
            [
                partial(
                    {
                        "clamped": _bits(clamped[part]),
                        "error": error[part],
                        **{
                            f"vectors.{query}.{name}": numbers[part, query]
                            for query in range(queries)
                            for name, numbers in (
                                ("maximum", maximums),
                                ("total", totals),
                                ("saturated", scores),
                            )
                        },
                    }
                )
                for part in range(used)
            ],
            [
                [
                    sum_(
                        {
                            "values": values[element, part],
                            "element": element,
                            "saturated": _bits(sums_wrong[element, part]),
                            "error": sums_error[element, part],
                        }
                    )
                    for element in range(size)
                ]
                for part in range(used)
            ],
            [
                word(
                    {
                        "values": words.values[:, element],
                        "saturated": _bits(saturated[element]),
                        "error": any_error if element == size - 1 else 0,
                        "last": element == size - 1,
                    }
                )
                for element in range(size)
            ],
        )

    def _check_cycles(self, used: int, commands: int, outcome: Outcome) -> list[int]:
        """When words stand, if none is held back."""
        if self.pacing.stalls("words") is not None:
            return []
        stalls = {name: self.pacing.stalls(name) for name in self.recorder.streams}
        free = dict.fromkeys(stalls, outcome.start)
        taken: dict[str, list[int]] = {name: [] for name in stalls}
        now = outcome.start
        stands: list[int] = []

        def looked_at(stream: str) -> int:
            return max(now, open_from(free[stream], stalls[stream]))

        def take(stream: str) -> int:
            taken[stream].append(looked_at(stream))
            free[stream] = taken[stream][-1] + 1
            return free[stream]

        for _ in range(commands):
            for part in range(used):
                now = looked_at(f"partials__{part}") + 1
            for part in range(used):
                now = take(f"partials__{part}")
            for _element in range(self.config.compute.head_elements):
                for part in range(used):
                    now = take(f"sums__{part}")
                stands.append(now - 1 + LATENCY)
        for stream, cycles in taken.items():
            if cycles:
                check_cycles(stream, outcome.sources[stream], cycles)
        check_cycles("word", outcome.sinks["words"].cycles, stands)
        return stands


def _bits(flags: NDArray[np.int64]) -> int:
    return sum(int(flag) << place for place, flag in enumerate(flags))
