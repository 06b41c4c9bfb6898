"""The longest path of a netlist, by OpenSTA.

Wires cost nothing here, for nothing is placed: what stands is the delay of the cells with the
load of each other. Macros and the parts that are units of their own begin and end no path; a
unit's inputs come, and its outputs are taken, at the clock's edge.
"""

import re
import shutil
from typing import Any

from neardecode.tools import run_tool
from neardecode_synth.liberty import Cells, Liberty
from neardecode_synth.yosys import SynthesisError, kept

__all__ = ["TOOL", "has_tool", "longest_path"]

TOOL = "sta"
"""OpenSTA's command; Debian's package is opensta."""

PERIOD_NS = 1000.0
_SCRIPT = f"""
read_liberty cells.lib
read_verilog netlist.v
link_design top
set clocks [list]
set data [list]
foreach port [all_inputs] {{
  set name [get_property $port full_name]
  if {{$name eq "clk" || [string match "*_clk" $name]}} {{
    lappend clocks $port
  }} else {{
    lappend data $port
  }}
}}
# A clock gate is transparent; what it drives is the clock.
foreach pin [get_pins -quiet */gated] {{ lappend clocks $pin }}
if {{[llength $clocks]}} {{
  create_clock -name clk -period {PERIOD_NS} $clocks
}} else {{
  create_clock -name clk -period {PERIOD_NS}
}}
if {{[llength $data]}} {{ set_input_delay 0 -clock clk $data }}
set_output_delay 0 -clock clk [all_outputs]
report_checks -path_delay max -fields {{net}} -digits 4
"""
_NET = re.compile(r"^ +\d* +(\S.*) \(net\)$")
_POINT = re.compile(r"^ +[\d.]+ +([\d.]+) [v^] (\S+)/(\S+) \((\w+)\)$")
_SLACK = re.compile(r"^ +(-?[\d.]+)   slack ", re.M)


def has_tool() -> bool:
    """Whether OpenSTA is there."""
    return shutil.which(TOOL) is not None


def longest_path(cells: Cells, library: Liberty) -> dict[str, Any] | None:
    """A unit's longest path, or None if it has none.

    Returns:
        ``delay_ns``, ``fmax_mhz``, and ``path``: for each net with a name on it ``net``, ``source``
        (empty if no line declares it) and ``time_ns``.

    Raises:
        SynthesisError: if OpenSTA fails.
    """

    def make() -> dict[str, Any]:
        files = {"cells.lib": library.text, "netlist.v": cells.verilog, "run.tcl": _SCRIPT}
        run = run_tool([TOOL, "-exit", "-no_splash", "run.tcl"], files)
        if not run.succeeded or "Error" in run.printed + run.errors:
            errors = re.findall(r"^Error: .*$", run.printed + run.errors, re.M)
            raise SynthesisError(f"OpenSTA failed: {''.join(errors[:1]) or 'no message'}")
        return {"report": run.printed}

    report: str = kept(make, "sta", library.text, cells.verilog, _SCRIPT)["report"]
    if not (slack := _SLACK.search(report)):
        return None
    delay = PERIOD_NS - float(slack[1])
    if delay <= 0:
        raise SynthesisError("a path without delay")
    return {"delay_ns": delay, "fmax_mhz": 1000 / delay, "path": _path(report, cells)}


def _path(report: str, cells: Cells) -> list[dict[str, Any]]:
    """The nets of the longest path that the design has a name for."""
    path, time = [], 0.0
    end = ""
    for line in report.splitlines():
        if point := _POINT.match(line):
            time, end = float(point[1]), point[2]
        elif net := _NET.match(line):
            path.append((net[1].strip(), time))
    # The register at the end is known by what it drives.
    if register := re.search(
        rf"\n  \w+ {re.escape(end)} \(\n(?:.*\n)*?.*\.Q\((.*?)\)", cells.verilog
    ):
        path.append((register[1].strip().lstrip("\\"), time))
    named = []
    for name, time in path:
        bare = name.lstrip("\\").replace("\\", "")
        source = cells.nets.get(bare, cells.nets.get(re.sub(r"\[\d+\]$", "", bare)))
        if source is not None:
            named.append({"net": bare, "source": source, "time_ns": time})
    return named
