"""Units in cells of a library: their area, and what the library has not."""

import json

import pytest

from neardecode_synth import gates, liberty
from neardecode_synth.gates import Elaborated
from neardecode_synth.liberty import Liberty, map_to_cells
from neardecode_synth.yosys import SynthesisError

LIBRARY = Liberty("small", "library (small) {}", {"NAND2": 4.0, "WIRE": 0.0}, 4.0, "INV", 1.8)


@pytest.fixture
def mapped(monkeypatch, tmp_path):
    """Maps to so many cells of each kind, as Yosys would say; nothing of it is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def cells(**counts):
        counted = {"design": {"num_cells": 1, "num_cells_by_type": counts}}
        attributes = {"src": "a.py:3"}
        nets = {
            "sum": {"hide_name": 0, "attributes": attributes},
            "$1": {"hide_name": 1, "attributes": attributes},
            "port": {"hide_name": 0, "attributes": {}},
        }
        netlist = json.dumps({"modules": {"top": {"netnames": nets}}})
        elaborated = ["", json.dumps(counted), "", ""]
        monkeypatch.setattr(gates, "run_passes", lambda *_: elaborated)
        verilog = "  NAND2 #(\n    .WIDTH(1)\n  ) a ();\n"
        monkeypatch.setattr(
            liberty, "run_passes", lambda *_: [json.dumps(counted), verilog, netlist]
        )
        return map_to_cells(Elaborated("text"), LIBRARY)

    return cells


def test_an_area_is_that_of_cells_and_not_of_what_is_a_unit_of_its_own(mapped):
    cells = mapped(NAND2=3, sram=1, clock_gate=1, cut_1=2, tie_low=1)
    assert cells.counts == {"NAND2": 3}
    assert cells.area_um2 == 12.0
    assert cells.kge == pytest.approx(0.003)
    assert cells.nets == {"sum": "a.py:3", "port": ""}
    assert cells.verilog == "  NAND2 a ();\n"


@pytest.mark.parametrize(
    ("cell", "complaint"),
    [
        ("$_DLATCH_P_", r"small has no \$_DLATCH_P_"),
        ("unknown", "small has no unknown"),
        ("WIRE", "small: WIRE has no area"),
    ],
)
def test_a_latch_a_black_box_and_a_cell_without_an_area_are_errors(mapped, cell, complaint):
    with pytest.raises(SynthesisError, match=complaint):
        mapped(NAND2=1, **{cell: 1})
