"""AXI4-Lite with words of 32 bits.

Source: AMBA AXI and ACE Protocol Specification, IHI 0022H, chapter B1.
"""

from amaranth.hdl import unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "OKAY",
    "SLVERR",
    "WORD_BITS",
    "AxiLite",
    "LiteAddress",
    "LiteAnswer",
    "LiteRead",
    "LiteWrite",
]

ADDRESS_BITS = 12
WORD_BITS = 32
OKAY, SLVERR = 0, 2


class LiteAddress(data.StructLayout):
    """Where to read or write, in bytes."""

    def __init__(self):
        super().__init__({"addr": unsigned(ADDRESS_BITS)})


class LiteWrite(data.StructLayout):
    """A word to write."""

    def __init__(self):
        super().__init__({"data": unsigned(WORD_BITS)})


class LiteAnswer(data.StructLayout):
    """What became of a write: `OKAY` or `SLVERR`."""

    def __init__(self):
        super().__init__({"resp": unsigned(2)})


class LiteRead(data.StructLayout):
    """A word that was read, and what became of reading it."""

    def __init__(self):
        super().__init__({"data": unsigned(WORD_BITS), "resp": unsigned(2)})


class AxiLite(wiring.Signature):
    """The five channels, seen from the host. Protection and strobes are not there: words only."""

    def __init__(self):
        super().__init__(
            {
                "aw": Out(stream.Signature(LiteAddress())),
                "w": Out(stream.Signature(LiteWrite())),
                "b": In(stream.Signature(LiteAnswer())),
                "ar": Out(stream.Signature(LiteAddress())),
                "r": In(stream.Signature(LiteRead())),
            }
        )
