"""What memories cost and the area of their TSVs, with the range of what is published.

Prices of a gigabyte, in US dollars.

DRAM in HBM: 8 to 10 (Asia Tech Feed, "What is HBM Memory", 2026); 238 for 24 GB of HBM3E (HBM Cost
Estimator Console, legitlads.com); a rise by 20 % that adds 580 to a B200 with 192 GB (Silicon
Analysts, 27 June 2026), so 2,900 for them.

Flash: nobody sells HBF. Low: 512 Gb of TLC at 2.40 (TrendForce, memory spot price update, 12
February 2025). High: a fifth of HBM's middle price, as the H3 proposal is reported to assume
(reportify.ai, "Core Viewpoint" on HBF). Middle: their geometric mean.

TSVs: signal TSVs at a pitch of 22 um, of 50 um, and the geometric mean of both (Duplex, arXiv
2409.01141, as the project's brief quotes it).

Logic, packages and boards are not in it: `neardecode area` measures logic, and a wafer's price says
little of a die without its yield.
"""

from math import sqrt

from neardecode.config import Config

__all__ = ["PITCH_UM", "USD_A_GB", "capacities_gb", "memory_usd", "tsv_mm2"]

_HBM = (8.0, 238 / 24, 2900 / 192)
_FLASH = (2.40 / 64, _HBM[1] / 5)
USD_A_GB: dict[str, tuple[float, float, float]] = {
    "stack": _HBM,
    "flash": (_FLASH[0], sqrt(_FLASH[0] * _FLASH[1]), _FLASH[1]),
}
"""Low, middle and high price of a gigabyte of each memory."""
PITCH_UM = (22.0, sqrt(22.0 * 50.0), 50.0)
"""Low, middle and high pitch of a TSV."""


def capacities_gb(config: Config) -> dict[str, float]:
    """What each memory of a chip holds."""
    flash, stack = config.flash, config.stack
    held = {"flash": flash.channels * flash.pages * flash.page_bytes / 1e9}
    if stack is not None:
        held["stack"] = stack.vaults * stack.pages * stack.page_bytes / 1e9
    return held


def memory_usd(config: Config, chips: int) -> tuple[float, float, float]:
    """What the memories of all chips cost: low, middle, high."""
    held = capacities_gb(config)
    low, middle, high = (
        chips * sum(size * USD_A_GB[name][end] for name, size in held.items()) for end in range(3)
    )
    return low, middle, high


def tsv_mm2(config: Config, chips: int) -> tuple[float, float, float]:
    """Area of the signal TSVs of all chips' stacks: low, middle, high."""
    assert config.stack is not None
    low, middle, high = (chips * config.stack.tsvs * pitch**2 / 1e6 for pitch in PITCH_UM)
    return low, middle, high
