"""Rows of blocks of any format laid out in memory pages.

Rows follow each other block by block, without padding, and so straddle beats and pages; or every
page holds the same number of whole rows, and what is left of it is unused. The scales of a page's
blocks lie before their elements, as ``PageLayout`` says.
"""

import numpy as np
from numpy.typing import NDArray

from neardecode.config.formats import BLOCK_ELEMENTS, BlockFormat, PageLayout
from neardecode_testbench.reference.weights import TWICE_E2M1, WeightBlocks

__all__ = ["blocks_of_pages", "pack_weights", "unpack_weights", "weight_pages"]


def blocks_of_pages(blocks: int, layout: PageLayout, page_rows: int = 0) -> int:
    """Blocks of a page that rows of ``blocks`` blocks use.

    Raises:
        ValueError: if ``page_rows`` rows do not fit a page.
    """
    used = page_rows * blocks if page_rows else layout.blocks
    if used > layout.blocks:
        raise ValueError(
            f"page_rows must be at most {layout.blocks // blocks} for rows of {blocks} blocks,"
            f" not {page_rows}"
        )
    return used


def weight_pages(rows: int, blocks: int, layout: PageLayout, page_rows: int = 0) -> int:
    """Pages that rows take up."""
    return -(-rows * blocks // blocks_of_pages(blocks, layout, page_rows))


def pack_weights(
    weights: WeightBlocks, layout: PageLayout, page_rows: int = 0
) -> NDArray[np.uint8]:
    """The image of rows of weights; bytes that no row uses are zero.

    Parameters:
        weights: (rows, blocks).
        layout: where the parts of a page of the same format lie.
        page_rows: whole rows a page, or 0 where rows straddle pages.

    Returns:
        (pages, page_bytes).

    Raises:
        ValueError: if the formats differ, or as ``blocks_of_pages`` does.
    """
    _check(weights.format, layout)
    rows, blocks = weights.scales.shape
    used = blocks_of_pages(blocks, layout, page_rows)
    pages = weight_pages(rows, blocks, layout, page_rows)

    def paged(flat: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(rows * blocks, bytes) to (pages, used * bytes)."""
        image = np.zeros((pages * used, flat.shape[-1]), np.uint8)
        image[: len(flat)] = flat
        return image.reshape(pages, -1)

    words = weights.scales.astype(weights.scales.dtype.newbyteorder("<")).reshape(-1, 1)
    if weights.minimums is not None:
        words = np.concatenate([words, weights.minimums.astype("<u2").reshape(-1, 1)], axis=1)
    scales = paged(np.ascontiguousarray(words).view(np.uint8))
    elements = paged(_stored(weights).reshape(rows * blocks, -1))
    image = np.zeros((pages, layout.page_bytes), np.uint8)
    image[:, : scales.shape[1]] = scales
    start = layout.scale_beats * layout.beat_bytes
    image[:, start : start + elements.shape[1]] = elements
    return image


def unpack_weights(
    image: NDArray[np.uint8], rows: int, blocks: int, layout: PageLayout, page_rows: int = 0
) -> WeightBlocks:
    """The rows of an image, (rows, blocks).

    Raises:
        ValueError: if the image has too few pages, or as ``blocks_of_pages`` does.
    """
    used = blocks_of_pages(blocks, layout, page_rows)
    pages = weight_pages(rows, blocks, layout, page_rows)
    if image.shape[0] < pages or image.shape[1] != layout.page_bytes:
        raise ValueError(
            f"image must be at least ({pages}, {layout.page_bytes}), not {image.shape}"
        )
    format_ = layout.format

    def flat(start: int, size: int) -> NDArray[np.uint8]:
        """Bytes of each block, (rows, blocks, size)."""
        parts = image[:pages, start : start + used * size].reshape(-1, size)
        return np.ascontiguousarray(parts[: rows * blocks]).reshape(rows, blocks, size)

    words = flat(0, format_.scale_bytes)
    stored = flat(layout.scale_beats * layout.beat_bytes, format_.element_bytes)
    if format_.element_bits == 4:
        nibbles = np.stack([stored & 15, stored >> 4], axis=-1).reshape(rows, blocks, -1)
        if format_ is BlockFormat.MXFP4:
            elements = TWICE_E2M1[nibbles]
        else:
            elements = nibbles.astype(np.int8) - np.int8(8 * (format_ is BlockFormat.Q4_0))
    else:
        elements = stored.view(np.int8)
    if format_.scale_bytes == 1:
        return WeightBlocks(format_, elements, words[..., 0])
    halves = words.view("<u2").astype(np.uint16)
    minimums = halves[..., 1] if format_ is BlockFormat.Q4_1 else None
    return WeightBlocks(format_, elements, halves[..., 0], minimums)


def _stored(weights: WeightBlocks) -> NDArray[np.uint8]:
    """Elements as they lie in memory, (rows, blocks, bytes)."""
    elements = weights.elements
    if weights.format.element_bits == 8:
        return elements.view(np.uint8)
    if weights.format is BlockFormat.MXFP4:
        codes = np.zeros(25, np.uint8)
        codes[TWICE_E2M1 + 12] = np.arange(16)
        # Zero has two codes; the positive one is written.
        codes[12] = 0
        nibbles = codes[elements + 12]
    else:
        nibbles = (elements + 8 * (weights.format is BlockFormat.Q4_0)).astype(np.uint8)
    pairs = nibbles.reshape(*nibbles.shape[:-1], BLOCK_ELEMENTS // 2, 2)
    return np.bitwise_or(pairs[..., 0], np.left_shift(pairs[..., 1], 4), dtype=np.uint8)


def _check(format_: BlockFormat, layout: PageLayout) -> None:
    if layout.format is not format_:
        raise ValueError(f"layout must be of {format_.name}, not {layout.format.name}")
