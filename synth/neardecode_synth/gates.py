"""Gates of no library: two-input gates, inverters and flip-flops.

Gate equivalents: NAND and NOR 1, inverter 0.67. Libraries differ in what a flip-flop costs, so an
area has two ends: every flip-flop at 5.67, and every one at 8.

Source of the weights: a NAND2 of a typical standard-cell library is the unit, as published router
areas were counted that these are compared with.
"""

import re
from dataclasses import dataclass
from typing import Any

from neardecode.lib.clock_gate import CLOCK_GATE
from neardecode.verilog import without_sources
from neardecode_synth.memories import REGISTERS, SRAM, Macro, macros
from neardecode_synth.units import CUT
from neardecode_synth.yosys import SynthesisError, from_brace, kept, run_passes

__all__ = ["ELABORATE", "FLIP_FLOP", "Elaborated", "Gates", "map_to_gates"]

FLIP_FLOP = (5.67, 8.0)
GATE_WEIGHTS = {"$_NAND_": 1.0, "$_NOR_": 1.0, "$_NOT_": 0.67}

WIDE_FACTOR = 11
"""Products of two factors of at least so many bits are recoded."""

SEARCH_CELLS = 25_000
SEARCH_PRODUCT_BITS = 2000
"""In a unit of more cells, or of products of more partial bits in all, abc does not look for equal
nodes: in wide sums of products that does not come to an end."""

ELABORATE = (
    "read_rtlil in.il",
    "chformal -remove",
    "hierarchy -check -top top",
    "proc",
    "flatten",
    "opt",
    "memory -nomap",
    *(
        f"memory_map t:$mem_v2 r:SIZE<={words} %i" + (f" r:WIDTH<={bits} %i" if bits else "")
        for words, bits in REGISTERS
    ),
    "tee -q -o memories dump t:$mem_v2",
    # A macro is kept, with all that drives it, and left alone.
    f"chtype -set \\{SRAM} t:$mem_v2",
    # Booth's recoding halves the rows of wide products; of narrow factors it makes more logic.
    "wreduce",
    "tee -q -o products dump t:$mul",
    f"booth t:$mul r:A_WIDTH>={WIDE_FACTOR} %i r:B_WIDTH>={WIDE_FACTOR} %i",
    "synth -top top -run coarse:check -noabc",
    "opt_clean -purge",
    "write_rtlil cells.il",
    "tee -q -o cells stat -json",
)
"""From RTLIL to Yosys' own cells of one bit."""


@dataclass(frozen=True)
class Gates:
    """What a unit is made of, its parts not counted.

    Attributes:
        gates: Two-input gates and inverters, by Yosys' cell type.
        flip_flops: Flip-flops.
        enabled_flip_flops: Those among them with an enable.
        macros: Memories that stay memories.
        clock_gates: Gates of clocks, which a library has a cell for and which have no area here.
    """

    gates: dict[str, int]
    flip_flops: int
    enabled_flip_flops: int
    macros: tuple[Macro, ...]
    clock_gates: int = 0

    @property
    def logic_ge(self) -> float:
        """Gate equivalents of the logic alone."""
        return sum(GATE_WEIGHTS[cell] * count for cell, count in self.gates.items())

    @property
    def low_ge(self) -> float:
        """Gate equivalents without macros, a flip-flop at 5.67."""
        return self.logic_ge + FLIP_FLOP[0] * self.flip_flops

    @property
    def high_ge(self) -> float:
        """Gate equivalents without macros, a flip-flop at 8."""
        return self.logic_ge + FLIP_FLOP[1] * self.flip_flops

    @property
    def sram_bits(self) -> int:
        """Bits of the macros."""
        return sum(macro.bits for macro in self.macros)


class Elaborated:
    """A unit in Yosys' own cells of one bit, made when it is first asked for.

    Attributes:
        text: The unit's RTLIL.
    """

    def __init__(self, text: str):
        self.text = text
        self._made: list[str] = []

    @property
    def _outputs(self) -> list[str]:
        # A cached_property of Python 3.11 lets one instance at a time be computed, of all.
        if not self._made:
            files = ("cells.il", "cells", "memories", "products")
            self._made = run_passes(ELABORATE, {"in.il": self.text}, files)
        return self._made

    @property
    def rtlil(self) -> str:
        """The cells."""
        return self._outputs[0]

    @property
    def searched(self) -> bool:
        """Whether abc may look for equal nodes."""
        if product_bits(self._outputs[3]) > SEARCH_PRODUCT_BITS:
            return False
        return from_brace(self._outputs[1])["design"]["num_cells"] <= SEARCH_CELLS

    @property
    def macros(self) -> list[Macro]:
        """The memories that stay memories."""
        return macros(self._outputs[2])


def product_bits(dump: str) -> int:
    """Partial bits of all products of an RTLIL dump of multipliers."""
    widths = (
        [int(value) for value in re.findall(rf"parameter (?:signed )?\\{name} (\d+)\n", dump)]
        for name in ("A_WIDTH", "B_WIDTH")
    )
    return sum(a * b for a, b in zip(*widths, strict=True))


_SEARCHED = "abc -g cmos2"
_NOT_SEARCHED = "abc -g cmos2 -script +strash;dc2;map,{D}"


def map_to_gates(unit: Elaborated) -> Gates:
    """Maps a unit.

    Raises:
        SynthesisError: if Yosys fails, finds nothing, or leaves a cell of another kind.
    """

    def make() -> dict[str, Any]:
        script = _SEARCHED if unit.searched else _NOT_SEARCHED
        (counts,) = run_passes(
            ("read_rtlil cells.il", script, "tee -q -o counts stat -json"),
            {"cells.il": unit.rtlil},
            ("counts",),
        )
        return {
            "cells": from_brace(counts)["design"].get("num_cells_by_type", {}),
            "memories": [list(vars(macro).values()) for macro in unit.macros],
        }

    recipe = (ELABORATE, SEARCH_CELLS, SEARCH_PRODUCT_BITS, _SEARCHED, _NOT_SEARCHED)
    made = kept(make, "gates", without_sources(unit.text), recipe)
    cells: dict[str, int] = made["cells"]
    gates = {cell: cells.pop(cell, 0) for cell in GATE_WEIGHTS}
    clock_gates = cells.pop(CLOCK_GATE, 0)
    for cell in [
        SRAM,
        "$scopeinfo",
        *(cell for cell in cells if cell.lstrip("\\").startswith(CUT)),
    ]:
        cells.pop(cell, None)
    flip_flops = {cell: count for cell, count in cells.items() if "DFF" in cell}
    if other := set(cells) - set(flip_flops):
        raise SynthesisError(f"cells that have no area: {', '.join(sorted(other))}")
    return Gates(
        gates,
        sum(flip_flops.values()),
        sum(count for cell, count in flip_flops.items() if "DFFE" in cell),
        tuple(Macro(*values) for values in made["memories"]),
        clock_gates,
    )
