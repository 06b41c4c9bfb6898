"""Block formats and the layout of a page of blocks.

A page is self-contained: the scales of its blocks come first, their elements follow, each part
starting on a beat. Packer (numpy) and unpacker (RTL) are written separately and meet only in the
numbers of this file.

Source: GGUF's Q4_0, Q4_1 and Q8_0; OCP Microscaling Formats v1.0 for MXINT8 and MXFP4.
"""

import enum
from dataclasses import dataclass

__all__ = ["BLOCK_ELEMENTS", "BlockFormat", "PageLayout", "page_layout"]

BLOCK_ELEMENTS = 32
"""Elements that share a scale, in every format."""


class BlockFormat(enum.Enum):
    """A block of 32 elements with a shared scale."""

    Q4_0 = 0
    """Unsigned nibble q, value (q - 8) * d; d in fp16."""
    Q4_1 = 1
    """Unsigned nibble q, value q * d + m; d and m in fp16."""
    Q8_0 = 2
    """Signed byte q, value q * d; d in fp16."""
    MXINT8 = 3
    """Signed byte q, value q * 2^(e - 127 - 6); e in E8M0, read as an integer of 2^(e - 133)."""
    MXFP4 = 4
    """E2M1 nibble, value f * 2^(e - 127); e in E8M0."""

    @property
    def element_bits(self) -> int:
        """Bits of one element in memory."""
        return 4 if self in (BlockFormat.Q4_0, BlockFormat.Q4_1, BlockFormat.MXFP4) else 8

    @property
    def scale_bytes(self) -> int:
        """Bytes of one block's scale, with its minimum where the format has one."""
        return {
            BlockFormat.Q4_0: 2,
            BlockFormat.Q4_1: 4,
            BlockFormat.Q8_0: 2,
            BlockFormat.MXINT8: 1,
            BlockFormat.MXFP4: 1,
        }[self]

    @property
    def element_bytes(self) -> int:
        """Bytes of one block's elements."""
        return BLOCK_ELEMENTS * self.element_bits // 8


@dataclass(frozen=True)
class PageLayout:
    """Where the parts of a page of one format lie.

    Block ``i`` has its scale at byte ``gap_beats * beat_bytes + i * scale_bytes`` and its elements
    at byte ``head_beats * beat_bytes + i * element_bytes``, little-endian, element 0 first (the low
    nibble of byte ``j`` is element ``2 * j``). Unused bytes are zero.

    Where there is a beat of gaps, its byte ``k`` says how many beats of zeros were left out before
    the page's beat ``k`` of elements.
    """

    format: BlockFormat
    page_bytes: int
    beat_bytes: int
    blocks: int
    """Blocks in a page."""
    scale_beats: int
    """Beats of scales, first in the page."""
    element_beats: int
    """Beats of elements, following the scales."""
    gap_beats: int = 0
    """Beats before the scales: 1 in a page that leaves beats of zeros out, otherwise 0."""

    @property
    def beats(self) -> int:
        """Beats in a page, used or not."""
        return self.page_bytes // self.beat_bytes

    @property
    def head_beats(self) -> int:
        """Beats before the elements."""
        return self.gap_beats + self.scale_beats

    @property
    def blocks_a_beat(self) -> int:
        """Blocks whose elements fill one beat."""
        return self.beat_bytes // self.format.element_bytes


def page_layout(
    block_format: BlockFormat, page_bytes: int, beat_bytes: int, *, gaps: bool = False
) -> PageLayout:
    """The layout that holds the most blocks in a page; with ``gaps``, in whole beats.

    Raises:
        ValueError: if a beat does not hold whole blocks or a page whole beats.
    """
    if beat_bytes < BLOCK_ELEMENTS or beat_bytes & (beat_bytes - 1):
        raise ValueError(
            f"beat_bytes must be a power of two and at least {BLOCK_ELEMENTS}, not {beat_bytes!r}"
        )
    if page_bytes % beat_bytes or page_bytes < 2 * beat_bytes:
        raise ValueError(
            f"page_bytes must be a multiple of {beat_bytes} and at least two beats,"
            f" not {page_bytes!r}"
        )

    def beats_of(size: int) -> int:
        return -(-size // beat_bytes)

    blocks = page_bytes // (block_format.element_bytes + block_format.scale_bytes)
    step = 1
    if gaps:
        step = beat_bytes // block_format.element_bytes
        blocks -= blocks % step
    while (
        beats_of(blocks * block_format.scale_bytes) + beats_of(blocks * block_format.element_bytes)
        > page_bytes // beat_bytes - gaps
    ):
        blocks -= step
    return PageLayout(
        format=block_format,
        page_bytes=page_bytes,
        beat_bytes=beat_bytes,
        blocks=blocks,
        scale_beats=beats_of(blocks * block_format.scale_bytes),
        element_beats=beats_of(blocks * block_format.element_bytes),
        gap_beats=int(gaps),
    )
