"""Cells of a Liberty file, and units mapped to them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neardecode.lib.clock_gate import CLOCK_GATE
from neardecode_synth.gates import ELABORATE, SEARCH_CELLS, SEARCH_PRODUCT_BITS, Elaborated
from neardecode_synth.liberty_file import parse
from neardecode_synth.memories import SRAM
from neardecode_synth.units import CUT
from neardecode_synth.yosys import SynthesisError, from_brace, kept, run_passes

__all__ = ["INSTALLED", "INSTALLED_NM", "Cells", "Liberty", "map_to_cells"]

INSTALLED = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
"""Where Debian's package qflow-tech-osu018 puts the cells of a 180 nm process."""
INSTALLED_NM = 180

_PARAMETERS = re.compile(r" #\(\n(?:    \.\w+\(.*\),?\n)+  \) ")
_AND2 = r"\(?\s*\w+\s*[&*\s]\s*\w+\s*\)?"
_NAND2 = re.compile(rf"\(?\s*!\s*{_AND2}\s*\)?|\(?{_AND2}'\s*\)?")
_INVERTER = re.compile(r"\(?\s*!\s*\(?\w+\)?\s*\)?|\(?\w+\)?'")


@dataclass(frozen=True)
class Liberty:
    """A library.

    Attributes:
        name: What it calls itself.
        text: Its file's contents.
        areas: Area of each cell, in um2.
        nand2: Area of its smallest NAND of two inputs, in um2.
        inverter: Its largest inverter.
        volts: Its nominal supply.
    """

    name: str
    text: str
    areas: dict[str, float]
    nand2: float
    inverter: str
    volts: float

    @classmethod
    def read(cls, path: Path) -> "Liberty":
        """A library of a file.

        Raises:
            SynthesisError: if the file has no cells, or none is a NAND of two inputs.
        """
        text = path.read_text()
        try:
            library = parse(text)
        except ValueError as error:
            raise SynthesisError(f"{path}: {error}") from None
        areas: dict[str, float] = {}
        nand2 = []
        inverters = []
        for cell in library.all("cell") if library else ():
            if "area" not in cell.attributes:
                continue
            name = cell.arguments[0]
            areas[name] = cell.number("area")
            driven = [pin.attributes for pin in cell.all("pin") if "function" in pin.attributes]
            if len(driven) == 1 and "three_state" not in driven[0]:
                function = driven[0]["function"].strip()
                if _NAND2.fullmatch(function):
                    nand2.append(areas[name])
                if _INVERTER.fullmatch(function):
                    inverters.append((areas[name], name))
        if library is None or not areas:
            raise SynthesisError(f"{path}: is no Liberty file with areas")
        if not nand2 or not min(nand2):
            raise SynthesisError(f"{path}: has no NAND of two inputs, the unit of gates")
        if not inverters:
            raise SynthesisError(f"{path}: has no inverter")
        volts = library.number("nom_voltage")
        return cls(library.arguments[0], text, areas, min(nand2), max(inverters)[1], volts)


@dataclass(frozen=True)
class Cells:
    """A unit in the cells of a library, its parts and macros not counted.

    Attributes:
        counts: How many of each cell.
        area_um2: Their area.
        kge: The same in thousands of the library's NAND2.
        verilog: The netlist.
        nets: For each net of the netlist with a name of the design: where it was declared, if a
            line of it says so.
    """

    counts: dict[str, int]
    area_um2: float
    kge: float
    verilog: str
    nets: dict[str, str]


# abc's own script for libraries, without the search that does not come to an end in wide sums.
_WITHOUT_SEARCH = "+strash;dc2;map,-B,0.9;topo;buffer;upsize,{D};dnsize,{D}"
# In ps, shorter than any path: abc makes all as fast as it can.
_DELAY = "1"
# What stands before and behind a unit; with it abc puts buffers into wide nets and sizes cells.
_SURROUNDINGS = "set_driving_cell {}\nset_load 0.02 [all_outputs]\n"


def map_to_cells(unit: Elaborated, library: Liberty) -> Cells:
    """Maps a unit to the cells of a library.

    Raises:
        SynthesisError: if Yosys fails or leaves what the library has not.
    """

    def script(searched: bool) -> tuple[str, ...]:
        abc = f"abc -liberty cells.lib -constr surroundings -D {_DELAY}"
        return (
            "read_rtlil cells.il",
            # The reset gives the registers their values.
            "setattr -unset init w:*",
            "dfflibmap -liberty cells.lib",
            abc if searched else f"{abc} -script {_WITHOUT_SEARCH}",
            "setundef -zero",
            "hilomap -singleton -hicell tie_high Y -locell tie_low Y",
            "splitnets -ports",
            # OpenSTA reads no assignment to many bits, which is what a second name would be.
            "opt_clean -purge",
            "tee -q -o counts stat -json",
            "write_verilog -noexpr -noattr out.v",
            "write_json -noscopeinfo out.json",
        )

    def make() -> dict[str, Any]:
        counts, verilog, netlist = run_passes(
            script(unit.searched),
            {"cells.il": unit.rtlil, "cells.lib": library.text, "surroundings": surroundings},
            ("counts", "out.v", "out.json"),
        )
        names = from_brace(netlist)["modules"]["top"]["netnames"]
        return {
            "cells": from_brace(counts)["design"].get("num_cells_by_type", {}),
            # OpenSTA reads no parameters; only macros have some.
            "verilog": _PARAMETERS.sub(" ", verilog),
            "nets": {
                name: net["attributes"].get("src", "")
                for name, net in names.items()
                if not net["hide_name"]
            },
        }

    surroundings = _SURROUNDINGS.format(library.inverter)
    recipe = (
        ELABORATE,
        SEARCH_CELLS,
        SEARCH_PRODUCT_BITS,
        script(True),
        script(False),
        surroundings,
    )
    made = kept(make, "cells", unit.text, library.text, recipe)
    counts = {
        cell.lstrip("\\"): count
        for cell, count in made["cells"].items()
        if cell.lstrip("\\") not in (SRAM, CLOCK_GATE, "$scopeinfo", "tie_high", "tie_low")
        and not cell.lstrip("\\").startswith(CUT)
    }
    if other := set(counts) - set(library.areas):
        raise SynthesisError(f"{library.name} has no {', '.join(sorted(other))}")
    if without := [cell for cell in counts if not library.areas[cell]]:
        raise SynthesisError(f"{library.name}: {without[0]} has no area")
    area = sum(library.areas[cell] * count for cell, count in counts.items())
    return Cells(counts, area, area / library.nand2 / 1000, made["verilog"], made["nets"])
