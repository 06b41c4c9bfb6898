"""The area of a component in gates, by Yosys' generic two-input mapping.

Gate equivalents: NAND and NOR 1, inverter 0.67, flip-flop 5.67; a flip-flop with an enable is
counted at 5.67 and at 8, as libraries differ, so an area is a range.

Source of the weights: a NAND2 of a typical standard-cell library is the unit.
"""

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from amaranth.lib import wiring

from neardecode.verilog import to_rtlil

__all__ = ["Area", "SynthesisError", "synthesise"]

SRAM = "sram"
"""What an SRAM macro is called in the netlist."""

SRAM_WORDS = 64
"""Memories of more words than this are SRAM and counted in bits; others become flip-flops."""

WIDE_FACTOR = 11
"""Products of two factors of at least so many bits are recoded."""

GATE_WEIGHTS = {"$_NAND_": 1.0, "$_NOR_": 1.0, "$_NOT_": 0.67}
FLIP_FLOP = 5.67
FLIP_FLOP_WITH_ENABLE = 8.0


class SynthesisError(RuntimeError):
    """A component that Yosys did not synthesise, or whose result is not plausible."""


@dataclass(frozen=True)
class Area:
    """What a component is made of.

    Attributes:
        gates: Two-input gates and inverters, by Yosys' cell type.
        flip_flops: Flip-flops.
        enabled_flip_flops: Those among them with an enable.
        sram_bits: Bits of memories that stay memories.
    """

    gates: dict[str, int]
    flip_flops: int
    enabled_flip_flops: int
    sram_bits: int

    @property
    def logic_ge(self) -> float:
        """Gate equivalents of the logic alone."""
        return sum(GATE_WEIGHTS[cell] * count for cell, count in self.gates.items())

    @property
    def low_ge(self) -> float:
        """Gate equivalents without SRAM, every flip-flop at 5.67."""
        return self.logic_ge + FLIP_FLOP * self.flip_flops

    @property
    def high_ge(self) -> float:
        """Gate equivalents without SRAM, a flip-flop with an enable at 8."""
        return self.low_ge + (FLIP_FLOP_WITH_ENABLE - FLIP_FLOP) * self.enabled_flip_flops


def synthesise(component: wiring.Component) -> Area:
    """Maps a component to gates and counts them.

    Raises:
        SynthesisError: if Yosys fails, or finds nothing, or leaves a cell of another kind.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, counts, memories = (Path(folder) / name for name in ("in.il", "counts", "memories"))
        source.write_text(to_rtlil(component, "top"))
        passes = (
            f"read_rtlil {source}",
            "chformal -remove",
            "hierarchy -top top",
            "proc",
            "flatten",
            "opt",
            "memory -nomap",
            f"memory_map t:$mem_v2 r:SIZE<={SRAM_WORDS} %i",
            f"tee -o {memories} dump t:$mem_v2",
            # An SRAM is a macro: Yosys keeps it, with all that drives it, and leaves it alone.
            f"chtype -set \\{SRAM} t:$mem_v2",
            # Sums of many wide rows keep abc from coming to an end: it searches them for equal
            # nodes. Booth's recoding halves the rows; of narrow factors it makes more logic.
            "wreduce",
            f"booth t:$mul r:A_WIDTH>={WIDE_FACTOR} %i r:B_WIDTH>={WIDE_FACTOR} %i",
            "synth -top top -run coarse:check -noabc",
            "abc -g cmos2",
            f"tee -o {counts} stat -json",
        )
        result = subprocess.run(
            [sys.executable, "-c", _RUN_PASSES, *passes],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0 or not counts.exists():
            last = (result.stdout + result.stderr).strip().splitlines()[-1:]
            raise SynthesisError(f"Yosys failed: {''.join(last) or 'no message'}")
        sram_bits = _memory_bits(memories.read_text())
        cells = json.loads(_from_brace(counts.read_text()))["design"]["num_cells_by_type"]

    gates = {cell: cells.pop(cell, 0) for cell in GATE_WEIGHTS}
    for cell in (SRAM, "$scopeinfo"):
        cells.pop(cell, None)
    flip_flops = {cell: count for cell, count in cells.items() if "DFF" in cell}
    if other := set(cells) - set(flip_flops):
        raise SynthesisError(f"cells that have no area: {', '.join(sorted(other))}")
    area = Area(
        gates,
        sum(flip_flops.values()),
        sum(count for cell, count in flip_flops.items() if "DFFE" in cell),
        sram_bits,
    )
    if area.low_ge == 0:
        raise SynthesisError("nothing was left of the component: has it outputs?")
    return area


def _memory_bits(dump: str) -> int:
    """Bits of all memory cells of an RTLIL dump."""
    parameters = ("SIZE", "WIDTH")
    sizes, widths = (
        [int(value) for value in re.findall(rf"parameter (?:signed )?\\{name} (\d+)\n", dump)]
        for name in parameters
    )
    return sum(size * width for size, width in zip(sizes, widths, strict=True))


def _from_brace(text: str) -> str:
    return text[text.index("{") :]


_RUN_PASSES = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for line in sys.argv[1:]:
    libyosys.run_pass(line, design)
"""
