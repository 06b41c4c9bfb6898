"""The pages of a layer's keys and values, as a vault or a channel holds them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neardecode.config.formats import PageLayout
from neardecode_testbench.reference.blocks import BlockVector
from neardecode_testbench.reference.pages import pack_rows

__all__ = ["kv_image", "kv_place"]


def kv_image(
    keys: Sequence[BlockVector], values: Sequence[BlockVector], layout: PageLayout, rows: int
) -> NDArray[np.uint8]:
    """A region for each KV head's keys, and one behind it for its values; unused bytes are zero.

    Args:
        keys, values: (rows, blocks) of each KV head, of 8 bits.
        layout: Of a page of MXINT8.
        rows: Most rows of a region, which is the whole pages that hold so many.

    Returns:
        (pages, page_bytes).
    """
    beats = -(-keys[0].blocks // layout.blocks_a_beat)
    pages = _region_pages(layout, beats, rows)
    image = np.zeros((2 * len(keys), pages, layout.page_bytes), np.uint8)
    for head, both in enumerate(zip(keys, values, strict=True)):
        for value, vectors in enumerate(both):
            packed = pack_rows(vectors, layout, beats)
            image[2 * head + value, : len(packed)] = packed
    return image.reshape(-1, layout.page_bytes)


def kv_place(
    layout: PageLayout,
    beats_a_row: int,
    kv_heads: int,
    rows: int,
    where: tuple[int, int, bool, int],
    beat: int = 0,
) -> tuple[int, int]:
    """The page of a beat of a row, and which of its element beats that is.

    Args:
        layout: Of a page of MXINT8.
        beats_a_row: Element beats of a row.
        kv_heads: Of a layer.
        rows: Most rows of a region.
        where: Layer, KV head, whether it is a value, row.
        beat: Of the row.
    """
    layer, head, value, row = where
    regions = [
        (each, of, kind)
        for each in range(layer + 1)
        for of in range(kv_heads)
        for kind in (False, True)
    ]
    before = regions.index((layer, head, value)) * _region_pages(layout, beats_a_row, rows)
    page, at = divmod(row * beats_a_row + beat, layout.element_beats)
    return before + page, at


def _region_pages(layout: PageLayout, beats_a_row: int, rows: int) -> int:
    """The whole pages that hold so many rows."""
    used = rows * beats_a_row * layout.beat_bytes
    return -(-used // (layout.element_beats * layout.beat_bytes))
