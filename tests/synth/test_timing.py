"""The longest path: named by source lines, and never of no time."""

import pytest
from tests.synth.test_units import Count

from neardecode.tools import ToolRun
from neardecode_synth import area, timing
from neardecode_synth.area import measure
from neardecode_synth.block import Block
from neardecode_synth.liberty import Cells, Liberty
from neardecode_synth.yosys import SynthesisError

LIBRARY = Liberty("small", "library (small) {}", {"XNOR2X1": 7.0}, 4.0, "INVX1", 1.8)
NETLIST = """
  XNOR2X1 _3_ (
    .A(\\count[1] ),
    .B(\\count[0] ),
    .Y(_2_)
  );
  DFFPOSX1 _7_ (
    .CLK(clk),
    .D(_1_),
    .Q(\\count[1] )
  );
"""
CELLS = Cells({"XNOR2X1": 1}, 7.0, 0.1, NETLIST, {"count[0]": "a.py:3", "count": "a.py:4"})
REPORT = """
         0.0000    0.0000 ^ _6_/CLK (DFFPOSX1)
         0.2051    0.2051 v _6_/Q (DFFPOSX1)
    3                       count[0] (net)
         0.1081    0.3132 v _3_/Y (XNOR2X1)
    1                       _2_ (net)
         0.0000    0.3641 ^ _7_/D (DFFPOSX1)
                   0.3641   data arrival time
                 {slack}   slack (MET)
"""


@pytest.fixture
def reported(monkeypatch, tmp_path):
    """Has OpenSTA say something, of which nothing is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def report(printed, errors="", *, succeeded=True):
        run = ToolRun(succeeded, printed, errors, [])
        monkeypatch.setattr(timing, "run_tool", lambda *_: run)

    return report


def test_a_path_is_named_by_source_lines_up_to_the_register_at_its_end(reported):
    reported(REPORT.format(slack="999.4481"))
    path = timing.longest_path(CELLS, LIBRARY)
    assert path is not None
    assert path["delay_ns"] == pytest.approx(0.5519)
    assert path["fmax_mhz"] == pytest.approx(1000 / 0.5519)
    assert path["path"] == [
        {"net": "count[0]", "source": "a.py:3", "time_ns": 0.2051},
        {"net": "count[1]", "source": "a.py:4", "time_ns": 0.3641},
    ]


def test_a_path_of_no_time_is_an_error(reported):
    reported(REPORT.format(slack="1000.0000"))
    with pytest.raises(SynthesisError, match="a path without delay"):
        timing.longest_path(CELLS, LIBRARY)


@pytest.mark.parametrize(
    ("printed", "errors", "succeeded", "complaint"),
    [
        ("Error: cells.lib line 1, syntax error\n", "", True, "cells.lib line 1, syntax error"),
        ("", "Error: run.tcl, 4 unknown\nError: more\n", False, "OpenSTA failed: .*4 unknown$"),
        ("", "", False, "OpenSTA failed: no message"),
    ],
)
def test_what_opensta_complains_of_is_told(reported, printed, errors, succeeded, complaint):
    reported(printed, errors, succeeded=succeeded)
    with pytest.raises(SynthesisError, match=complaint):
        timing.longest_path(CELLS, LIBRARY)


def test_a_block_without_a_path_is_an_error(reported, monkeypatch):
    reported("No paths found.\n")
    monkeypatch.setattr(timing, "has_tool", lambda: True)
    monkeypatch.setattr(area, "map_to_cells", lambda *_: CELLS)
    (found,) = measure([Block("count", lambda: Count(3), "Count(3)")], LIBRARY, 1)
    assert str(found) == "count: no path was found"
