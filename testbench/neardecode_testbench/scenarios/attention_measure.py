"""What attention did, by the counters of the hardware."""

from dataclasses import dataclass
from enum import Enum

from neardecode_testbench.drive.stimulus import Probe, Step

__all__ = ["COUNT_BITS", "AttentionMeasure", "VaultsHeat", "part_counts", "part_values", "totals"]

COUNT_BITS = 48


@dataclass(frozen=True)
class VaultsHeat:
    """What the heat of vaults did; a slice's cause ``HEAT`` counts the cycles that it took.

    Attributes:
        temperature_c: At the end, of the hottest.
        throttle: At the end, of 16 cycles those that are taken from the slice below it.
        hot_cycles: In which refresh ran at twice the rate, of all vaults.
    """

    temperature_c: float
    throttle: int
    hot_cycles: int


@dataclass(frozen=True)
class AttentionMeasure:
    """What attention did.

    Attributes:
        values: Partials' maxima and totals, weighted sums and words, each compared.
        cycles: From the offer of the first command to the last word.
        appending: Cycles in which the rows were written.
        window: From the first beat that a unit took to its last, the longest of all units.
        beats: Beats that all units took.
        utilisation: Of the beats that the memories could give in the units' windows.
        lane_occupancy: Of the multipliers in the units' windows, those with an element.
        causes, slice_causes, memory_causes: Cycles of all units, slices and memories by cause.
        heat: Of the vaults, where there is heat.
    """

    values: int
    cycles: int
    appending: int
    window: int
    beats: int
    utilisation: float
    lane_occupancy: float
    causes: dict[str, int]
    slice_causes: dict[str, int]
    memory_causes: dict[str, int]
    heat: VaultsHeat | None = None


def part_values(step: Step, port: str, parts: int, width: int) -> list[int]:
    """What a port shows of each part."""
    bits = step(Probe({}, [port])).outputs[port]
    return [bits >> part * width & (1 << width) - 1 for part in range(parts)]


def part_counts(step: Step, port: str, causes: type[Enum], parts: int) -> list[dict[str, int]]:
    """The counts of each part, by name; counting stops."""
    step(Probe({"counting": 0}, [port]))
    each = part_values(step, port, parts, COUNT_BITS * len(causes))
    mask = (1 << COUNT_BITS) - 1
    return [
        {cause.name: bits >> COUNT_BITS * cause.value & mask for cause in causes} for bits in each
    ]


def totals(counts: list[dict[str, int]], cycles: int) -> dict[str, int]:
    """The counts of all parts together.

    Raises:
        ValueError: if a part does not own each cycle once.
    """
    if any(sum(one.values()) != cycles for one in counts):
        raise ValueError(f"causes of {[sum(one.values()) for one in counts]} of {cycles} cycles")
    return {name: sum(one[name] for one in counts) for name in counts[0]}
