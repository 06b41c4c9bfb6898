import json

import pytest

from neardecode.config import BlockFormat
from neardecode_synth.area import Area, Part
from neardecode_synth.ecp5 import Ecp5
from neardecode_synth.gates import Gates
from neardecode_synth.yosys import SynthesisError
from neardecode_testbench.cli import area_results
from neardecode_testbench.cli.area_blocks import STANDARD, SWEEPS, Size, measured

GATES = Gates({"$_NAND_": 700, "$_NOR_": 200, "$_NOT_": 100}, 100, 40, ())
PATH = {"delay_ns": 2.5, "fmax_mhz": 400.0, "path": []}


@pytest.fixture
def synthesised(monkeypatch):
    """Has every block come to the same, but those that are named."""

    def synthesise(*failing):
        def measure(blocks, library, workers, started):
            return [
                SynthesisError("a path without delay")
                if any(text in block.arguments for text in failing)
                else Area(
                    block.name,
                    [Part(block.name, 1, GATES, 9000.0, 1.6, PATH)],
                    Ecp5(250, 100, 0, 0) if block.fpga else None,
                    {"device": "25k", "fmax_mhz": 90.0, "path": []} if block.fpga else None,
                )
                for block in blocks
            ]

        monkeypatch.setattr(area_results, "measure", measure)

    return synthesise


def test_a_block_without_a_library_is_counted_in_gates(neardecode):
    result = neardecode("area", "residual_add", "--config", "tiny", "--gates-only", "--json", "-")
    assert (result.status, result.err) == (0, "")
    found = json.loads(result.out)
    (one,) = found["blocks"]
    assert one["name"] == "residual_add"
    assert one["parameters"] == {"config": "tiny", "set": []}
    assert 0 < one["kge"] < one["kge_high"]
    assert "area_um2" not in one
    assert found["failed"] == []


def test_each_block_of_the_list_has_what_its_tools_said(neardecode, synthesised):
    synthesised()
    result = neardecode("area", "--json", "-")
    assert (result.status, result.err) == (0, "")
    found = json.loads(result.out)["blocks"]
    assert [(one["name"], one["parameters"]) for one in found] == [
        (size.block, size.parameters) for size in STANDARD
    ]
    for size, one in zip(STANDARD, found, strict=True):
        assert one["kge"] == pytest.approx((967 + 567) / 1000)
        assert one["kge_high"] == pytest.approx((967 + 800) / 1000)
        assert one["area_um2"] == 9000.0
        assert one["fmax_mhz"] == 400.0
        assert one.get("luts") == (250 if size.fpga else None)
        assert one.get("ecp5_fmax_mhz") == (90.0 if size.fpga else None)
        assert one.get("ecp5_device") == ("25k" if size.fpga else None)


def test_the_list_is_whole():
    titles = [size.title for size in STANDARD]
    assert len(set(titles)) == len(titles)
    for channels in (1, 2):
        for flits in (4, 8):
            assert f"mesh_router demo token_channels={channels} buffer_flits={flits}" in titles
    for one in BlockFormat:
        assert f'mac_slice hbf16 formats=["{one.name}"]' in titles
    assert {"mac_slice hbf16", "softmax hbf16", "chip tiny", "chip demo"} <= set(titles)
    assert "vault_controller stack" in titles
    assert "token_decoder decoder-demo" in titles
    controllers = [size.settings().flash.ecc for size in STANDARD if "controller hbf" in size.title]
    assert {ecc is None for ecc in controllers} == {True, False}
    assert {size.block for size in STANDARD if size.fpga} == {
        *("mesh_router", "mac_slice", "channel_controller")
    }


def test_a_block_that_fails_is_named_and_the_others_are_written(neardecode, synthesised, tmp_path):
    synthesised('"MXFP4"')
    path = tmp_path / "areas.json"
    result = neardecode("area", "mac_slice", "--json", path)
    of_all = sum(size.block == "mac_slice" for size in STANDARD)
    title = 'mac_slice hbf16 formats=["MXFP4"]'
    assert result.complaint == f"1 of {of_all} failed: {title}: a path without delay"
    found = json.loads(path.read_text())
    assert len(found["blocks"]) == of_all - 1
    assert [one["error"] for one in found["failed"]] == ["a path without delay"]
    assert "formats" in found["failed"][0]["parameters"]["set"][0]


def test_a_sweep_keeps_the_points_that_do_not_fail(neardecode, synthesised, tmp_path):
    synthesised('"banks_a_die":4,')
    files = [tmp_path / name for name in ("sweep.json", "sweep.svg", "sweep.png")]
    json_file, svg, png = files
    result = neardecode("area", "--sweep", "--json", json_file, "--plot", svg, "--plot", png)
    assert "flash_channel tiny banks_a_die=4: a path without delay" in result.complaint
    found = json.loads(json_file.read_text())
    assert set(found["sweeps"]) == set(SWEEPS)
    for name, points in found["sweeps"].items():
        values = [value for value, _ in SWEEPS[name]]
        assert [point["value"] for point in points] == values[name == "banks" :]
        assert {point["fmax_mhz"] for point in points} == {400.0}
    assert svg.read_text().lstrip().startswith("<?xml")
    assert png.read_bytes().startswith(b"\x89PNG")


def test_where_every_point_fails_nothing_is_drawn(neardecode, synthesised, tmp_path):
    synthesised("")
    picture = tmp_path / "sweep.svg"
    result = neardecode("area", "--sweep", "--plot", picture, "--json", tmp_path / "sweep.json")
    assert "failed: " in result.complaint
    assert not picture.exists()
    assert json.loads((tmp_path / "sweep.json").read_text())["sweeps"] == {}


def test_a_title_has_keys_without_sections_and_values_whole():
    size = Size("chip", "tiny", ("clock_ghz=1.5", "flash.host={reads=8}"))
    assert size.title == "chip tiny clock_ghz=1.5 host={reads=8}"


def test_every_point_of_a_sweep_has_another_configuration():
    for points in SWEEPS.values():
        assert len({measured(size).arguments for _, size in points}) == len(points)
