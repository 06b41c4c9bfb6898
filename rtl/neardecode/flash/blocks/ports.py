"""What the block table and its neighbours say to each other."""

from amaranth.hdl import unsigned
from amaranth.lib import data
from amaranth.utils import ceil_log2

from neardecode.config import Flash
from neardecode.flash.sections import host_of

__all__ = [
    "COUNT_BITS",
    "BlockAddress",
    "BlockErased",
    "BlockRow",
    "BlockState",
    "BlockUpdate",
    "BlockWear",
    "ZoneSwap",
]

COUNT_BITS = 32
"""Of what is counted of a block."""


class BlockAddress(data.StructLayout):
    """A block by its bank and its logical number, if ``en``."""

    def __init__(self, config: Flash):
        super().__init__(
            {
                "en": unsigned(1),
                "bank": unsigned(ceil_log2(config.banks)),
                "block": unsigned(ceil_log2(config.blocks_a_bank)),
            }
        )


class BlockRow(data.StructLayout):
    """A physical block by one of its pages, if ``en``."""

    def __init__(self, config: Flash):
        super().__init__(
            {
                "en": unsigned(1),
                "bank": unsigned(ceil_log2(config.banks)),
                "row": unsigned(ceil_log2(config.rows)),
            }
        )


class BlockErased(data.StructLayout):
    """A block that was erased, if ``en``.

    Fields:
        bank, row: One of its physical pages.
        block: Its logical number.
    """

    def __init__(self, config: Flash):
        super().__init__(
            {
                "en": unsigned(1),
                "bank": unsigned(ceil_log2(config.banks)),
                "row": unsigned(ceil_log2(config.rows)),
                "block": unsigned(ceil_log2(config.blocks_a_bank)),
            }
        )


class BlockWear(data.StructLayout):
    """How often a physical block was used.

    Fields:
        reads: Senses of its pages since it was erased.
        erases: All of them.
    """

    def __init__(self):
        super().__init__({"reads": unsigned(COUNT_BITS), "erases": unsigned(COUNT_BITS)})


class BlockState(data.StructLayout):
    """What the block table knows of a block.

    Fields:
        physical: Its physical block.
        next_page: The page that a write must bring next; a block's number of pages if it is full.
        failed: A program failed: only page 0 may follow.
        retired: A `Retired`, or zero.
    """

    def __init__(self, config: Flash):
        host = host_of(config)
        super().__init__(
            {
                "physical": unsigned(ceil_log2(config.blocks_a_bank + host.spare_blocks)),
                "next_page": unsigned(ceil_log2(host.pages_a_block + 1)),
                "failed": unsigned(1),
                "retired": unsigned(3),
            }
        )


class BlockUpdate(data.StructLayout):
    """What changes in the record of a block, if ``en``."""

    def __init__(self, config: Flash):
        super().__init__(
            {
                "en": unsigned(1),
                "bank": unsigned(ceil_log2(config.banks)),
                "block": unsigned(ceil_log2(config.blocks_a_bank)),
                "next_page": unsigned(ceil_log2(host_of(config).pages_a_block + 1)),
                "failed": unsigned(1),
            }
        )


class ZoneSwap(data.StructLayout):
    """Two zones that change places.

    Fields:
        en: There are two in this cycle.
        source, destination: The zones.
    """

    def __init__(self, zones: int):
        bits = ceil_log2(zones)
        super().__init__(
            {"en": unsigned(1), "source": unsigned(bits), "destination": unsigned(bits)}
        )
