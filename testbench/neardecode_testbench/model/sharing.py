"""Heads whose tokens lie on several chips: two messages a head, one head after the other."""

from collections.abc import Mapping, Sequence

import numpy as np

from neardecode_testbench.model.attention import HeadTimes, VaultAttention
from neardecode_testbench.model.tree import Tree

__all__ = ["SharedHead", "SharedHeads"]


class SharedHead:
    """What the chips know of a head, each by its number.

    Attributes:
        times: A chip's command; None of one that holds no token yet.
        units: The unit that works on it, or one alike.
        blocks: What comes of it, as `HeadTimes` says.
    """

    def __init__(self) -> None:
        self.times: dict[int, HeadTimes | None] = {}
        self.units: dict[int, VaultAttention] = {}
        self.blocks: dict[int, list[int]] = {}


class SharedHeads:
    """Merges the heads of a layer, as soon as every chip has its part of the next one.

    A head's maxima go round, a transfer a chip, and then its sum of weights and its weighted sums,
    moved to the largest maximum; every chip's unit holds them until then. A message's first
    transfer is given a cycle behind its length, and the next state comes two cycles behind its last
    result.

    Args:
        tree: What joins the chips.
        heads: In order.
        begun: When each chip was told of them, and no exchange has the tree any more.
    """

    def __init__(self, tree: Tree, heads: Sequence[SharedHead], begun: Mapping[int, int]):
        self._tree, self._heads = tree, heads
        self._begins = {chip: time + 1 for chip, time in begun.items()}
        self._done = 0

    @property
    def busy(self) -> bool:
        """Heads are still to be merged."""
        return self._done < len(self._heads)

    @property
    def free(self) -> dict[int, int]:
        """When each chip is done with them."""
        return self._begins

    def merge(self) -> bool:
        """Merges the next head, if all its parts are known."""
        if not self.busy:
            return False
        head = self._heads[self._done]
        parts = {chip: times for chip, times in head.times.items() if times is not None}
        if any(times.partial is None for times in parts.values()):
            return False
        chips = len(self._tree.depths)
        came = self._send({chip: self._there(head, chip) for chip in self._begins}, chips)
        given: dict[int, int] = {chip: int(times[-1]) + 3 for chip, times in came.items()}
        elements = next(iter(head.units.values())).elements
        # The sum of weights is there; the first weighted sums may come later.
        sums = {
            chip: max(first, parts[chip].sums - 1 if chip in parts else 0)
            for chip, first in given.items()
        }
        steps = np.arange(elements + 1)
        contributions = {
            chip: np.where(steps == 0, given[chip], sums[chip] + steps) for chip in given
        }
        merged = self._tree.results(contributions)
        for chip, times in merged.items():
            unit = head.units[chip]
            own = parts.get(chip)
            gone = int(contributions[chip][-1])
            head.blocks[chip], ends = unit.merged(own, times, given[chip], gone)
            self._begins[chip] = ends + 2
        self._done += 1
        return True

    def _there(self, head: SharedHead, chip: int) -> int:
        times = head.times[chip]
        known = self._begins[chip] if times is None else times.partial
        assert known is not None
        return max(self._begins[chip], known)

    def _send(self, lengths: Mapping[int, int], transfers: int):
        """A message whose lengths are told at these times; when its results are back."""
        steps = np.arange(transfers)
        return self._tree.results({chip: time + 1 + steps for chip, time in lengths.items()})
