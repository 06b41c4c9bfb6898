import json
import re
from pathlib import Path

import pytest

from neardecode.chip import counter_names
from neardecode.config import PRESETS
from neardecode_testbench.cli.blocks import BLOCKS, SMALL, make_block
from neardecode_testbench.drive import amaranth_sim, cocotb_run
from neardecode_testbench.drive.design import Design
from neardecode_testbench.drive.lint import lint
from neardecode_testbench.scenarios.random_inputs import RandomInputs


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_becomes_verilog_with_its_name(neardecode, in_folder, block):
    config, changes = SMALL[block]
    options = [option for change in changes for option in ("--set", change)]
    result = neardecode("verilog", block, "--config", config, *options, "--json", "-")
    assert (result.status, result.err) == (0, "")
    results = json.loads(result.out)
    text = (in_folder / f"{block}.sv").read_text()
    assert results["block"] == block
    assert results["file"] == f"{block}.sv"
    modules = re.findall(r"^module (\\?\S+?)\s*\(", text, re.M)
    assert len(modules) == len(set(modules)) == results["modules"]
    assert block in modules
    comment, _, _ = text.partition("/* verilator")
    assert f"// {block}: " in comment
    assert "//   flash.channels" in comment or "//   channels = " in comment
    ports = re.search(rf"^module {block}\((.*?)\);", text, re.M | re.S)
    assert ports is not None
    names = {name.strip().strip("\\").strip() for name in ports[1].split(",")}
    listed = {
        line.split()[-1] for line in comment.splitlines() if re.match(r"//   (in|out)put", line)
    }
    assert names == listed
    assert lint(in_folder / f"{block}.sv", block) == []
    written = {f"{block}.sv"} | ({"chip.counters.json"} if block == "chip" else set())
    assert {path.name for path in in_folder.iterdir()} == written


def test_the_chip_comes_with_the_map_of_its_counters(neardecode, tmp_path):
    path = tmp_path / "top.sv"
    result = neardecode("verilog", "--config", "tiny", "-o", path, "--json", tmp_path / "r.json")
    assert (result.status, result.err) == (0, "")
    counters = json.loads((tmp_path / "top.counters.json").read_text())
    names = counter_names(PRESETS["tiny"])
    assert [counters[str(address)] for address in range(len(names))] == list(names)
    assert len(counters) == len(names) == len(set(names))
    results = json.loads((tmp_path / "r.json").read_text())
    assert results["counters"] == str(tmp_path / "top.counters.json")
    # The address port can reach every counter.
    widths = re.findall(r"input \[(\d+):0\] counter_address;", path.read_text())
    assert len(names) <= 2 ** (max(map(int, widths)) + 1)


def test_the_same_configuration_gives_the_same_file(neardecode, tmp_path):
    for name in ("a.sv", "b.sv"):
        neardecode("verilog", "router", "--config", "tiny", "-o", tmp_path / name)
    assert (tmp_path / "a.sv").read_bytes() == (tmp_path / "b.sv").read_bytes()


class Written(Design):
    """A block whose Verilog is a file that the command wrote."""

    path: Path

    def files(self):
        return self.path, super().files()[1]


@pytest.mark.parametrize("block", ["silu_gate", "softmax"])
def test_the_file_does_what_the_block_does_in_amaranths_simulator(
    neardecode, in_folder, monkeypatch, block
):
    assert neardecode("verilog", block, "--config", "tiny").status == 0
    written = Written(make_block, (block, PRESETS["tiny"]))
    object.__setattr__(written, "path", in_folder / f"{block}.sv")
    monkeypatch.setattr(cocotb_run, "TOP", block)
    _, ports = Design.files(written)
    inputs = {port.name: port.width for port in ports if port.is_input}
    outputs = [port.name for port in ports if not port.is_input]
    scenario = RandomInputs(inputs, outputs)
    expected = amaranth_sim.run(written.make(), scenario)
    assert len({str(outcome) for outcome in expected}) > 20, "something happens"
    assert cocotb_run.run(written, scenario, "verilator", waves=None, wave_cycles=0) == expected
