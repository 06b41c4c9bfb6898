"""What the write path and its neighbours say to each other."""

from amaranth.hdl import unsigned
from amaranth.lib import data
from amaranth.utils import ceil_log2, exact_log2

from neardecode.config import Flash
from neardecode.flash.sections import host_of

__all__ = [
    "BankStrobe",
    "Fate",
    "PageAddress",
    "UnitProbe",
    "UnitProbed",
    "UnitRead",
    "UnitStrobe",
    "WriteEnd",
    "WriteEvents",
    "WriteOpen",
]


class WriteOpen(data.StructLayout):
    """A write to flash, before its data.

    Fields:
        entry: Names the command in its answer.
        bank, row: The page, the row being the logical one.
        first, beats: Which beats of the page; they do not go beyond it.
        refused, info: If not zero, how it is answered after its data.
    """

    def __init__(self, config: Flash):
        super().__init__(
            {
                "entry": unsigned(exact_log2(host_of(config).writes)),
                "bank": unsigned(ceil_log2(config.banks)),
                "row": unsigned(ceil_log2(config.pages_a_bank)),
                "first": unsigned(ceil_log2(config.page_beats)),
                "beats": unsigned(ceil_log2(config.page_beats + 1)),
                "refused": unsigned(4),
                "info": unsigned(3),
            }
        )


class PageAddress(data.StructLayout):
    """A page by its bank and its logical row."""

    def __init__(self, config: Flash):
        super().__init__(
            {
                "bank": unsigned(ceil_log2(config.banks)),
                "row": unsigned(ceil_log2(config.pages_a_bank)),
            }
        )


class UnitProbe(data.StructLayout):
    """A reader's question whether a unit holds its page.

    Fields:
        en: There is one in this cycle.
        bank, row: The page, the row being the logical one.
        first, beats: Which beats of it are wanted.
    """

    def __init__(self, config: Flash):
        super().__init__(
            {
                "en": unsigned(1),
                "bank": unsigned(ceil_log2(config.banks)),
                "row": unsigned(ceil_log2(config.pages_a_bank)),
                "first": unsigned(ceil_log2(config.page_beats)),
                "beats": unsigned(ceil_log2(config.page_beats + 1)),
            }
        )


class UnitRead(data.StructLayout):
    """A beat of a unit's buffer to read, if ``en``."""

    def __init__(self, config: Flash):
        super().__init__(
            {
                "en": unsigned(1),
                "unit": unsigned(exact_log2(host_of(config).units)),
                "beat": unsigned(ceil_log2(config.page_beats)),
            }
        )


class WriteEvents(data.StructLayout):
    """What happens in a cycle, a bit each: pages programmed, blocks erased, programs and erases
    that failed, units that ran out of time."""

    def __init__(self):
        names = ("programs", "erases", "program_failures", "erase_failures", "timeouts")
        super().__init__({name: unsigned(1) for name in names})


class BankStrobe(data.StructLayout):
    """A bank, if ``en``."""

    def __init__(self, config: Flash):
        super().__init__({"en": unsigned(1), "bank": unsigned(ceil_log2(config.banks))})


class Fate(data.StructLayout):
    """How a write ended: a `WriteStatus` and its information."""

    def __init__(self):
        super().__init__({"status": unsigned(4), "info": unsigned(3)})


class UnitStrobe(data.StructLayout):
    """A unit, if ``en``."""

    def __init__(self, config: Flash):
        super().__init__({"en": unsigned(1), "unit": unsigned(exact_log2(host_of(config).units))})


class UnitProbed(data.StructLayout):
    """The answer to a `UnitProbe`.

    Fields:
        hit: A unit holds the page.
        unit: Which.
        pending: Some of the beats asked for has not come.
    """

    def __init__(self, config: Flash):
        super().__init__(
            {
                "hit": unsigned(1),
                "unit": unsigned(exact_log2(host_of(config).units)),
                "pending": unsigned(1),
            }
        )


class WriteEnd(data.StructLayout):
    """How a write ended.

    Fields:
        entry: Which.
        status, info: How.
    """

    def __init__(self, writes: int):
        super().__init__(
            {"entry": unsigned(exact_log2(writes)), "status": unsigned(4), "info": unsigned(3)}
        )
