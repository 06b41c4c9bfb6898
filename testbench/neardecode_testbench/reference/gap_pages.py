"""Rows of blocks laid out in memory pages without their beats of zeros.

Rows follow each other block by block, as in ``weight_pages``, and are cut into beats. A beat whose
every block adds nothing to its row is left out, unless a row ends in it; the beat that is stored
after it says how many were left out, at most 255. Pages are filled with stored beats one after
another, so that rows of few blocks take few beats, pages and cycles.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neardecode.config.formats import PageLayout
from neardecode_testbench.reference.weight_pages import pack_weights, unpack_weights
from neardecode_testbench.reference.weights import WeightBlocks, fp16_factor

__all__ = ["GapRows", "pack_gaps", "unpack_gaps"]

LARGEST_GAP = 255


@dataclass(frozen=True, eq=False)
class GapRows:
    """What a reader makes of an image.

    Attributes:
        blocks: (rows, blocks). Those that were left out, or that no page holds, are zeros.
        ends: For each row the stored beat that ends it, counted over the pages; -1 where the pages
            end before it.
        broken: The first row whose place in the pages is not known; as many as rows if none.
        beats: Stored beats that were read.
        missing: Blocks that no page holds.
        left_out: Blocks before beats that were read.
    """

    blocks: WeightBlocks
    ends: NDArray[np.int64]  # (rows,)
    broken: int
    beats: int
    missing: int
    left_out: int


def pack_gaps(weights: WeightBlocks, layout: PageLayout) -> NDArray[np.uint8]:
    """The image of rows of weights; bytes that no row uses are zero.

    Parameters:
        weights: (rows, blocks).
        layout: of a page with gaps, of the same format.

    Returns:
        (pages, page_bytes).

    Raises:
        ValueError: if the formats differ, or the layout is not one with gaps.
    """
    rows, blocks = weights.scales.shape
    size = layout.blocks_a_beat
    beats = -(-rows * blocks // size)
    flat = _flat(weights, beats * size)
    wanted = np.any(~_adds_nothing(flat).reshape(beats, size), axis=1)
    wanted[((np.arange(rows) + 1) * blocks - 1) // size] = True
    gap, gaps, kept = 0, [], []
    for beat in range(beats):
        if wanted[beat] or gap == LARGEST_GAP:
            kept.append(beat)
            gaps.append(gap)
            gap = 0
        else:
            gap += 1
    index = np.array(kept)[:, np.newaxis] * size + np.arange(size)  # (kept, size)
    image = np.roll(pack_weights(flat[index], _straight(layout)), layout.beat_bytes, axis=1)
    told = np.zeros(len(image) * layout.element_beats, np.uint8)
    told[: len(gaps)] = gaps
    image[:, : layout.element_beats] = told.reshape(len(image), -1)
    return image


def unpack_gaps(
    image: NDArray[np.uint8],
    rows: int,
    blocks: int,
    layout: PageLayout,
    bad_pages: frozenset[int] = frozenset(),
) -> GapRows:
    """What a reader makes of an image.

    A gap that would reach over a row's last beat counts as none. From such a one on, and from a
    page that cannot be read, places are not known.

    Parameters:
        image: (pages, page_bytes).
        rows, blocks: of the weights.
        layout: of a page with gaps.
        bad_pages: pages that cannot be read; the image has what is read in their place.

    Raises:
        ValueError: if the layout is not one with gaps.
    """
    size, total = layout.blocks_a_beat, rows * blocks
    stored_beats = len(image) * layout.element_beats
    straight = np.roll(image, -layout.beat_bytes, axis=1)
    stored = unpack_weights(straight, stored_beats, size, _straight(layout))
    gaps = image[:, : layout.element_beats].reshape(-1).tolist()
    ends = np.full(rows, -1, np.int64)
    place, row, broken = 0, 0, rows
    places: list[int] = []
    while row < rows and len(places) < stored_beats:
        beat = len(places)
        beyond = gaps[beat] * size >= (row + 1) * blocks - place
        if beyond or beat // layout.element_beats in bad_pages:
            broken = min(broken, row)
        places.append(place + (0 if beyond else gaps[beat] * size))
        place = places[-1] + size
        if place >= (row + 1) * blocks:
            ends[row] = beat
            row += 1
    index = np.array(places)[:, np.newaxis] + np.arange(size)
    flat = _flat(stored[:0], total + size)
    read = stored[: len(places)]
    flat.elements[index] = read.elements
    flat.scales[index] = read.scales
    if flat.minimums is not None and read.minimums is not None:
        flat.minimums[index] = read.minimums
    shape = (rows, blocks)
    return GapRows(
        flat[np.arange(total).reshape(shape)],
        ends,
        min(broken, row),
        len(places),
        max(0, total - place),
        place - len(places) * size,
    )


def _straight(layout: PageLayout) -> PageLayout:
    """The layout of the page behind its gaps."""
    if not layout.gap_beats:
        raise ValueError("layout must be of pages with gaps")
    return replace(layout, gap_beats=0)


def _flat(weights: WeightBlocks, count: int) -> WeightBlocks:
    """Blocks one after another, and behind them blocks of zeros, (count,)."""

    def padded(part: NDArray[Any]) -> NDArray[Any]:
        """(rows, blocks, ...) to (count, ...)."""
        full = np.zeros((count, *part.shape[2:]), part.dtype)
        rows = part.reshape(-1, *part.shape[2:])
        full[: len(rows)] = rows
        return full

    minimums = None if weights.minimums is None else padded(weights.minimums)
    return WeightBlocks(weights.format, padded(weights.elements), padded(weights.scales), minimums)


def _adds_nothing(blocks: WeightBlocks) -> NDArray[np.bool_]:
    """Whether a block's terms are zero whatever it is multiplied by, and mark nothing."""
    scale = blocks.scale_factor()
    nothing = ((blocks.elements == 0).all(axis=-1) | (scale.mantissa == 0)) & ~scale.invalid
    if blocks.minimums is not None:
        least = fp16_factor(blocks.minimums)
        nothing &= (least.mantissa == 0) & ~least.invalid
    return nothing
