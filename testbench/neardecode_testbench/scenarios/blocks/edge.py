"""What happens at a block's edge: when payloads are held back, offered and taken."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from neardecode_testbench.drive.stimulus import (
    Outcome,
    Play,
    Probe,
    Scenario,
    SinkLog,
    Step,
)
from neardecode_testbench.scenarios.stream_rules import StreamRules

__all__ = [
    "FULL_RATE",
    "CheckError",
    "CutOff",
    "Held",
    "Pacing",
    "Recorder",
    "Transcript",
    "check_counts",
    "check_cycles",
    "check_recorded",
    "check_sink",
    "named_counts",
    "offered_cycles",
    "open_from",
    "read_counts",
]

COUNT_BITS = 48
STALL_PATTERN_CYCLES = 4099
STALL_LENGTHS = (1, 1, 1, 2, 3, 9, 40)


class CheckError(AssertionError):
    """A value or a cycle that is not what the reference says; the message names which."""


@dataclass(frozen=True)
class Pacing:
    """How the streams at a block's edge are held back.

    Attributes:
        seed: Of every stream's stall pattern, each its own; None never holds anything back.
        share: The share of a pattern's runs that are stalls.
        free: Streams that are never held back all the same.
    """

    seed: int | None = None
    share: float = 0.5
    free: tuple[str, ...] = ()

    def stalls(self, stream: str) -> np.ndarray | None:
        """A stream's pattern: single cycles and runs of up to 40, stalled and not."""
        if self.seed is None or stream in self.free:
            return None
        random = np.random.default_rng([self.seed, *stream.encode()])
        runs = random.random(STALL_PATTERN_CYCLES) < self.share
        lengths = random.choice(STALL_LENGTHS, STALL_PATTERN_CYCLES)
        return np.repeat(runs, lengths)[:STALL_PATTERN_CYCLES]


FULL_RATE = Pacing()
"""Nothing is held back."""


@dataclass(frozen=True)
class Held(Pacing):
    """Streams that are held back in given cycles and in no others.

    Attributes:
        cycles: For each stream its cycles, below `STALL_PATTERN_CYCLES`.
    """

    cycles: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def stalls(self, stream: str) -> np.ndarray | None:
        """A stream's pattern."""
        return np.isin(np.arange(STALL_PATTERN_CYCLES), self.cycles.get(stream, ()))


def open_from(cycle: int, stalls: np.ndarray | None) -> int:
    """The first cycle from ``cycle`` on that is not stalled."""
    if stalls is not None:
        while stalls[cycle % len(stalls)]:
            cycle += 1
    return cycle


def offered_cycles(
    taken: Sequence[int], stalls: np.ndarray | None, start: int, earliest: int = 0
) -> list[int]:
    """When a source offered each payload, from when each was taken."""
    offered = []
    free = max(start, earliest)
    for cycle in taken:
        offered.append(open_from(free, stalls))
        free = cycle + 1
    return offered


class _Pins(Protocol):
    def get(self, port: str) -> int: ...


@dataclass
class Recorder:
    """Watches streams: holds them to their rules and keeps when payloads came and went.

    Called in every cycle, after the outputs settled.

    Attributes:
        streams: The streams' ports.
        drawn: Ports whose level is kept, of one bit to be drawn; ``label=port.bit`` is a bit of a
            wider one.
        offered: For each stream the first cycle of each payload with ``valid`` high.
        taken: For each stream the cycle of each transfer.
        levels: For each port drawn its level in each cycle.
        cycles: Cycles seen.
    """

    streams: tuple[str, ...]
    drawn: tuple[str, ...] = ()
    offered: dict[str, list[int]] = field(default_factory=dict)
    taken: dict[str, list[int]] = field(default_factory=dict)
    levels: dict[str, list[int]] = field(default_factory=dict)
    cycles: int = 0

    def __post_init__(self) -> None:
        self._rules = {stream: StreamRules(stream) for stream in self.streams}
        for stream in self.streams:
            self.offered[stream] = []
            self.taken[stream] = []
        for port in self.drawn:
            self.levels[port] = []

    def __call__(self, pins: _Pins, cycle: int) -> None:
        """Looks at one cycle.

        Raises:
            StreamRuleError: if a stream broke a rule.
        """
        self.cycles += 1
        for stream, rules in self._rules.items():
            offered, taken = self.offered[stream], self.taken[stream]
            valid = pins.get(f"{stream}__valid")
            ready = pins.get(f"{stream}__ready")
            payload = pins.get(f"{stream}__payload") if valid else None
            if valid and len(offered) == len(taken):
                offered.append(cycle)
            if rules.cycle(valid, ready, payload):
                taken.append(cycle)
        for drawn, levels in self.levels.items():
            port, _, bit = drawn.rpartition("=")[2].partition(".")
            level = pins.get(port)
            levels.append(level >> int(bit) & 1 if bit else level)

    def waveform(self, cycles: int) -> list[str]:
        """The ports drawn, one a line, one character a cycle."""
        labels = [drawn.partition("=")[0] for drawn in self.levels]
        width = max(map(len, labels))
        return [
            f"{label.replace('__', '.'):{width}} {''.join('_#'[lv] for lv in levels[:cycles])}"
            for label, levels in zip(labels, self.levels.values(), strict=True)
        ]


