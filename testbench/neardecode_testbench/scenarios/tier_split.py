"""Which tokens of a context lie in flash, and which in a vault."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neardecode.attention.tiles import tile_pages
from neardecode.config import Config, KvMap
from neardecode_testbench.reference.integer.attention import ContextSplit

__all__ = ["TierSplit", "tier_split"]

FLASH = 0
"""The part that lies in flash."""


@dataclass(frozen=True)
class TierSplit(ContextSplit):
    """The oldest tokens lie in flash, the others in a vault.

    Attributes:
        pages: Pages of each region that are in flash.
    """

    pages: int = 0

    def members(self, part: int, positions: int) -> NDArray[np.int64]:
        """The positions, in order, that a tier holds."""
        if self.parts == 1:
            return np.arange(positions)
        return np.arange(self.tokens) if part == FLASH else np.arange(self.tokens, positions)


def tier_split(config: Config, kv_map: KvMap) -> TierSplit:
    """How a configuration deals a region's rows to flash and vault.

    Raises:
        ValueError: if all would be in a vault.
    """
    kv, pages = config.kv, kv_map.region_pages
    if kv.placement == "flash":
        return TierSplit(1, kv_map.rows, pages)
    if kv.placement == "stack":
        raise ValueError("kv.placement must be flash or tiered, not stack")
    tile = tile_pages(config)
    cold = (pages - kv.hot_pages) // tile * tile
    rows = cold * kv_map.layout.element_beats // kv_map.beats_a_row
    if cold <= 0 or rows >= kv_map.rows:
        raise ValueError(
            f"kv.hot_pages must leave a tile of {tile} of {pages} pages in flash, and some rows in"
            f" the vault, not {kv.hot_pages}"
        )
    return TierSplit(2, rows, cold)
