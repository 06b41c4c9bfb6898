"""The reduction tree between chips: when what all of them gave comes back."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from neardecode.config.topology import Topology

__all__ = ["Tree", "tree_depths"]

ROOT = 2
"""Cycles from a sum at the root to its result there."""


def tree_depths(chips: int) -> list[int]:
    """For each chip its links to the root, the first of those whose farthest chip is nearest.

    Chips lie in a line, or in the grid nearest to a square.
    """
    if chips == 1:
        return [0]
    rows = max(each for each in range(1, chips + 1) if chips % each == 0 and each * each <= chips)
    topology = Topology((chips,) if rows == 1 else (chips // rows, rows))
    return min((_distances(topology, root) for root in range(chips)), key=max)


def _distances(topology: Topology, root: int) -> list[int]:
    """Of every node to one."""
    found, level = {root: 0}, [root]
    while level:
        ends = [
            (far[0], found[node] + 1)
            for node in level
            for port in range(1, topology.ports)
            if (far := topology.neighbour(node, port)) is not None and far[0] not in found
        ]
        level = list(dict(ends))
        found |= dict(ends)
    return [found[node] for node in range(topology.nodes)]


class Tree:
    """Sums of what all chips give, a transfer a cycle.

    Word k of a chip that lies d links from the root is back ``d * (hop + 1) + 2`` cycles after the
    last chip's word k has come to the root, which takes as many links.

    Args:
        chips: How many.
        hop_cycles: Registers of a link between two of them.
    """

    def __init__(self, chips: int, hop_cycles: int):
        self.depths, self._hop = tree_depths(chips), hop_cycles + 1

    @property
    def latency(self) -> int:
        """Cycles from a transfer that all chips give at once to the last chip's sum."""
        return 2 * max(self.depths) * self._hop + ROOT

    def results(self, given: Mapping[int, NDArray[np.int64]]) -> dict[int, NDArray[np.int64]]:
        """When each transfer's sum is back, of the chips that are given.

        Args:
            given: When each chip gives each transfer.
        """
        at_root = np.max(
            [times + self.depths[chip] * self._hop for chip, times in given.items()], 0
        )
        steps = np.arange(len(at_root))
        at_root = np.maximum.accumulate(at_root - steps) + steps
        return {chip: at_root + self.depths[chip] * self._hop + ROOT for chip in given}
