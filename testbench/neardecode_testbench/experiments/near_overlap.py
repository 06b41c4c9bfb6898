"""Where RTL and the rule of near memory's ablation overlap: a memory port, in both.

Of a whole stack without near memory only its pins are computed. A port of it with its share of the
pins is simulated with real work, beside its memory and across the edge.
"""

from typing import Any

from pydantic import ValidationError

from neardecode.config import Config, ConfigError
from neardecode_testbench.scenarios.near_load import (
    WORKS,
    NearLoad,
    NearMeasure,
    measure_near,
    near_config,
)

__all__ = ["NEAR_WORKS", "crossed_cycles", "near_overlap"]

NEAR_WORKS = ("llama-7b weights", "llama-7b attention")
"""What the port does."""


def crossed_cycles(cycles: float, memory: float, pins: float) -> float:
    """Cycles of work whose beats all cross the edge.

    Args:
        cycles: With near memory.
        memory: Cycles in which the memory gives the beats.
        pins: Cycles in which pins carry them.
    """
    return cycles + max(0.0, pins - memory)


def near_overlap(config: Config) -> list[dict[str, Any]]:
    """Two rows a work, with near memory and without: cycles in RTL and by the rule.

    Every value is compared with the reference, and every byte over the edge counted.

    Raises:
        ConfigError: if the configuration has no room for such slices.
    """
    rows = []
    for work in NEAR_WORKS:
        near, far = (_measured(config, work, near_memory) for near_memory in (True, False))
        for one, cycles in (
            (near, near.bound),
            (far, crossed_cycles(near.cycles, near.beats, far.bound)),
        ):
            rows.append(
                {
                    "work": work,
                    "near_memory": "on" if one is near else "off",
                    "rtl_cycles": one.cycles,
                    "model_cycles": cycles,
                }
            )
    return rows


def _measured(config: Config, work: str, near_memory: bool) -> NearMeasure:
    try:
        settings = near_config(config, near_memory, 1)
    except ValidationError as error:
        (first, *_) = error.errors()
        raise ConfigError(f"a memory port cannot be simulated (--no-rtl): {first['msg']}") from None
    return measure_near(NearLoad(settings, WORKS[work].jobs(settings)))
