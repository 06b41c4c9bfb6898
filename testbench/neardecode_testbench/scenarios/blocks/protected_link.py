"""A protected link between its two ends: every unit, cycle, counter, against the model."""

from dataclasses import dataclass, field

import numpy as np

from neardecode.config import ProtectedLinkCause, ProtectedLinkEvent, Protection
from neardecode_testbench.drive.stimulus import Play, Sink, Source, Step
from neardecode_testbench.scenarios.blocks.edge import (
    FULL_RATE,
    CheckError,
    Pacing,
    Recorder,
    check_counts,
    check_cycles,
    check_recorded,
    read_counts,
)
from neardecode_testbench.scenarios.blocks.link_model import EndLog, LinkModel

__all__ = ["ProtectedLinkUnits"]

SIDES = ("near", "far")
STREAMS = tuple(f"{side}_{name}__0" for side in SIDES for name in ("units", "delivered"))


@dataclass
class ProtectedLinkUnits:
    """Random units both ways, with frames damaged in given cycles.

    Attributes:
        protection: The link, of one channel.
        width: Bits of a unit.
        count: Units each way.
        hits: For each end the cycles in which what it sent is damaged on arrival.
        lanes: Lanes of the link.
        training_cycles: Cycles until frames count.
        seed: Of units and flips.
        pacing: Of the streams.
        recorder: Sees every stream, where the simulator is driven from Python.
    """

    protection: Protection
    width: int
    count: int
    lanes: int
    training_cycles: int
    hits: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset())
    seed: int = 1
    pacing: Pacing = FULL_RATE
    recorder: Recorder = field(default_factory=lambda: Recorder(STREAMS))

    def __call__(self, step: Step) -> list[EndLog]:
        """Plays the units and compares everything that can be seen."""
        random = np.random.default_rng(self.seed)
        units = [
            [int.from_bytes(random.bytes(16), "little") >> 128 - self.width for _ in range(count)]
            for count in (self.count, self.count)
        ]
        stalls = [
            tuple(self.pacing.stalls(f"{side}_{name}__0") for name in ("units", "delivered"))
            for side in SIDES
        ]
        model = LinkModel(
            self.protection,
            units,
            stalls,  # pyright: ignore[reportArgumentType]
            self.hits,
            self.training_cycles,
        )
        sources = [
            Source(f"{side}_units__0", mine, held[0])
            for side, mine, held in zip(SIDES, units, stalls, strict=True)
        ]
        last = 0
        for side, hits in zip(SIDES, self.hits, strict=True):
            cycles = sorted(hits)
            last = max([last, *cycles])
            flips = [1 << int(random.integers(self.lanes)) for _ in cycles]
            sources.append(Source(f"{side}_masks", flips, ~np.isin(np.arange(last + 2), cycles)))
        trailing = 4 * self.protection.latency + 60
        outcome = step(
            Play(
                sources=sources,
                sinks=[
                    Sink(f"{side}_delivered__0", self.count, None, held[1])
                    for side, held in zip(SIDES, stalls, strict=True)
                ],
                levels={"counting": 1},
                limit=400 * self.count + 100 * trailing,
                trailing=trailing,
            )
        )
        logs = model.run(outcome.cycles)
        for index, (side, log) in enumerate(zip(SIDES, logs, strict=True)):
            stream = f"{side}_delivered__0"
            seen = outcome.sinks[stream]
            values = [unit | substitute << self.width for unit, substitute in log.delivered]
            check_cycles(f"{side} unit taken", outcome.sources[f"{side}_units__0"], log.sent)
            check_cycles(f"{side} unit delivered", seen.cycles, log.taken)
            if seen.payloads != values:
                raise CheckError(f"{stream}: units differ from the model's")
            if self.protection.policy == "retry" and values != units[1 - index]:
                raise CheckError(f"{stream}: not every unit once, in order and unchanged")
            check_recorded(self.recorder, stream, outcome, log.offered)
        for side, log in zip(SIDES, logs, strict=True):
            port = f"{side}_cycles"
            check_counts(port, read_counts(step, port, ProtectedLinkCause), log.causes)
            port = f"{side}_events"
            check_counts(port, read_counts(step, port, ProtectedLinkEvent), log.events)
        return logs