@dataclass
class CutOff:
    """A scenario that is left standing in the middle: its play gets stuck at its limit.

    Attributes:
        scenario: Any scenario with a recorder.
        cycles: The limit.
    """

    scenario: Any
    cycles: int

    @property
    def recorder(self) -> Recorder:
        """The scenario's."""
        return self.scenario.recorder

    def __call__(self, step: Step) -> Any:
        """Plays what there is time for.

        Raises:
            StuckError: at the limit.
        """

        def shortened(given: Play | Probe) -> Outcome:
            return step(replace(given, limit=self.cycles) if isinstance(given, Play) else given)

        return self.scenario(shortened)


@dataclass
class Transcript:
    """A scenario that also gives what came of every step, to compare one simulator with another.

    Attributes:
        scenario: Any scenario.
    """

    scenario: Scenario

    def __call__(self, step: Step) -> tuple[Any, list[Outcome]]:
        """The scenario's result, and the outcome of each of its steps."""
        outcomes: list[Outcome] = []

        def kept(given: Play | Probe) -> Outcome:
            outcomes.append(step(given))
            return outcomes[-1]

        return self.scenario(kept), outcomes


def check_cycles(what: str, seen: Sequence[int], expected: Sequence[int]) -> None:
    """Compares cycles one by one.

    Raises:
        CheckError: naming the first that differs.
    """
    for index, (is_, should_be) in enumerate(zip(seen, expected, strict=False)):
        if is_ != should_be:
            raise CheckError(f"{what} {index}: in cycle {is_}, not {should_be}")
    if len(seen) != len(expected):
        raise CheckError(f"{what}: {len(seen)} of them, not {len(expected)}")


def check_sink(stream: str, log: SinkLog) -> None:
    """Checks that a sink took what it expected.

    Raises:
        CheckError: naming the first transfer that differs.
    """
    if log.mismatches:
        index = log.mismatches[0]
        raise CheckError(
            f"{stream} {index}, cycle {log.cycles[index]}: {log.payloads[index]:#x} was not"
            f" expected ({len(log.mismatches)} of {len(log.cycles)} differ)"
        )


def check_recorded(recorder: Recorder, stream: str, outcome: Outcome, offered: list[int]) -> None:
    """Checks what a recorder saw of an output stream; one that was not attached saw nothing."""
    if recorder.cycles:
        check_cycles(f"{stream} taken", recorder.taken[stream], outcome.sinks[stream].cycles)
        check_cycles(f"{stream} offered", recorder.offered[stream], offered)


def read_counts(step: Step, port: str, causes: type[enum.Enum]) -> dict[str, int]:
    """The counts of a block, by name; counting stops."""
    return named_counts(step(Probe({"counting": 0}, [port])).outputs[port], causes)


def named_counts(bits: int, causes: type[enum.Enum]) -> dict[str, int]:
    """Counts by name, of a port that holds them side by side."""
    mask = (1 << COUNT_BITS) - 1
    return {cause.name: bits >> COUNT_BITS * cause.value & mask for cause in causes}


def check_counts(block: str, counts: dict[str, int], expected: dict[str, int]) -> None:
    """Compares counts; causes left out are expected to be zero.

    Raises:
        CheckError: naming those that differ.
    """
    differing = [
        f"{name} is {count}, not {expected.get(name, 0)}"
        for name, count in counts.items()
        if count != expected.get(name, 0)
    ]
    if differing:
        raise CheckError(f"counters of the {block}: {'; '.join(differing)}")
