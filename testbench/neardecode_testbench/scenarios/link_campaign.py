"""A protected link under errors, bursts, outages and dead lanes: every unit is checked."""

from dataclasses import dataclass

import numpy as np

from neardecode.config import ProtectedLinkCause, ProtectedLinkEvent, Protection
from neardecode_testbench.devices.link_channel import ChannelFaults
from neardecode_testbench.drive.stimulus import Play, Probe, Sink, Source, Step
from neardecode_testbench.scenarios.blocks.edge import read_counts

__all__ = ["LinkCampaign", "LinkReport"]

SIDES = ("near", "far")
PART = 50_000
"""Units of a play: their values are held in memory at both ends."""


@dataclass
class LinkReport:
    """What came of a campaign; dictionaries are by the end that sent.

    Attributes:
        units: Units that each end sent.
        cycles: From the first unit offered to the last one out.
        wrong: Units that differ from what was sent in their place, either way. A unit that was
            lost, came twice or out of order makes it differ from there on.
        surplus: Units that came after the last.
        hits: Frames changed on their way.
        causes: Where the sender's cycles went.
        events: What the ends counted, both together.
        training_cycles: Cycles of the lanes' test.
        failed: The lanes could not be repaired.
    """

    units: int
    cycles: int
    wrong: int
    surplus: int
    hits: dict[str, int]
    causes: dict[str, dict[str, int]]
    events: dict[str, int]
    training_cycles: int
    failed: bool

    @property
    def passed(self) -> bool:
        """Whether nothing was lost, doubled, reordered or changed."""
        return not (self.wrong or self.surplus or self.failed)


@dataclass
class LinkCampaign:
    """Random units both ways at full rate, with faults on the lanes of both directions.

    Attributes:
        protection: The link, of one channel.
        width: Bits of a unit.
        lanes: Lanes of the link.
        units: Units each way.
        error_rate: The probability that a bit of a frame flips.
        burst_rate, outage_rate: The probability that one begins in a cycle.
        burst_cycles, outage_cycles: How long it lasts.
        dead_lanes: For each end the lanes that leave it and carry a constant.
        seed: Of units, and of what the dead lanes carry.
    """

    protection: Protection
    width: int
    lanes: int
    units: int
    error_rate: float = 0.0
    burst_rate: float = 0.0
    burst_cycles: int = 8
    outage_rate: float = 0.0
    outage_cycles: int = 1000
    dead_lanes: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    seed: int = 1

    def __call__(self, step: Step) -> LinkReport:
        """Plays the units part by part; the last part waits for what should not come."""
        random = np.random.default_rng(self.seed)
        levels = self._levels(random)
        training = self._train(step, levels)
        wrong = surplus = 0
        start = end = 0
        for first in range(0, self.units, PART):
            count = min(PART, self.units - first)
            units = {side: self._random_units(random, count) for side in SIDES}
            trailing = 0
            if first + count == self.units:
                trailing = 4 * self.protection.latency + self.outage_cycles + 100
            outcome = step(
                Play(
                    sources=[Source(f"{side}_units__0", units[side]) for side in SIDES],
                    sinks=[
                        Sink("far_delivered__0", count, units["near"]),
                        Sink("near_delivered__0", count, units["far"]),
                    ],
                    limit=2000 * count + 100 * self.outage_cycles + 100_000,
                    trailing=trailing,
                )
            )
            for log in outcome.sinks.values():
                surplus += len(log.cycles) - count
                wrong += sum(index < count for index in log.mismatches)
                end = max(end, log.cycles[count - 1])
            start = start or outcome.start
        causes = {side: read_counts(step, f"{side}_cycles", ProtectedLinkCause) for side in SIDES}
        counted = [read_counts(step, f"{side}_events", ProtectedLinkEvent) for side in SIDES]
        hits = step(Probe({}, [f"{side}_hits" for side in SIDES])).outputs
        failed = step(Probe({}, ["failed"])).outputs["failed"]
        return LinkReport(
            self.units,
            end - start + 1,
            wrong,
            surplus,
            {side: hits[f"{side}_hits"] for side in SIDES},
            causes,
            {name: sum(events[name] for events in counted) for name in counted[0]},
            training,
            bool(failed),
        )

    def _train(self, step: Step, levels: dict[str, int]) -> int:
        """Waits until the ends run."""
        cycles = 0
        while not step(Probe(levels, ["running"])).outputs["running"]:
            cycles += 1
        step(Probe({"counting": 1}, []))
        return cycles

    def _levels(self, random: np.random.Generator) -> dict[str, int]:
        levels = {}
        for side, dead in zip(SIDES, self.dead_lanes, strict=True):
            stuck = sum(1 << lane for lane in dead)
            values = sum(int(random.integers(2)) << lane for lane in dead)
            levels |= {
                f"{side}_faults__{name}": value
                for name, value in {
                    "error_rate": ChannelFaults.error_steps(self.error_rate, self.lanes),
                    "burst_rate": ChannelFaults.event_steps(self.burst_rate),
                    "burst_cycles": self.burst_cycles,
                    "outage_rate": ChannelFaults.event_steps(self.outage_rate),
                    "outage_cycles": self.outage_cycles,
                    "stuck": stuck,
                    "stuck_value": values,
                }.items()
            }
        return levels

    def _random_units(self, random: np.random.Generator, count: int) -> list[int]:
        size = -(-self.width // 8)
        mask = (1 << self.width) - 1
        data = random.bytes(size * count)
        return [
            int.from_bytes(data[at : at + size], "little") & mask
            for at in range(0, size * count, size)
        ]
