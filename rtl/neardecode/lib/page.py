"""What a reader asks of a memory, page by page, and what it gets.

The same two streams stand before a flash channel and before a DRAM vault.
"""

from amaranth.hdl import unsigned
from amaranth.lib import data
from amaranth.utils import exact_log2

from neardecode.config import TAG_BITS

__all__ = ["BeatRequest", "BeatWrite", "PageBeat", "PageRequest"]


class PageRequest(data.StructLayout):
    """A run of consecutive pages.

    Parameters:
        address_bits: Bits of a page's address within its channel or vault. The layout carries
            one more, so that an address beyond the memory is answered and not wrapped.

    Fields:
        address: The first page.
        pages: How many, from 1 to 255.
        fresh: Sense the pages even if a page buffer holds them: they have been written since.
        tag: Returned with every beat.
    """

    def __init__(self, address_bits: int):
        super().__init__(
            {
                "address": unsigned(address_bits + 1),
                "pages": unsigned(8),
                "fresh": unsigned(1),
                "tag": unsigned(TAG_BITS),
            }
        )


class PageBeat(data.StructLayout):
    """One beat of a page, in order of request.

    Parameters:
        beat_bytes: Bytes of a beat.

    Fields:
        data: The bytes, byte 0 in the lowest bits; zero where ``error`` is set.
        first: The first beat of a page.
        last: The last beat of a page.
        error: The page could not be read.
        tag: The request's tag.
    """

    def __init__(self, beat_bytes: int):
        super().__init__(
            {
                "data": unsigned(8 * beat_bytes),
                "first": unsigned(1),
                "last": unsigned(1),
                "error": unsigned(1),
                "tag": unsigned(TAG_BITS),
            }
        )


class BeatRequest(data.StructLayout):
    """One beat to read.

    Parameters:
        address_bits: Bits of a page's address within its vault.
        page_beats: Beats of a page.

    Fields:
        page: The page, with one bit more, as in `PageRequest`.
        beat: Which of its beats.
        tag: Returned with it.
    """

    def __init__(self, address_bits: int, page_beats: int):
        super().__init__(
            {
                "page": unsigned(address_bits + 1),
                "beat": unsigned(exact_log2(page_beats)),
                "tag": unsigned(TAG_BITS),
            }
        )


class BeatWrite(data.StructLayout):
    """One beat to write.

    Parameters:
        address_bits: Bits of a page's address within its vault; there is none beyond.
        page_beats: Beats of a page.
        beat_bytes: Bytes of a beat.

    Fields:
        page: The page.
        beat: Which of its beats.
        data: The bytes, byte 0 in the lowest bits.
        strobe: Which bytes are written.
    """

    def __init__(self, address_bits: int, page_beats: int, beat_bytes: int):
        super().__init__(
            {
                "page": unsigned(address_bits),
                "beat": unsigned(exact_log2(page_beats)),
                "data": unsigned(8 * beat_bytes),
                "strobe": unsigned(beat_bytes),
            }
        )
