"""How the parts of the read path name pages: by their places in a queue, and by their buffers."""

from amaranth.hdl import unsigned
from amaranth.lib import data
from amaranth.utils import ceil_log2

from neardecode.config import Flash

__all__ = ["Filled", "Kill", "PageQuery", "Served", "Slot", "Ticket"]


class Ticket(data.StructLayout):
    """A place in a bank's queue of pages.

    Fields:
        bank: The bank.
        place: Which place; its lowest bit is the page buffer that the page gets.
    """

    def __init__(self, config: Flash):
        super().__init__(
            {
                "bank": unsigned(ceil_log2(config.banks)),
                "place": unsigned(ceil_log2(config.queue_pages)),
            }
        )


class Slot(data.StructLayout):
    """One of the two page buffers of a bank.

    Fields:
        bank: The bank.
        way: Which of its two.
    """

    def __init__(self, banks: int):
        super().__init__({"bank": unsigned(ceil_log2(banks)), "way": unsigned(1)})


class PageQuery(data.StructLayout):
    """A page that somebody wants to read.

    Fields:
        bank, row: Which; the row is the physical one.
        stage: The read-retry stage to sense it with.
        fresh: Sense it even if it is buffered.
        waits: It may wait for others before it is sensed.
    """

    def __init__(self, config: Flash):
        super().__init__(
            {
                "bank": unsigned(ceil_log2(config.banks)),
                "row": unsigned(ceil_log2(config.rows)),
                "stage": unsigned(3),
                "fresh": unsigned(1),
                "waits": unsigned(1),
            }
        )


class Served(data.StructLayout):
    """A reader is done with a page.

    Fields:
        en: In this cycle.
        ticket: The page's.
    """

    def __init__(self, config: Flash):
        super().__init__({"en": unsigned(1), "ticket": Ticket(config)})


class Filled(data.StructLayout):
    """What became of a page that was sensed.

    Fields:
        en: Known in this cycle.
        slot: The page buffer that it went to.
        again: It has to be sensed again, with the next read-retry stage.
        failed: Its readers get no data, and no later reader may find it.
    """

    def __init__(self, config: Flash):
        super().__init__(
            {
                "en": unsigned(1),
                "slot": Slot(config.banks),
                "again": unsigned(1),
                "failed": unsigned(1),
            }
        )


class Kill(data.StructLayout):
    """Copies of a page, or of all pages of its block, are stale.

    Fields:
        en: In this cycle.
        bank, row: The page.
        block: Its whole block.
    """

    def __init__(self, config: Flash):
        super().__init__(
            {
                "en": unsigned(1),
                "bank": unsigned(ceil_log2(config.banks)),
                "row": unsigned(ceil_log2(config.rows)),
                "block": unsigned(1),
            }
        )
