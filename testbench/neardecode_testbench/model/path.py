"""The vector unit: when the blocks of a job leave."""

import numpy as np
from numpy.typing import NDArray

from neardecode.config import Operation

__all__ = ["block_times", "follow", "norm_times"]

ENGINE = {
    Operation.KEYS: 2,
    Operation.VALUES: 0,
    Operation.QUERIES: 2,
    Operation.GATE: 5,
}
"""Cycles of each job's engine."""
ROOT = 3
"""Cycles from a vector's last elements to its factor."""
NORMALISE = 4
QUANTISE = 2
READ = 1
"""Cycles from a read of the memory to its words."""


def follow(earliest: NDArray[np.int64], first: int) -> NDArray[np.int64]:
    """Times one a cycle at most, each no sooner than its own earliest, from ``first`` on."""
    steps = np.arange(len(earliest))
    lifted = np.maximum(earliest, first + steps) - steps
    return np.maximum.accumulate(lifted) + steps


def block_times(reads: NDArray[np.int64], transfers: int, engine: int) -> NDArray[np.int64]:
    """When each block stands at the output, of transfers that are read at these times."""
    ends = np.arange(transfers - 1, len(reads) + transfers - 1, transfers)
    return reads[np.minimum(ends, len(reads) - 1)] + READ + engine + QUANTISE


def norm_times(
    begun: int, count: int, weights: NDArray[np.int64], transfers: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """When a norm takes each transfer of weights, and when its blocks stand at the output.

    Args:
        begun: When its job was taken.
        count: Transfers.
        weights: When each transfer of weights is there.
        transfers: A block's.
    """
    # The first pass is read from the next cycle on; the second waits for the factor.
    factor = begun + count + READ + ROOT
    first = max(begun + count + 1 + READ, factor)
    taken = follow(weights, first)
    blocks = block_times(taken - READ, transfers, NORMALISE)
    return taken, blocks
