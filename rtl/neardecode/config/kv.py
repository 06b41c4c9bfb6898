"""The KV cache: where it is kept, and where in a memory each row of it lies."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from neardecode.config.formats import BLOCK_ELEMENTS, PageLayout
from neardecode.config.section import Section

__all__ = ["MOST_TILES_AHEAD", "Kv", "KvMap"]

MOST_TILES_AHEAD = 64
"""The most that `Kv.tiles_ahead` may be."""


class Kv(Section):
    """Keys and values beside the weights."""

    placement: Literal["stack", "flash", "tiered"] = "stack"
    """In DRAM vaults, in flash, or its newest pages in vaults and the others in flash."""
    hot_pages: Annotated[int, Field(ge=1)] = 2
    """Where it is tiered, pages of keys, and as many of values, that stay in a vault; a multiple of
    the pages of a tile."""
    tiles_ahead: Annotated[int, Field(ge=2, le=MOST_TILES_AHEAD)] = 4
    """Tiles of keys or values whose pages may be asked for ahead."""


@dataclass(frozen=True)
class KvMap:
    """Where rows lie in one memory: keys and values of a KV head in regions of their own.

    Region ``2 * (layer * kv_heads + kv_head) + value`` begins at ``region_pages`` times that. Rows
    follow each other over its pages' element beats.

    Attributes:
        layout: Of a page of MXINT8.
        head_size: Elements of a row, whole beats.
        kv_heads: Of a layer.
        rows: Most rows of a region.
    """

    layout: PageLayout
    head_size: int
    kv_heads: int
    rows: int

    @property
    def beats_a_row(self) -> int:
        """Element beats of a row."""
        return self.head_size // (BLOCK_ELEMENTS * self.layout.blocks_a_beat)

    @property
    def region_pages(self) -> int:
        """Pages of a region."""
        return -(-self.rows * self.beats_a_row // self.layout.element_beats)

    def base(self, layer: int, kv_head: int, value: bool) -> int:
        """The first page of a region."""
        return (2 * (layer * self.kv_heads + kv_head) + value) * self.region_pages

    def place(self, layer: int, kv_head: int, value: bool, row: int) -> tuple[int, int]:
        """The page of a row's first beat, and which of its element beats that is."""
        page, beat = divmod(row * self.beats_a_row, self.layout.element_beats)
        return self.base(layer, kv_head, value) + page, beat
