"""SRAM: which memories are macros, and what those cost.

A macro with one port for reading and writing, or one for each, is what compilers offer; more
read ports are more copies. The area is proportional to the bits, between the densest and the
loosest of the macros that were published for SkyWater's 130 nm process:

- 256 words of 32 bits, one port: 422 um by 291 um (SRAM22), 15.0 um2 a bit;
- 1024 words of 32 bits, one port: 534,277 um2 (OpenRAM, github.com/ShonTaware/SRAM_SKY130),
  16.3 um2 a bit;
- 256 words of 32 bits, one port for both and one that reads: 479 um by 397 um (OpenRAM), 23.2 um2
  a bit.

The first and third are compared at web.open-source-silicon.dev, thread 27017238. The gate of the
same process that is the unit of gate equivalents is sky130_fd_sc_hd__nand2_1, three sites of
0.46 um by 2.72 um. A macro of few words costs more than this, for its periphery does not shrink;
one of other nodes is not derived from it.
"""

import re
from dataclasses import dataclass

__all__ = ["NODE_NM", "REGISTERS", "SRAM", "Macro", "macros"]

SRAM = "sram"
"""What a macro is called in a netlist."""
REGISTERS = ((16, None), (32, 128), (64, 64))
"""Memories of at most so many words, of at most so many bits each, become flip-flops; others are
macros: those of more than 16 words and about 4,096 bits, and all of more than 64 words."""
NODE_NM = 130
"""The node of the areas."""

NAND2_UM2 = 3 * 0.46 * 2.72
ONE_PORT_UM2_A_BIT = (422 * 291 / 8192, 534277 / 32768)
TWO_PORTS_UM2_A_BIT = 479 * 397 / 8192


@dataclass(frozen=True)
class Macro:
    """A memory.

    Attributes:
        words: Its words.
        width: Bits of a word.
        reads: Ports that read.
        writes: Ports that write.
    """

    words: int
    width: int
    reads: int
    writes: int

    @property
    def bits(self) -> int:
        """Bits that it keeps."""
        return self.words * self.width

    @property
    def area_um2(self) -> tuple[float, float] | None:
        """Smallest and largest area at `NODE_NM`; None if it writes two words in a cycle."""
        if self.writes > 1:
            return None
        if self.writes + self.reads == 1:
            low, high = ONE_PORT_UM2_A_BIT
            return low * self.bits, high * self.bits
        # One that is never read and written in the same cycle would do with one port.
        low, high = ONE_PORT_UM2_A_BIT[0], TWO_PORTS_UM2_A_BIT
        return low * self.bits * self.reads, high * self.bits * self.reads

    @property
    def gates(self) -> tuple[float, float] | None:
        """Its area in gates of the same node."""
        area = self.area_um2
        return area and (area[0] / NAND2_UM2, area[1] / NAND2_UM2)


def macros(dump: str) -> list[Macro]:
    """The memories of an RTLIL dump of memory cells."""
    columns = (
        [int(value) for value in re.findall(rf"parameter (?:signed )?\\{name} (\d+)\n", dump)]
        for name in ("SIZE", "WIDTH", "RD_PORTS", "WR_PORTS")
    )
    return [Macro(*values) for values in zip(*columns, strict=True)]
