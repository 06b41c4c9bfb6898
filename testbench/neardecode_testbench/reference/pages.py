"""Rows of MXINT8 keys laid out in memory pages.

A row is padded with zero blocks to whole beats; rows follow each other over the element beats of
one page after another and so may straddle pages. Their scales lie first in the page that holds the
elements, as ``PageLayout`` says.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from neardecode.config.formats import BLOCK_ELEMENTS, BlockFormat, PageLayout
from neardecode_testbench.reference.blocks import BlockVector

__all__ = ["pack_rows", "page_of_row", "pages_of_rows", "unpack_rows", "write_row"]


def pages_of_rows(rows: int, layout: PageLayout, beats_a_row: int) -> int:
    """Pages that ``rows`` rows from row 0 on take up.

    Raises:
        ValueError: if ``rows`` is negative, or as ``page_of_row`` does.
    """
    if rows < 0:
        raise ValueError(f"rows must not be negative, not {rows!r}")
    _check(layout, beats_a_row)
    return -(-rows * beats_a_row // layout.element_beats)


def page_of_row(row: int, layout: PageLayout, beats_a_row: int) -> range:
    """The pages that row ``row`` touches.

    Raises:
        ValueError: if ``row`` is negative, ``beats_a_row`` is not positive, or the layout is not
            one of MXINT8 whose elements fill whole beats.
    """
    if row < 0:
        raise ValueError(f"row must not be negative, not {row!r}")
    _check(layout, beats_a_row)
    first = row * beats_a_row
    last = first + beats_a_row - 1
    return range(first // layout.element_beats, last // layout.element_beats + 1)


def pack_rows(keys: BlockVector, layout: PageLayout, beats_a_row: int) -> NDArray[np.uint8]:
    """The image of rows of keys from row 0 on; bytes that no row uses are zero.

    Parameters:
        keys: (rows, blocks), 8-bit elements.
        layout: where the parts of an MXINT8 page lie.
        beats_a_row: element beats that a row takes up.

    Returns:
        (pages, page_bytes).

    Raises:
        ValueError: as ``write_row`` does.
    """
    if keys.exponents.ndim != 2:
        raise ValueError(f"keys must be (rows, blocks), not {keys.exponents.shape}")
    rows = keys.exponents.shape[0]
    image = np.zeros((pages_of_rows(rows, layout, beats_a_row), layout.page_bytes), np.uint8)
    for row in range(rows):
        write_row(image, row, keys[row], layout, beats_a_row)
    return image


def write_row(
    image: NDArray[np.uint8], row: int, key: BlockVector, layout: PageLayout, beats_a_row: int
) -> None:
    """Write one row into its place in an image; nothing else changes.

    Parameters:
        image: (pages, page_bytes), changed in place.
        row: the row's number, from 0.
        key: (blocks,), 8-bit elements.
        layout: where the parts of an MXINT8 page lie.
        beats_a_row: element beats that a row takes up.

    Raises:
        ValueError: if the row does not fit its beats or the image, its elements are not of 8
            bits, or as ``page_of_row`` does.
    """
    if key.exponents.ndim != 1:
        raise ValueError(f"key must be (blocks,), not {key.exponents.shape}")
    if key.element_bits != 8:
        raise ValueError(f"element_bits must be 8, not {key.element_bits}")
    pages = page_of_row(row, layout, beats_a_row)
    room = beats_a_row * layout.blocks_a_beat
    if key.blocks > room:
        raise ValueError(f"blocks must be at most {room} in {beats_a_row} beats, not {key.blocks}")
    _check_image(image, pages.stop, layout)

    exponents = np.zeros(room, np.uint8)  # (row blocks,)
    exponents[: key.blocks] = key.exponents
    elements = np.zeros((room, BLOCK_ELEMENTS), np.int8)  # (row blocks, 32)
    elements[: key.blocks] = key.elements
    for page, slots, part in _parts(row, layout, beats_a_row):
        scales, stored = _views(image[page], layout)
        scales[slots] = exponents[part]
        stored[slots] = elements[part]


def unpack_rows(
    image: NDArray[np.uint8], rows: int, blocks: int, layout: PageLayout, beats_a_row: int
) -> BlockVector:
    """The keys of rows 0 to ``rows - 1`` of an image, (rows, blocks), without their padding.

    Raises:
        ValueError: if the rows do not fit the image or ``blocks`` the beats of a row, or as
            ``page_of_row`` does.
    """
    _check_image(image, pages_of_rows(rows, layout, beats_a_row), layout)
    room = beats_a_row * layout.blocks_a_beat
    if blocks > room:
        raise ValueError(f"blocks must be at most {room} in {beats_a_row} beats, not {blocks}")
    exponents = np.empty((rows, room), np.uint8)
    elements = np.empty((rows, room, BLOCK_ELEMENTS), np.int32)
    for row in range(rows):
        for page, slots, part in _parts(row, layout, beats_a_row):
            scales, stored = _views(image[page], layout)
            exponents[row, part] = scales[slots]
            elements[row, part] = stored[slots]
    return BlockVector(elements[:, :blocks], exponents[:, :blocks], 8)


def _parts(row: int, layout: PageLayout, beats_a_row: int) -> Iterator[tuple[int, slice, slice]]:
    """A row's parts, one a page: the page, the part's blocks in the page, and in the row."""
    room = beats_a_row * layout.blocks_a_beat
    first = row * room
    for page in page_of_row(row, layout, beats_a_row):
        start = max(first, page * layout.blocks)
        stop = min(first + room, (page + 1) * layout.blocks)
        in_page = slice(start - page * layout.blocks, stop - page * layout.blocks)
        yield page, in_page, slice(start - first, stop - first)


def _views(
    page: NDArray[np.uint8], layout: PageLayout
) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """The scales (blocks,) and the elements (blocks, 32) of a page (page_bytes,), as views."""
    start = layout.scale_beats * layout.beat_bytes
    elements = page[start : start + layout.blocks * BLOCK_ELEMENTS].view(np.int8)
    return page[: layout.blocks], elements.reshape(layout.blocks, BLOCK_ELEMENTS)


def _check(layout: PageLayout, beats_a_row: int) -> None:
    if layout.format is not BlockFormat.MXINT8:
        raise ValueError(f"layout must be of MXINT8, not {layout.format.name}")
    if layout.blocks != layout.element_beats * layout.blocks_a_beat:
        raise ValueError(
            f"layout must have {layout.element_beats * layout.blocks_a_beat} blocks"
            f" in {layout.element_beats} beats, not {layout.blocks}"
        )
    if beats_a_row < 1:
        raise ValueError(f"beats_a_row must be positive, not {beats_a_row!r}")


def _check_image(image: NDArray[np.uint8], pages: int, layout: PageLayout) -> None:
    if image.dtype != np.uint8 or image.ndim != 2 or image.shape[1] != layout.page_bytes:
        raise ValueError(
            f"image must be bytes of shape (pages, {layout.page_bytes}),"
            f" not {image.dtype} of {image.shape}"
        )
    if image.shape[0] < pages:
        raise ValueError(f"image must have at least {pages} pages, not {image.shape[0]}")
