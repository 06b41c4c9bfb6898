"""An FPGA's cells and clock; what is none of its own, and what has no clock, are errors."""

import json

import pytest

from neardecode.tools import ToolRun
from neardecode_synth import ecp5
from neardecode_synth.ecp5 import Ecp5, Netlist, device_for, map_to_ecp5, place
from neardecode_synth.yosys import SynthesisError


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def mapped(monkeypatch):
    """A netlist of so many cells of each kind."""

    def netlist(**cells):
        counts = json.dumps({"design": {"num_cells_by_type": cells}})
        monkeypatch.setattr(ecp5, "run_passes", lambda *_: [f"heading\n{counts}", "{}"])
        return Netlist("text")

    return netlist


def reports(monkeypatch, **report):
    run = ToolRun(True, "", "", [json.dumps(report)])
    monkeypatch.setattr(ecp5, "run_tool", lambda *_: run)


def step(net, delay):
    return {"net": net, "delay": delay}


def test_adders_and_small_memories_are_counted_in_luts(mapped):
    netlist = mapped(
        LUT4=10, CCU2C=3, TRELLIS_DPR16X4=2, TRELLIS_FF=7, MULT18X18D=4, DP16KD=1, PDPW16KD=2
    )
    assert map_to_ecp5(netlist) == Ecp5(luts=10 + 2 * 3 + 4 * 2, flip_flops=7, dsps=4, brams=3)


@pytest.mark.parametrize("cell", ["$_DLATCH_P_", "unknown"])
def test_a_latch_and_a_black_box_are_errors(mapped, cell):
    with pytest.raises(SynthesisError, match=r"an ECP5 has no .*" + cell.strip("$")):
        map_to_ecp5(mapped(LUT4=1, **{cell: 1}))


def test_nothing_is_an_error(mapped):
    with pytest.raises(SynthesisError, match="nothing was left"):
        map_to_ecp5(mapped())


@pytest.mark.parametrize(
    ("cells", "device"),
    [
        (Ecp5(19_000, 19_000, 22, 44), "25k"),
        (Ecp5(20_000, 0, 0, 0), "45k"),
        (Ecp5(10, 10, 60, 0), "85k"),
    ],
)
def test_the_smallest_device_with_room_is_taken(cells, device):
    assert device_for(cells)[0] == device


def test_more_than_the_largest_device_holds_is_refused():
    with pytest.raises(SynthesisError, match="no ECP5 has room for 70000 LUTs"):
        device_for(Ecp5(70_000, 10, 0, 0))


def test_the_slowest_clock_counts_and_its_path_is_named(mapped, monkeypatch):
    paths = [
        {"from": "clk", "to": "clk", "path": [step("short", 1.0)]},
        {"from": "clk", "to": "clk", "path": [step("a", 2.0), step("b_LUT4_Z", 1), step("c", 3)]},
        {"from": "<async>", "to": "clk", "path": [step("outside", 9.0)]},
    ]
    clocks = {"clk": {"achieved": 160.0}, "bus_clk": {"achieved": 170.0}}
    reports(monkeypatch, fmax=clocks, critical_paths=paths)
    placed = place(mapped(LUT4=1))
    assert placed["fmax_mhz"] == 160.0
    assert placed["device"] == "25k"
    assert placed["path"] == [{"net": "a", "time_ns": 2.0}, {"net": "c", "time_ns": 6.0}]


@pytest.mark.parametrize(
    ("fmax", "paths", "complaint"),
    [
        ({}, [], "nextpnr found no clock"),
        ({"clk": {"achieved": 100.0}}, [], "nextpnr found no path"),
        (
            {"clk": {"achieved": 100.0}},
            [{"from": "clk", "to": "clk", "path": [step("a", 0)]}],
            "a path without delay",
        ),
    ],
)
def test_no_clock_and_no_path_are_errors(mapped, monkeypatch, fmax, paths, complaint):
    reports(monkeypatch, fmax=fmax, critical_paths=paths)
    with pytest.raises(SynthesisError, match=complaint):
        place(mapped(LUT4=1))


def test_what_nextpnr_complains_of_is_told(mapped, monkeypatch):
    run = ToolRun(False, "", "Info: begins\nERROR: out of slices\n", [])
    monkeypatch.setattr(ecp5, "run_tool", lambda *_: run)
    with pytest.raises(SynthesisError, match="nextpnr failed: out of slices"):
        place(mapped(LUT4=1))
