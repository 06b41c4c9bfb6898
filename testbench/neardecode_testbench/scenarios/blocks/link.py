"""A link into a receiver: order, and the cycle of every flit.

With latency L and C credits, for flit k offered to the link in cycle o(k), taken in t(k), and taken
out of the receiver in r(k):

- ``t(k) = max(o(k), r(k - C) + L + 1)``: a credit crosses back and is counted;
- it stands at the receiver's output from ``max(t(k) + L + 1, r(k - 1) + 1)`` on.
"""

from dataclasses import dataclass, field

import numpy as np

from neardecode.config import LinkCause
from neardecode.lib.flit import FlitLayout
from neardecode_testbench.drive.stimulus import Play, Sink, Source, Step
from neardecode_testbench.scenarios.blocks.edge import (
    FULL_RATE,
    Pacing,
    Recorder,
    check_counts,
    check_cycles,
    check_recorded,
    check_sink,
    open_from,
    read_counts,
)

__all__ = ["LinkFlits", "LinkRun"]

STREAMS = ("flits", "arrived")


@dataclass
class LinkRun:
    """What a link did: when each flit was taken at each end, and the counters."""

    sent: list[int]
    arrived: list[int]
    counts: dict[str, int]


@dataclass
class LinkFlits:
    """Random flits over a link.

    Attributes:
        flit: Their layout.
        latency, credits: The link's.
        count: How many.
        seed: Of the flits.
        pacing: Of the streams.
        recorder: Sees every stream, where the simulator is driven from Python.
    """

    flit: FlitLayout
    latency: int
    credits: int
    count: int
    seed: int = 1
    pacing: Pacing = FULL_RATE
    recorder: Recorder = field(default_factory=lambda: Recorder(STREAMS))

    def __call__(self, step: Step) -> LinkRun:
        """Plays the flits and checks every value and every cycle."""
        random = np.random.default_rng(self.seed)
        size = -(-self.flit.size // 8)
        flits = [
            int.from_bytes(random.bytes(size), "little") & ((1 << self.flit.size) - 1)
            for _ in range(self.count)
        ]
        stalls = self.pacing.stalls
        outcome = step(
            Play(
                sources=[Source("flits", flits, stalls("flits"))],
                sinks=[Sink("arrived", self.count, flits, stalls("arrived"))],
                levels={"counting": 1},
                limit=200 * self.count + 40 * (self.latency + 10),
                trailing=2 * self.latency + 8,
            )
        )
        log = outcome.sinks["arrived"]
        check_sink("arrived", log)

        offered, sent, stands, taken = [], [], [], []
        free = outcome.start
        for number in range(self.count):
            offered.append(open_from(free, stalls("flits")))
            cycle = offered[-1]
            if number >= self.credits:
                cycle = max(cycle, taken[number - self.credits] + self.latency + 1)
            sent.append(cycle)
            free = cycle + 1
            stand = cycle + self.latency + 1
            stands.append(max(stand, taken[-1] + 1) if taken else stand)
            taken.append(open_from(stands[-1], stalls("arrived")))
        check_cycles("flit sent", outcome.sources["flits"], sent)
        check_cycles("flit arrived", log.cycles, taken)
        check_recorded(self.recorder, "arrived", outcome, stands)

        counts = read_counts(step, "cycles", LinkCause)
        waited = sum(sent) - sum(offered)
        check_counts(
            "link",
            counts,
            {
                "BUSY": self.count,
                "CREDIT": waited,
                "IDLE": outcome.cycles - self.count - waited,
            },
        )
        return LinkRun(outcome.sources["flits"], log.cycles, counts)
