"""A thermal node's temperature in every cycle, exact."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["temperatures"]


def temperatures(
    events: NDArray[np.bool_], weights: Sequence[int], window: int, ambient: int
) -> NDArray[np.int64]:
    """Half degrees above 0 C before each cycle's events, and after the last.

    Args:
        events: (cycles, kinds). What happens in each cycle.
        weights: What each kind adds, in 2^-24 half degrees.
        window: At the end of so many cycles, 2^-8 of the excess leaks, rounded down.
        ambient: Half degrees; with the excess rounded down. Saturates at 511.
    """
    gains = events.astype(np.int64) @ np.asarray(weights, np.int64)
    most = (511 - ambient) << 24
    excess, seen = 0, []
    for cycle, gain in enumerate(gains.tolist()):
        seen.append(excess)
        leak = excess >> 8 if cycle % window == window - 1 else 0
        excess = min(most, excess - leak + gain)
    return ambient + (np.array([*seen, excess], np.int64) >> 24)
