"""What waits at a vault."""

from amaranth.hdl import unsigned
from amaranth.lib import data
from amaranth.utils import exact_log2

from neardecode.config import Stack

__all__ = ["Access"]


class Access(data.StructLayout):
    """What waits: beats of one page that follow each other.

    Fields:
        write: They are written.
        bank: The bank in every group.
        row: Its row.
        beat: The next beat.
        left: How many come after it.
        place: Where in the read buffer it goes.
    """

    def __init__(self, config: Stack):
        beat = unsigned(exact_log2(config.page_beats))
        super().__init__(
            {
                "write": unsigned(1),
                "bank": unsigned(exact_log2(config.banks_a_group)),
                "row": unsigned(exact_log2(config.pages_a_bank)),
                "beat": beat,
                "left": beat,
                "place": unsigned(exact_log2(config.buffer_beats)),
            }
        )
