"""Energy of moving and reading bits, by counts of events and published energies a bit.

Every figure is a range of three. They are of products and processes of their own; none is scaled
to another node.

Flash, a page sensed. Nobody has published one for high-bandwidth flash, so these are of a planar
single-level NAND: current while reading, times supply, times 25 us, over 2048 bytes. Sources:
Numonyx NAND01G-B2B/NAND02G-B2C, tables 22 and 23 (8 mA at 1.8 V; 10 typical and 20 mA largest at
3 V); Intel JS29F02G08AANB3 (a page of 2048 + 64 bytes, 25 us).

DRAM, a bit read or written with its share of opening the row. Source: O'Connor et al.,
"Fine-Grained DRAM", MICRO-50 2017, doi 10.1145/3123939.3124545: HBM2 3.92 pJ in all, of them 1.21
for activation and 2.24 to move it over the die; half of the whole for the design that it proposes.

TSV, a bit between dies of a stack. Sources: UCIe 3D with hybrid bonding, 0.01 to 0.05 pJ (Das
Sharma, Hot Interconnects 2025); HBM2's interface, 0.30 pJ (O'Connor et al.).

Link, a bit between dies side by side: a memory's stack and the chip, or two chips. Sources: UCIe
2.5D 0.25 and 2D 0.5 pJ (Das Sharma); NVLink 1.3 pJ (NVIDIA, "What is NVLink?").

SRAM, a bit read or written. Source: Horowitz, "Computing's energy problem", ISSCC 2014: a word of
64 bits from a memory of 8 KB 10 pJ, of 32 KB 20 pJ, of 1 MB 100 pJ, at 45 nm.

Refresh is not in these; the logic and its clock are what `switching` counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["PICOJOULES_A_BIT", "Energy", "energies"]

_PAGE_BITS = 2048 * 8
_READ_NS = 25_000


def _sense(milliamperes: float, volts: float) -> float:
    """pJ a bit."""
    return milliamperes * volts * _READ_NS / _PAGE_BITS


PICOJOULES_A_BIT: dict[str, tuple[float, float, float]] = {
    "flash": (_sense(8, 1.8), _sense(10, 3.0), _sense(20, 3.0)),
    "dram": (3.92 / 2, 1.21 + 2.24, 3.92),
    "tsv": (0.01, 0.05, 0.30),
    "link": (0.25, 0.5, 1.3),
    "sram": (10 / 64, 20 / 64, 100 / 64),
}
"""For each component the energy of a bit: low, middle, high."""


@dataclass(frozen=True)
class Energy:
    """Energy of a component.

    Attributes:
        component: Its name in `PICOJOULES_A_BIT`.
        bits: Bits that were read or moved.
        low: Joules at least.
        middle: Joules by the middle figure.
        high: Joules at most.
    """

    component: str
    bits: float
    low: float
    middle: float
    high: float


def energies(bits: Mapping[str, float]) -> list[Energy]:
    """Energy of each component.

    Args:
        bits: Bits that each read or moved.

    Raises:
        ValueError: if a component is not known, or nothing was moved at all.
    """
    if unknown := set(bits) - set(PICOJOULES_A_BIT):
        raise ValueError(f"no energy is known of {', '.join(sorted(unknown))}")
    if any(count < 0 for count in bits.values()) or not any(bits.values()):
        raise ValueError("no bit was moved: there is no energy of nothing")
    return [
        Energy(component, count, *(count * pj * 1e-12 for pj in PICOJOULES_A_BIT[component]))
        for component, count in bits.items()
    ]
